"""Writes tables as files: CSV for programs, LaTeX for papers, Markdown for the rest.

``results`` has the scores of the three models on both languages, ``examples`` the numbers of examples
(the paper's Table 1), ``shape.csv`` what ``shape.py`` measures, a row a cell. CSV holds fractions, the
others percent.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis import examples, names, report
from analysis.examples import Counts
from analysis.summary import KEY, SCORES
from analysis.texts import Table, markdown_rows

ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "→": r"$\rightarrow$",
    "±": r"$\pm$",
    "–": "--",
    "−": "$-$",
    "²": "$^2$",
    "°": r"$^\circ$",
}

HEAD = 12
"""Letters of a line of a table's head: about what a mean and its deviation take."""


def write(summary: pd.DataFrame, counts: Counts, shapes: pd.DataFrame, folder: Path) -> list[Path]:
    """Write all tables; return the files.

    Args:
        summary: of ``summary.summarise``.
        counts: of ``examples.counts``.
        shapes: of ``shape.measure``.
        folder: where to.
    """
    columns = [*KEY, "seeds", *(f"{name}_{kind}" for name in SCORES for kind in ("mean", "sd"))]
    summary[columns].to_csv(folder / "results.csv", index=False, float_format="%.6f")
    examples.frame(counts).to_csv(folder / "examples.csv", index=False)
    shapes.to_csv(folder / "shape.csv", index=False, float_format="%.6f")
    by_task = [part for table in report.tables(summary)[:1] for part in _by_task(table)]
    written = [folder / f"{name}.csv" for name in ("results", "examples", "shape")]
    for name, parts in (("results", by_task), ("examples", [("", examples.table(counts))])):
        for ending, text in (("tex", latex(parts, name)), ("md", _markdown([part for _, part in parts]))):
            path = folder / f"{name}.{ending}"
            path.write_text(text, encoding="utf-8", newline="\n")
            written.append(path)
    return written


def latex(parts: Sequence[tuple[str, Table]], label: str) -> str:
    """Return tables as LaTeX for the ACL's style; each with its own caption and a label of its part."""
    lines = [r"% Needs \usepackage{booktabs}."]
    for part, table in parts:
        columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.header)
        kinds = "".join("r" if _is_numeric(column) else "l" for column in columns)
        name = f"{label}-{part}" if part else label
        lines += [
            r"\begin{table*}[t]",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\begin{{tabular}}{{@{{}}{kinds}@{{}}}}",
            r"\toprule",
            _latex_head(table.header),
            r"\midrule",
            *(_latex_row(row) for row in table.rows),
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{escaped(table.title)}.}}",
            rf"\label{{tab:{name}}}",
            r"\end{table*}",
        ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return text as LaTeX shows it."""
    return "".join(ESCAPES.get(letter, letter) for letter in text)


def _latex_row(cells: Sequence[str]) -> str:
    # Thin spaces: six scores with their deviations fill the page.
    return " & ".join(escaped(cell).replace(r" $\pm$ ", r"\,$\pm$\,") for cell in cells) + r" \\"


def _latex_head(names: Sequence[str]) -> str:
    """Return a row of heads on several lines each, as wide as what stands below them."""
    heads = [textwrap.wrap(name, HEAD, break_on_hyphens=False, break_long_words=False) for name in names]
    stacked = [r" \\ ".join(escaped(line) for line in lines) for lines in heads]
    cells = [
        rf"\shortstack{{{text}}}" if len(lines) > 1 else text
        for text, lines in zip(stacked, heads, strict=True)
    ]
    return " & ".join(cells) + r" \\"


def _is_numeric(cells: Sequence[str]) -> bool:
    return all(not cell.strip("0123456789.,±–− /") for cell in cells)


def _markdown(tables: Sequence[Table]) -> str:
    parts = ["\n".join([f"## {table.title}", "", *markdown_rows(table)]) for table in tables]
    return "\n\n".join(parts) + "\n"


def _by_task(scores: Table) -> list[tuple[str, Table]]:
    """Cut the results table by its first column, which goes into the title."""
    tasks = dict.fromkeys(row[0] for row in scores.rows)
    shorter = [
        name.replace("source-only", "src").replace("target-only", "tgt").replace("bilingual", "bi")
        for name in scores.header[1:]
    ]
    return [
        (
            task,
            Table(
                f"{names.task(task)}: {scores.title[0].lower()}{scores.title[1:]}; src, tgt and bi are the "
                "models trained on the source language, the target language and both",
                shorter,
                [row[1:] for row in scores.rows if row[0] == task],
            ),
        )
        for task in tasks
    ]
