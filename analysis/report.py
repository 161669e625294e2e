"""Writes the summary: ``summary.csv`` and ``verdicts.csv`` for programs, ``summary.md`` for people.

The CSV holds fractions in [0, 1], the Markdown percent. A dash stands for what was not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import names, verdict_words
from analysis.findings import findings
from analysis.read import Results
from analysis.texts import Table, markdown_rows
from analysis.verdicts import Judgement

MODELS = {"source_only": "source-only", "bilingual": "bilingual", "target_only": "target-only"}


def write(
    table: pd.DataFrame,
    judgements: Sequence[Judgement],
    notes: Sequence[str],
    results: Results,
    folder: Path,
    beyond: Sequence[Table] = (),
) -> str:
    """Write the files; return what of the Markdown is to be printed: all but the tables.

    ``beyond`` are tables that follow those of the scores.
    """
    table.to_csv(folder / "summary.csv", index=False, float_format="%.6f")
    verdict_words.frame(judgements).to_csv(folder / "verdicts.csv", index=False, float_format="%.6f")
    (folder / "summary.md").write_text(markdown(table, judgements, notes, results, beyond), encoding="utf-8")
    return _page([*_said(table, judgements, results), *_noted(notes)])


def markdown(
    table: pd.DataFrame,
    judgements: Sequence[Judgement],
    notes: Sequence[str],
    results: Results,
    beyond: Sequence[Table] = (),
) -> str:
    """Return sentences first, then the verdicts, then the numbers, then what is missing."""
    parts = _said(table, judgements, results)
    if judgements:
        parts += ["", "## Verdicts, part by part", "", *markdown_rows(verdict_words.table(judgements))]
    for one in (*tables(table), *(one for one in beyond if one.rows)):
        parts += ["", f"## {one.title}", "", *markdown_rows(one)]
    return _page([*parts, *_noted(notes)])


def _said(table: pd.DataFrame, judgements: Sequence[Judgement], results: Results) -> list[str]:
    """Return the lines with sentences."""
    controls, unchosen = results.controls, results.unchosen
    sentences = findings(table, controls, unchosen, results.baselines)
    parts = ["# Summary", "", "## What the data show", "", *_bullets(sentences)]
    if judgements:
        parts += ["", "## The paper's claims (rules: docs/verdicts.md)", ""]
        parts += _bullets(verdict_words.headlines(judgements))
        parts += _bullets(verdict_words.notes(judgements, controls, unchosen))
    return parts


def _noted(notes: Sequence[str]) -> list[str]:
    return ["", "## Which results, and what is missing", "", *_bullets(notes)] if notes else []


def _page(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def tables(table: pd.DataFrame) -> list[Table]:
    """Return the scores of the three models and what lies between them; nothing for no rows."""
    return [] if table.empty else [_scores(table), _lines(table)]


def _bullets(sentences: Sequence[str]) -> list[str]:
    return [f"- {sentence}" for sentence in sentences]


def _number(value: Any, form: str, scale: float = 1.0) -> str:
    return "–" if pd.isna(value) else format(scale * value, form)


def _spread(row: Any, name: str, form: str = ".1f", scale: float = 100.0) -> str:
    mean, deviation = getattr(row, f"{name}_mean"), getattr(row, f"{name}_sd")
    text = _number(mean, form, scale)
    return text if pd.isna(mean) or pd.isna(deviation) else f"{text} ± {format(scale * deviation, form)}"


def _start(row: Any) -> list[str]:
    return [row.task, row.encoder, names.pair(row.source, row.target)]


def _scores(table: pd.DataFrame) -> Table:
    columns = [(model, role) for role in ("source", "target") for model in MODELS]
    header = ["task", "encoder", "pair", "seeds", *(f"{MODELS[model]} on {role}" for model, role in columns)]
    rows = [
        [*_start(row), str(row.seeds), *(_spread(row, f"{model}_on_{role}") for model, role in columns)]
        for row in table.itertuples()
    ]
    return Table("Scores of the three models (percent, mean ± sd over seeds)", header, rows)


def _lines(table: pd.DataFrame) -> Table:
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
    return Table("From the source-only to the bilingual model", header, rows)
