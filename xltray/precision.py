"""May a cell be scored in bfloat16? Only where that changes no score by more than a tenth of a point.

A sweep may ask for it (``evaluation: {dtype: bfloat16}``). Endpoints and their blend stay float32, and so
do the corners that are compared with the endpoints' own counts. Then the three corners and five other
points are scored in both types. If any metric on any of the cell's languages differs by more than
a tenth of a point, the whole cell is scored in float32, and its files say why. So it is by all of its
servers if one of them, on another kind of device, may not score it in bfloat16.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import NamedTuple

from xltray.grid import CORNERS, Point
from xltray.results import Score

FULL, HALF = "float32", "bfloat16"
SEPARATOR = ", "
"""Between the names of several devices that scored a cell."""
TOLERANCE = Fraction(1, 1000)
_HALVES = Fraction(1, 2)
COMPARED: tuple[Point, ...] = (
    *CORNERS.values(),
    Point(_HALVES, Fraction(0)),
    Point(Fraction(0), _HALVES),
    Point(_HALVES, _HALVES),
    # Beyond the endpoints, where weights and errors are largest.
    Point(Fraction(1), Fraction(1)),
    Point(-_HALVES, -_HALVES),
)


class Scoring(NamedTuple):
    """What a cell is scored on and in, for the records; ``why`` is empty where nothing else was asked for."""

    device: str
    dtype: str = FULL
    why: str = ""

    def records(self) -> dict[str, str]:
        """Return what a file's metadata gets."""
        return {"device": self.device, "dtype": self.dtype} | ({"dtype_reason": self.why} if self.why else {})


def together(scorings: Collection[Scoring]) -> Scoring:
    """Return what several evaluators of one cell score on and in: in half precision if all of them may."""
    dtype = HALF if all(one.dtype == HALF for one in scorings) else FULL
    devices, whys = ({one.device for one in scorings}, {one.why for one in scorings if one.dtype == dtype})
    return Scoring(SEPARATOR.join(sorted(devices)), dtype, ", ".join(sorted(whys - {""})))


def judge(full: Sequence[Sequence[Score]], half: Sequence[Sequence[Score]], device: str) -> Scoring:
    """Compare the scores of the points of ``COMPARED`` in float32 and in bfloat16."""
    worst, where = Fraction(0), ""
    for point, *columns in zip(COMPARED, full, half, strict=True):
        for one, other in zip(*columns, strict=True):
            difference = abs(_exact(one) - _exact(other))
            if difference > worst:
                worst = difference
                where = f" ({one.metric} on {one.language} at a_src {point.a_src}, a_tgt {point.a_tgt})"
    said = (
        f"at {len(COMPARED)} points, scores in {HALF} differ from {FULL} by at most {float(worst):.5f}{where}"
    )
    if worst > TOLERANCE:
        return Scoring(device, FULL, f"{said}; {float(TOLERANCE)} is allowed")
    return Scoring(device, HALF, said)


def _exact(score: Score) -> Fraction:
    whole = score.predicted + score.gold
    return Fraction(2 * score.correct, whole) if whole else Fraction(0)
