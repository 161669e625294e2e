"""Figures as parts of report.html: SVG that can stand beside others in one page, and captions."""

from __future__ import annotations

import re
from typing import NamedTuple

from analysis import style
from analysis.style import Drawing

CAPTIONS = {
    "lines": (
        "How to read it: each step to the right mixes in more of the bilingual model. Solid lines are scores "
        "on the source language, dashed lines on the target language, both divided by the bilingual model's. "
        "The paper's claim is a solid line that stays level and a dashed line that climbs steadily."
    ),
    "pair": (
        "How to read it: the same lines for one language pair, with scores as they are. The band reaches "
        "from the lowest seed to the highest."
    ),
    "plane": (
        "How to read it: every point of the plane is a model; the three marked ones were trained, all others "
        "are weighted sums of their weights. The larger the bright area, the flatter the surface."
    ),
    "geometry": (
        "How to read it: one mark for each task, pair and seed. Height: how much longer the way to the "
        "source-only model is than that to the target-only model (1: equally long). Across: the angle "
        "between them."
    ),
}
"""By what a figure's name starts with; others have a title only."""


class Picture(NamedTuple):
    """A figure ready for a page: its file name, its title, how to read it, and its SVG element."""

    name: str
    title: str
    caption: str
    svg: str


def picture(drawing: Drawing, number: int) -> Picture:
    """Return a drawing as the picture of that number. Its title is the first text on the figure."""
    texts = drawing.figure.texts
    title = " ".join(texts[0].get_text().split()) if texts else drawing.name
    caption = CAPTIONS.get(drawing.name.split("-")[0], "")
    return Picture(drawing.name, title, caption, inline(style.svg(drawing), f"f{number}-"))


def inline(svg: str, prefix: str) -> str:
    """Return the svg element alone, sized by the page, with ids that no other figure has.

    Matplotlib gives every file the same ids ("axes_1", glyphs of a font), which must be unique in a
    page: those that something refers to get a prefix, the others go.
    """
    element = svg[svg.index("<svg") :].strip()
    element = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", element, flags=re.DOTALL)
    # Matplotlib's only style rule would hold for the whole page; the page has it for figures only.
    element = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", element, flags=re.DOTALL)
    # Fixed sizes would not shrink on a phone; the viewBox keeps the shape.
    head, rest = element.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', rest))
    rest = re.sub(
        r'\sid="([^"]+)"', lambda found: f' id="{prefix}{found[1]}"' if found[1] in used else "", rest
    )
    rest = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", rest)
    rest = re.sub(r'\sd="[^"]*"', _shortened, rest)
    rest = re.sub(r"\s*\n\s*", "\n", rest)
    return f'{head} aria-hidden="true">{rest}'


def _shortened(path: re.Match[str]) -> str:
    """Return a path's coordinates on fewer lines and to a hundredth of a point."""
    text = re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), path[0])
    return re.sub(r"\s*\n\s*", " ", text).replace(' "', '"')
