"""The paper's claims as this analysis tests them: what is measured, and the range that supports it.

The thresholds and their reasons are in docs/verdicts.md, which was written before any verdict; a
test compares the two. Scores are fractions in [0, 1] here and points for people.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import pandas as pd

from analysis import measures
from analysis.bootstrap import Statistic, mean, share_of_deviation
from analysis.findings import FLAT, RISE, STRAIGHT
from analysis.measures import Material

SETBACK = 0.1
LIKE_NORMS = 1.1
ANGLES = (50.0, 60.0)
EQUAL = 0.5
LEAST_PAIRS = 6
LEAST_SEEDS = 3

NO_LINE = "no cell holds the whole line from the source-only to the bilingual model"
NO_RISE = f"no pair whose target score rises by more than {100 * RISE:g} points along a whole line"
NO_SIZES = "no two of the encoders here are of different sizes (controls aside) with planes of the same cells"
NO_SEEDS = "no pair with two seeds"
NO_GEOMETRY = "no norms and angles"
NO_SCOPE = "these results hold no line that moves the {} alone (sweeps/scopes.yaml shows how)"


@dataclass(frozen=True, kw_only=True)
class Unit:
    """How a measure is written: times ``scale``, with ``digits`` decimals and a name behind."""

    scale: float = 1.0
    digits: int = 2
    name: str = ""

    def write(self, value: float) -> str:
        """Return a number without its unit's name; a dash if there is none."""
        if pd.isna(value):
            return "–"
        text = f"{self.scale * value:.{self.digits}f}".replace("-", "−")
        return text.removeprefix("−") if not text.strip("−0.") else text


POINTS = Unit(scale=100.0, digits=1, name="points")
DEGREES = Unit(digits=1, name="°")
PLAIN = Unit()


@dataclass(frozen=True, kw_only=True)
class Part:
    """One measure of a claim. The claim holds where it lies above ``above`` and below ``below``."""

    key: str
    says: str
    measure: str
    unit: Unit
    values: Callable[[Material, Collection[str]], pd.DataFrame]
    missing: str
    above: float = float("-inf")
    below: float = float("inf")
    statistic: Statistic = mean
    single: bool = True
    """Of one encoder each, not of two that are compared."""

    @property
    def claim(self) -> int:
        """The number of the claim that this is part of."""
        return int(self.key[0])

    @property
    def rule(self) -> str:
        """When the part is supported, in words."""
        low, high = self.unit.write(self.above), self.unit.write(self.below)
        unit = f" {self.unit.name}".replace(" °", "°").rstrip()
        if self.above == float("-inf"):
            return f"below {high}{unit}"
        return f"above {low}{unit}" if self.below == float("inf") else f"{low} to {high}{unit}"


CLAIMS = {
    1: "Source performance stays high on the way from the source-only to the bilingual model",
    2: "On that way the target score rises smoothly and nearly in a straight line",
    3: "The larger encoder's surface is flatter on the target language",
    4: "Source-only models differ more over seeds on the target language than on the source",
    5: "The two directions are nearly equal in norm, at an angle near 55°",
    6: "Moving the encoder alone is like moving the whole; moving the task layer alone does next to nothing",
}

PARTS = (
    Part(
        key="1",
        says="source stays high",
        measure="largest fall of the source score",
        unit=POINTS,
        below=FLAT,
        values=measures.source_drop,
        missing=NO_LINE,
    ),
    Part(
        key="2a",
        says="target rises",
        measure="rise of the target score",
        unit=POINTS,
        above=RISE,
        values=measures.target_rise,
        missing=NO_LINE,
    ),
    Part(
        key="2b",
        says="smoothly",
        measure="largest setback, as a share of the pair's rise",
        unit=PLAIN,
        below=SETBACK,
        values=measures.target_setback,
        missing=NO_RISE,
    ),
    Part(
        key="2c",
        says="nearly straight",
        measure="R² of the straight line",
        unit=PLAIN,
        above=STRAIGHT,
        values=measures.target_linearity,
        missing=NO_RISE,
    ),
    Part(
        key="3",
        says="larger is flatter",
        measure="mean of the target's plane (bilingual = 1), larger minus smaller encoder",
        unit=Unit(digits=3),
        above=0.0,
        values=measures.flatness_by_size,
        single=False,
        missing=NO_SIZES,
    ),
    Part(
        key="4",
        says="target varies more",
        measure="target's share of the standard deviations over seeds, 0.5: equal",
        unit=PLAIN,
        above=EQUAL,
        values=measures.scores_over_seeds,
        statistic=share_of_deviation,
        missing=NO_SEEDS,
    ),
    Part(
        key="5a",
        says="norms nearly equal",
        measure="longer norm over shorter",
        unit=PLAIN,
        below=LIKE_NORMS,
        values=measures.norms,
        missing=NO_GEOMETRY,
    ),
    Part(
        key="5b",
        says="angle near 55°",
        measure="angle",
        unit=DEGREES,
        above=ANGLES[0],
        below=ANGLES[1],
        values=measures.angle,
        missing=NO_GEOMETRY,
    ),
    Part(
        key="6a",
        says="encoder alone like the whole",
        measure="mean distance between the curves of encoder and whole",
        unit=POINTS,
        below=RISE,
        values=measures.encoder_only,
        missing=NO_SCOPE.format("encoder"),
    ),
    Part(
        key="6b",
        says="task layer alone negligible",
        measure="largest distance from the bilingual model's score",
        unit=POINTS,
        below=FLAT,
        values=measures.head_only,
        missing=NO_SCOPE.format("task layer"),
    ),
)
