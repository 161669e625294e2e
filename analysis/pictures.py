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


def picture(drawing: Drawing) -> Picture:
    """Return a drawing as a picture. Its title is the first text on the figure."""
    texts = drawing.figure.texts
    title = " ".join(texts[0].get_text().split()) if texts else drawing.name
    caption = CAPTIONS.get(drawing.name.split("-")[0], "")
    return Picture(drawing.name, title, caption, inline(style.svg(drawing), drawing.name))


def inline(svg: str, name: str) -> str:
    """Return the svg element alone, sized by the page, with ids that no other figure has.

    Matplotlib gives every file the same ids ("axes_1", glyphs of a font), which must be unique in a page.
    """
    element = svg[svg.index("<svg") :].strip()
    element = re.sub(r"\s*<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    # Fixed sizes would not shrink on a phone; the viewBox keeps the shape.
    head, rest = element.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    rest = re.sub(r'(\sid=")', rf"\g<1>{name}-", rest)
    rest = re.sub(r'(href="#)', rf"\g<1>{name}-", rest)
    rest = re.sub(r"(url\(#)", rf"\g<1>{name}-", rest)
    return f'{head} aria-hidden="true">{rest}'
