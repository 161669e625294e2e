"""Tables of text, which summary.md and report.html share, and their Markdown form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Table(NamedTuple):
    """A title, a header, and rows with as many cells as the header."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def markdown_rows(table: Table) -> list[str]:
    """Return a Markdown table whose columns line up in plain text too."""
    lines = [table.header, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.header))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    return [text[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *text[1:]]
