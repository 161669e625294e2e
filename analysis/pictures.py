"""Figures as parts of report.html: SVG that can stand beside others in one page, and captions."""

from __future__ import annotations

import re
from typing import NamedTuple

from analysis import style
from analysis.style import Drawing

CAPTIONS = {
    "lines": (
        "How to read it: each step to the right mixes in more of the bilingual model. Solid lines are scores "
        "on the source language, dashed lines on the target language. "
        "The paper's claim is a solid line that stays level and a dashed line that climbs steadily. "
        "The ways from the source-only and from the target-only model are its Eq. 1 and Eq. 2."
    ),
    "pair": "How to read it: the same lines for one language pair, with scores as they are.",
    "plane": (
        "How to read it: the three marked models were trained, all others "
        "are weighted sums of their weights (the paper's Eq. 3). The larger the bright area, the flatter "
        "the surface."
    ),
    "planes": "How to read it: as the planes of single pairs. The larger the bright area, the flatter.",
    "variance": (
        "How to read it: a step up is ten times the variance. The paper's claim is a dashed line far above "
        "the solid one at the left, where only the source language was trained on."
    ),
    "scopes": (
        "How to read it: the paper's claim is that moving the encoder alone looks like moving the whole "
        "model and that nothing happens where the task layer alone is moved."
    ),
    "trajectory": (
        "How to read it: a path that goes straight up changes other languages at no cost for the source. "
        "The way is the paper's Eq. 1."
    ),
    "layers": "How to read it: the higher on the left, the more a layer's weights were changed.",
    "geometry": (
        "How to read it: one mark for each task, pair and seed. Height: length of the way to the source-only "
        "model divided by length of the way to the target-only model (1: equally long). Across: the angle "
        "between them."
    ),
}
"""By what a figure's name starts with; others have a title only."""
INKS = {
    style.INK: "ink",
    style.QUIET: "quiet",
    style.SHADE: "shade",
    style.GRID: "rule",
    style.PALETTE[0]: "blue",
    **{grey: f"grey-{number}" for number, grey in enumerate(style.GREYS)},
}
"""Colours that a page on a dark ground needs others for, with the CSS variables that report.html has."""
NARROW = style.COLUMN * 72 + 10
"""Points: a figure of a column fits a phone, a wider one has to be scrolled there."""


class Picture(NamedTuple):
    """A figure ready for a page: its file name, its title, what it shows, how to read it, its SVG element.

    Without an element it is a file only.
    """

    name: str
    title: str
    caption: str
    svg: str

    @property
    def wide(self) -> bool:
        """Whether a phone shows only a part of it at its own size."""
        width = re.search(r"--width:(\d+)", self.svg)
        return width is not None and int(width[1]) > NARROW


def picture(drawing: Drawing, number: int, *, shown: bool = True) -> Picture:
    """Return a drawing as the picture of that number; with ``shown`` off, without its element."""
    how = CAPTIONS.get(drawing.name.split("-")[0], "")
    of_paper = paper_figure(drawing.name)
    caption = " ".join(part for part in (drawing.text, how, of_paper) if part)
    element = inline(style.svg(drawing), f"f{number}-") if shown else ""
    return Picture(drawing.name, drawing.title, caption, element)


def paper_figure(name: str) -> str:
    """Say which figure of the paper a figure is, by its file name; nothing for those beyond the paper."""
    kind, _, rest = name.partition("-")
    numbers = {"lines": "2", "variance": "5", "plane": "3 and 10", "geometry": "4"}
    number = {"ner": "6", "parsing": "7", "pos": "8", "xnli": "9"}.get(rest) if rest else numbers.get(kind)
    if kind == "plane":
        number = numbers[kind]
    if kind not in numbers or number is None:
        return ""
    return f"In the paper: Figure{'s' if ' ' in number else ''} {number}."


def inline(svg: str, prefix: str) -> str:
    """Return the svg element alone, sized by the page, with ids that no other figure has.

    Matplotlib gives every file the same ids ("axes_1", glyphs of a font), which must be unique in a
    page: those that something refers to get a prefix, the others go.
    """
    element = svg[svg.index("<svg") :].strip()
    element = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", element, flags=re.DOTALL)
    # Matplotlib's only style rule would hold for the whole page; the page has it for figures only.
    element = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", element, flags=re.DOTALL)
    # Fixed sizes would not shrink on a phone; the viewBox keeps the shape. The page is told the width in
    # points, so that a figure of one column does not become as wide as one of a page.
    head, rest = element.split(">", 1)
    width = re.search(r'\sviewBox="\S+ \S+ (\S+) ', head)
    own = f' style="--width:{float(width[1]):.0f}"' if width else ""
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', rest))
    rest = re.sub(
        r'\sid="([^"]+)"', lambda found: f' id="{prefix}{found[1]}"' if found[1] in used else "", rest
    )
    rest = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", rest)
    rest = re.sub(r"(fill|stroke): (#[0-9a-f]{6})", _inked, rest)
    rest = re.sub(r'\sd="[^"]*"', _shortened, rest)
    rest = re.sub(r"\s*\n\s*", "\n", rest)
    return f'{head}{own} aria-hidden="true">{rest}'


def _inked(colour: re.Match[str]) -> str:
    """Return a colour as the page's variable for it, if it has one."""
    name = _VARIABLES.get(colour[2])
    return f"{colour[1]}: var(--{name})" if name else colour[0]


_VARIABLES = {colour.lower(): name for colour, name in INKS.items()}


def _shortened(path: re.Match[str]) -> str:
    """Return a path's coordinates on fewer lines and to a hundredth of a point."""
    text = re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), path[0])
    return re.sub(r"\s*\n\s*", " ", text).replace(' "', '"')
