"""Writes the summary: ``summary.csv`` for programs, ``summary.md`` for people.

The CSV holds fractions in [0, 1], the Markdown percent. A dash stands for what was not measured.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import names
from analysis.findings import findings

MODELS = {"source_only": "source-only", "bilingual": "bilingual", "target_only": "target-only"}


def write(table: pd.DataFrame, notes: Sequence[str], controls: Collection[str], folder: Path) -> str:
    """Write both files and return the Markdown."""
    table.to_csv(folder / "summary.csv", index=False, float_format="%.6f")
    text = markdown(table, notes, controls)
    (folder / "summary.md").write_text(text, encoding="utf-8")
    return text


def markdown(table: pd.DataFrame, notes: Sequence[str], controls: Collection[str]) -> str:
    """Return sentences first, then the numbers, then what is missing."""
    parts = ["# Summary", "", "## What the data show", "", *_bullets(findings(table, controls))]
    if not table.empty:
        parts += ["", "## Scores of the three models (percent, mean ± sd over seeds)", "", *_scores(table)]
        parts += ["", "## From the source-only to the bilingual model", "", *_lines(table)]
    if notes:
        parts += ["", "## Which results, and what is missing", "", *_bullets(notes)]
    return "\n".join(parts) + "\n"


def _bullets(sentences: Sequence[str]) -> list[str]:
    return [f"- {sentence}" for sentence in sentences]


def _rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table whose columns line up in plain text too."""
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in (header, *rows)
    ]
    return [text[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *text[1:]]


def _number(value: Any, form: str, scale: float = 1.0) -> str:
    return "–" if pd.isna(value) else format(scale * value, form)


def _spread(row: Any, name: str, form: str = ".1f", scale: float = 100.0) -> str:
    mean, deviation = getattr(row, f"{name}_mean"), getattr(row, f"{name}_sd")
    text = _number(mean, form, scale)
    return text if pd.isna(mean) or pd.isna(deviation) else f"{text} ± {format(scale * deviation, form)}"


def _start(row: Any) -> list[str]:
    return [row.task, row.encoder, names.pair(row.source, row.target)]


def _scores(table: pd.DataFrame) -> list[str]:
    columns = [(model, role) for role in ("source", "target") for model in MODELS]
    header = ["task", "encoder", "pair", "seeds", *(f"{MODELS[model]} on {role}" for model, role in columns)]
    rows = [
        [*_start(row), str(row.seeds), *(_spread(row, f"{model}_on_{role}") for model, role in columns)]
        for row in table.itertuples()
    ]
    return _rows(header, rows)


def _lines(table: pd.DataFrame) -> list[str]:
    header = [
        "task",
        "encoder",
        "pair",
        "largest source drop (points)",
        "target rise (points)",
        "target linearity (R²)",
        "zero-shot variance, target / source",
        "norm ratio",
        "angle (°)",
    ]
    rows = [
        [
            *_start(row),
            _spread(row, "source_drop"),
            _spread(row, "target_rise"),
            _spread(row, "target_linearity", ".2f", 1.0),
            _number(row.zero_shot_variance_ratio, ".1f"),
            _spread(row, "norm_ratio", ".2f", 1.0),
            _spread(row, "angle", ".0f", 1.0),
        ]
        for row in table.itertuples()
    ]
    return _rows(header, rows)
