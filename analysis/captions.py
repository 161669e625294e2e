"""Writes captions.md: what each figure file shows, in words that a paper can take for its caption."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.pictures import Picture

FILE = "captions.md"


def write(pictures: Sequence[Picture], folder: Path) -> None:
    """Write the file; the figures in the order in which they were drawn."""
    lines = [
        "# Captions",
        "",
        "The PDF files are for papers: as wide as a page (6.30 in) or a column (3.03 in) of the ACL's style, "
        "text of 8 points and more, fonts embedded, without the heading that the PNG files have. "
        "Put them in at their own size, without `width=`.",
        "",
    ]
    for one in pictures:
        lines += [f"**{one.name}.pdf**: {one.title}. {one.caption}", ""]
    (folder / FILE).write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8", newline="\n")
