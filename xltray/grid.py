"""The points of a surface: exact coordinates in the plane of the three endpoints.

The paper's Eq. 3 writes a model as

    theta(a_src, a_tgt) = theta_bi + a_src (theta_src - theta_bi) + a_tgt (theta_tgt - theta_bi)

and its two lines are points of the same plane: Eq. 1 (source to bilingual) at mixing coefficient
alpha is (1 - alpha, 0), Eq. 2 (target to bilingual) is (0, 1 - alpha). A grid is the union of a
plane and the two lines; points in both are one point. Coordinates are fractions, so that 0.3 of
the plane and 1 - 0.7 of the line are the same point, which floats would not grant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational, Real
from typing import NamedTuple

# No exponents: 1e999999999 would be worked out digit by digit.
_NUMBER = re.compile(r"[+-]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9}|\d{1,9}/[1-9]\d{0,8})", re.ASCII)
COORDINATE = 'a finite number below 1e9, or a text such as "0.5" or "1/3"'
"""What ``coordinate`` reads, for messages."""
_LIMIT = 10**9
"""Coordinates are smaller, so that no weight of a point overflows a float."""


class Weights(NamedTuple):
    """What each endpoint contributes to a point; the three sum to one."""

    bilingual: Fraction
    source: Fraction
    target: Fraction


@dataclass(frozen=True, order=True)
class Point:
    """A point of Eq. 3. Ordered by (a_src, a_tgt)."""

    a_src: Fraction
    a_tgt: Fraction

    @property
    def weights(self) -> Weights:
        """The affine form of Eq. 3: (1 - a_src - a_tgt) B + a_src S + a_tgt T."""
        return Weights(1 - self.a_src - self.a_tgt, self.a_src, self.a_tgt)


BILINGUAL = Point(Fraction(0), Fraction(0))
SOURCE = Point(Fraction(1), Fraction(0))
TARGET = Point(Fraction(0), Fraction(1))
CORNERS = {"bilingual": BILINGUAL, "source": SOURCE, "target": TARGET}


def coordinate(value: object) -> Fraction:
    """Read a coordinate as it is written: 0.1 is one tenth, not the nearest binary float.

    Args:
        value: a number, or a text such as ``0.5`` or ``1/3``.

    Raises:
        ValueError: if it is neither, not finite, or not below 1e9 in size.
    """
    number = None
    if isinstance(value, str):
        number = Fraction(value) if _NUMBER.fullmatch(value) else None
    elif isinstance(value, Rational) and not isinstance(value, bool):
        # Integers of numpy overflow in arithmetic.
        number = Fraction(int(value.numerator), int(value.denominator))
    elif isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
        number = Fraction(str(value))
    if number is None or abs(number) >= _LIMIT:
        raise ValueError(f"found {value!r}; expected {COORDINATE}")
    return number


class Chunk(NamedTuple):
    """Some points of one scope, by index in a cell's grid: what is scored at a time."""

    scope: str
    points: tuple[int, ...]


class Grid:
    """The distinct points of a plane and the two lines, in a fixed order.

    A point's index in ``points`` is the ``point`` column of the results.
    """

    def __init__(self, plane: Iterable[Fraction], alphas: Iterable[Fraction]) -> None:
        """Build from the coordinates of the plane's axes and the lines' mixing coefficients."""
        axis = sorted(set(plane))
        self._alphas = frozenset(alphas)
        self._plane = frozenset(Point(a_src, a_tgt) for a_src in axis for a_tgt in axis)
        zero = Fraction(0)
        self._src_line = frozenset(Point(1 - alpha, zero) for alpha in self._alphas)
        self._tgt_line = frozenset(Point(zero, 1 - alpha) for alpha in self._alphas)
        self.points = tuple(sorted(self._plane | self._src_line | self._tgt_line))
        self._index = {point: index for index, point in enumerate(self.points)}

    def __len__(self) -> int:
        return len(self.points)

    def __contains__(self, point: Point) -> bool:
        return point in self._index

    def index(self, point: Point) -> int:
        """Return the index of a point; KeyError if the grid does not hold it."""
        return self._index[point]

    def on_plane(self, point: Point) -> bool:
        """Whether the point is one of the plane's grid points."""
        return point in self._plane

    def on_src_line(self, point: Point) -> bool:
        """Whether the point is one of Eq. 1's: of the grid's, or any where the grid does not hold it."""
        return point in self._src_line or (point not in self and point.a_tgt == 0)

    def on_tgt_line(self, point: Point) -> bool:
        """Whether the point is one of Eq. 2's: of the grid's, or any where the grid does not hold it."""
        return point in self._tgt_line or (point not in self and point.a_src == 0)

    def alpha(self, point: Point) -> Fraction | None:
        """Return the mixing coefficient of Eq. 1 or Eq. 2, or None off the lines.

        The bilingual model is on both lines, with alpha = 1 on each.
        """
        if self.on_src_line(point):
            return 1 - point.a_src
        if self.on_tgt_line(point):
            return 1 - point.a_tgt
        return None
