"""How figures look and how they are saved.

Colour stands for the encoder in every figure (Okabe and Ito's colour-blind-safe palette; controls
are grey), line style for the language that was scored. Pages are laid out in inches: a heading of
known height, panels of known size, a foot for the legend; nothing depends on what the text
happens to measure. Files carry no dates, so the same results give the same bytes.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREYS = ("#6E6E6E", "#A0A0A0", "#404040")
LINE_STYLES = {"source": "-", "target": (0, (4, 1.6))}
INK, QUIET = "#222222", "#666666"
DPI = 160

RC: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "xltray",
}


class Drawing(NamedTuple):
    """A figure and the name of its files, without an ending."""

    name: str
    figure: Figure


class Skipped(NamedTuple):
    """A figure that the results do not allow, and why."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """Sizes of a page in inches: one panel, the gaps between panels, and the space around them."""

    panel: tuple[float, float]
    gap: tuple[float, float] = (0.35, 0.45)
    left: float = 0.8
    right: float = 0.25
    foot: float = 1.2

    def axes(
        self, rows: int, columns: int, *, title: str, text: str = ""
    ) -> tuple[Figure, npt.NDArray[np.object_]]:
        """Return a figure with its heading, and its axes as a (rows, columns) array."""
        width = self.left + columns * self.panel[0] + (columns - 1) * self.gap[0] + self.right
        lines = textwrap.wrap(text, int(width * 14.5))
        head = 0.9 + 0.17 * len(lines)
        height = head + rows * self.panel[1] + (rows - 1) * self.gap[1] + self.foot
        figure = Figure(figsize=(width, height))
        x, line = 0.2 / width, 0.17 / height
        headline = "\n".join(textwrap.wrap(title, int(width * 10)))
        figure.text(x, 1 - 0.15 / height, headline, size=12, weight="bold", va="top", color=INK)
        for number, words in enumerate(lines):
            y = 1 - 0.46 / height - number * line
            figure.text(x, y, words, size=8.5, va="top", color=QUIET)
        panels = figure.subplots(
            rows,
            columns,
            squeeze=False,
            gridspec_kw={
                "left": self.left / width,
                "right": 1 - self.right / width,
                "top": 1 - head / height,
                "bottom": self.foot / height,
                "wspace": self.gap[0] / self.panel[0],
                "hspace": self.gap[1] / self.panel[1],
            },
        )
        return figure, panels


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
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def save(drawing: Drawing, folder: Path) -> list[Path]:
    """Write a drawing as PNG and as PDF, without dates or versions in either."""
    png, pdf = folder / f"{drawing.name}.png", folder / f"{drawing.name}.pdf"
    drawing.figure.savefig(png, dpi=DPI, metadata={"Software": None})
    drawing.figure.savefig(pdf, metadata={"CreationDate": None, "Producer": None, "Creator": None})
    return [png, pdf]


def svg(drawing: Drawing) -> str:
    """Return a drawing as SVG, text as outlines, without dates or versions."""
    buffer = io.StringIO()
    drawing.figure.savefig(
        buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
    )
    return buffer.getvalue()
