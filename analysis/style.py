"""How figures look and how they are saved.

Figures are as wide as a page or a column of the ACL's papers and set in 8 to 9 points of a Times-like
font, so that they go into a paper at their own size. Colour stands for the encoder in every figure
(Okabe and Ito's colour-blind-safe palette; controls are grey), line style for the language that was
scored. A page is laid out in inches: a heading of known height, panels of known size, a foot for the
legend; nothing depends on what the text happens to measure. The heading says what is seen; the PNG has
it, for looking at, and the PDF does not: in a paper it is the caption (captions.md). Files carry no
dates, so the same results give the same bytes.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox
from matplotlib.typing import LineStyleType, RcKeyType

COLUMN, PAGE_WIDTH = 3.03, 6.30
"""Widths in inches of a column and of a page, of the ACL's style files."""
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREYS = ("#6E6E6E", "#A0A0A0", "#404040")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
LINE_STYLES: dict[str, LineStyleType] = {"source": "-", "target": (0, (4, 1.6))}
INK, QUIET, RULE = "#222222", "#555555", "#999999"
EDGE, GRID, SHADE = "#888888", "#DDDDDD", "#F3F3F3"
"""Of axes, of the lines behind the data, and behind what is extrapolated."""
DPI = 200
LINE_HEIGHT = 0.135
"""Of a line of text of 8 points, in inches."""

RC: dict[RcKeyType, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    # A fixed place: matplotlib would otherwise measure all ticks to find one.
    "axes.titley": 1.0,
    "axes.titlepad": 3.0,
    "axes.labelsize": 8.0,
    "axes.labelpad": 2.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": EDGE,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "pdf.fonttype": 42,
    "svg.hashsalt": "xltray",
}

AxesGrid = npt.NDArray[np.object_]


class Drawing(NamedTuple):
    """A figure: the name of its files without an ending, what it shows, and its heading in inches."""

    name: str
    figure: Figure
    title: str
    text: str
    head: float


class Skipped(NamedTuple):
    """A figure that the results do not allow, and why."""

    reason: str


@dataclass(frozen=True)
class Sheet:
    """A figure with its axes (rows, columns) and what its heading says."""

    figure: Figure
    axes: AxesGrid
    title: str
    text: str
    head: float

    def legend(
        self, handles: Sequence[Line2D], inches: float, *, x: float = 0.5, columns: int = 0, **look: Any
    ) -> None:
        """Write a legend so many inches above the lower edge; ``columns`` 0: all in a row."""
        place = {"loc": "center", "bbox_to_anchor": (x, inches / self.figure.get_size_inches()[1])}
        self.figure.legend(handles=handles, ncols=columns or len(handles), borderpad=0, **{**place, **look})

    def named(self, name: str) -> Drawing:
        """Return the sheet as a drawing."""
        return Drawing(name, self.figure, self.title, self.text, self.head)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Sizes in inches: the whole width, a panel's height, gaps between panels, space around them."""

    width: float = PAGE_WIDTH
    panel: float
    gap: tuple[float, float] = (0.15, 0.3)
    left: float = 0.5
    right: float = 0.08
    top: float = 0.2
    foot: float = 0.75

    def axes(self, rows: int, columns: int, *, title: str, text: str = "") -> Sheet:
        """Return a figure with its heading and its axes."""
        # Times at 8 points has about 20 letters an inch; bold at 9.5, about 14.
        headline = textwrap.wrap(title, int(self.width * 14))
        lines = textwrap.wrap(text, int(self.width * 20))
        head = 0.12 + 0.16 * len(headline) + LINE_HEIGHT * len(lines)
        width = (self.width - self.left - self.right - (columns - 1) * self.gap[0]) / columns
        body = self.top + rows * self.panel + (rows - 1) * self.gap[1] + self.foot
        height = head + body
        figure = Figure(figsize=(self.width, height))
        for number, words in enumerate(headline):
            _heading(figure, words, 0.05 + 0.16 * number, size=9.5, weight="bold", color=INK)
        for number, words in enumerate(lines):
            y = 0.08 + 0.16 * len(headline) + LINE_HEIGHT * number
            _heading(figure, words, y, size=8, color=QUIET)
        panels = figure.subplots(
            rows,
            columns,
            squeeze=False,
            gridspec_kw={
                "left": self.left / self.width,
                "right": 1 - self.right / self.width,
                "top": 1 - (head + self.top) / height,
                "bottom": self.foot / height,
                "wspace": self.gap[0] / width,
                "hspace": self.gap[1] / self.panel,
            },
        )
        return Sheet(figure, panels, title, text, head)


def _heading(figure: Figure, words: str, inches: float, **look: Any) -> None:
    """Write a line of the heading, so many inches below the upper edge."""
    width, height = figure.get_size_inches()
    figure.text(0.05 / width, 1 - inches / height, words, va="top", gid="heading", **look)


def encoder_colours(encoders: Iterable[str], controls: Collection[str]) -> dict[str, str]:
    """Return a colour for each encoder: the palette in order of name, greys for controls."""
    ordered = sorted(encoders)
    trained = [encoder for encoder in ordered if encoder not in controls]
    untrained = [encoder for encoder in ordered if encoder in controls]
    return {
        **{encoder: PALETTE[index % len(PALETTE)] for index, encoder in enumerate(trained)},
        **{encoder: GREYS[index % len(GREYS)] for index, encoder in enumerate(untrained)},
    }


def grid_lines(axes: Axes) -> None:
    """Draw faint horizontal lines behind the data."""
    axes.grid(axis="y", color=GRID, linewidth=0.5)
    axes.set_axisbelow(True)


def number(value: float) -> str:
    """Return a number for an axis, with a minus sign that is one."""
    return f"{value:g}".replace("-", "−")


def save(drawing: Drawing, folder: Path) -> list[Path]:
    """Write a drawing as PNG with its heading and as PDF without, no dates or versions in either."""
    png, pdf = folder / f"{drawing.name}.png", folder / f"{drawing.name}.pdf"
    drawing.figure.savefig(png, dpi=DPI, metadata={"Software": None})
    _write_body(drawing, pdf, "pdf", {"CreationDate": None, "Producer": None, "Creator": None})
    return [png, pdf]


def svg(drawing: Drawing) -> str:
    """Return a drawing as SVG on no ground, without heading, text as outlines, without dates or versions."""
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    _write_body(drawing, buffer, "svg", nothing, transparent=True)
    return buffer.getvalue().decode()


def _write_body(
    drawing: Drawing,
    target: Path | io.BytesIO,
    form: str,
    metadata: dict[str, None],
    *,
    transparent: bool = False,
) -> None:
    """Save what is below the heading."""
    headings = [text for text in drawing.figure.texts if text.get_gid() == "heading"]
    width, height = drawing.figure.get_size_inches()
    for text in headings:
        text.set_visible(False)
    body = Bbox([[0, 0], [width, height - drawing.head]])
    drawing.figure.savefig(target, format=form, bbox_inches=body, metadata=metadata, transparent=transparent)
    for text in headings:
        text.set_visible(True)
