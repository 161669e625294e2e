"""The points of a surface are exact, distinct and in a fixed order."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xltray.grid import BILINGUAL, CORNERS, SOURCE, TARGET, Grid, Point, coordinate
from xltray.spec_types import GridSpec

PAPER = GridSpec().grid()
coordinates = st.sets(st.fractions(min_value=-2, max_value=2, max_denominator=40), max_size=6)


def point(a_src: str, a_tgt: str) -> Point:
    return Point(Fraction(a_src), Fraction(a_tgt))


def test_paper_grid_has_465_distinct_points() -> None:
    plane = {p for p in PAPER.points if PAPER.on_plane(p)}
    off_plane = [p for p in PAPER.points if p not in plane]
    assert len(PAPER) == len(PAPER.points) == len(set(PAPER.points)) == 465
    assert len(plane) == 441
    assert sum(PAPER.on_src_line(p) for p in off_plane) == 12
    assert sum(PAPER.on_tgt_line(p) for p in off_plane) == 12
    assert sum(PAPER.on_src_line(p) for p in PAPER.points) == 33
    assert sum(PAPER.on_tgt_line(p) for p in PAPER.points) == 33


def test_paper_grid_holds_its_range_exactly() -> None:
    tenths = {Fraction(n, 10) for n in range(-5, 16)}
    assert {p.a_src for p in PAPER.points if PAPER.on_plane(p)} == tenths
    assert {p.a_tgt for p in PAPER.points if PAPER.on_plane(p)} == tenths
    extra = {Fraction(n, 1000) for n in (25, 50, 75, 125, 150, 175, 825, 850, 875, 925, 950, 975)}
    assert {PAPER.alpha(p) for p in PAPER.points if PAPER.on_src_line(p)} == tenths | extra


@pytest.mark.parametrize("corner", CORNERS.values(), ids=CORNERS.keys())
def test_corners_are_points_with_a_single_weight(corner: Point) -> None:
    assert corner in PAPER
    assert sorted(corner.weights) == [0, 0, 1]


def test_weights_name_the_endpoint_of_each_corner() -> None:
    assert BILINGUAL.weights.bilingual == 1
    assert SOURCE.weights.source == 1
    assert TARGET.weights.target == 1


@pytest.mark.parametrize(
    ("where", "plane", "src_line", "tgt_line", "alpha"),
    [
        (BILINGUAL, True, True, True, 1),
        (SOURCE, True, True, False, 0),
        (TARGET, True, False, True, 0),
        (point("0.3", "0"), True, True, False, Fraction(7, 10)),
        (point("0", "-0.5"), True, False, True, Fraction(3, 2)),
        (point("0.025", "0"), False, True, False, Fraction(975, 1000)),
        (point("0", "0.975"), False, False, True, Fraction(25, 1000)),
        (point("0.1", "0.1"), True, False, False, None),
    ],
)
def test_membership_and_alpha(
    where: Point, plane: bool, src_line: bool, tgt_line: bool, alpha: Fraction | None
) -> None:
    assert where in PAPER
    assert PAPER.on_plane(where) is plane
    assert PAPER.on_src_line(where) is src_line
    assert PAPER.on_tgt_line(where) is tgt_line
    assert PAPER.alpha(where) == alpha


def test_a_point_that_is_not_there() -> None:
    stranger = point("0.025", "0.025")
    assert stranger not in PAPER
    with pytest.raises(KeyError):
        PAPER.index(stranger)


@pytest.mark.parametrize(
    ("where", "src_line", "tgt_line", "alpha"),
    [
        (point("1/3", "0"), True, False, Fraction(2, 3)),
        (point("0", "5"), False, True, -4),
        (point("1/3", "1/3"), False, False, None),
    ],
)
def test_points_that_are_not_there_are_on_the_lines_by_the_equations(
    where: Point, src_line: bool, tgt_line: bool, alpha: Fraction | None
) -> None:
    assert where not in PAPER
    assert not PAPER.on_plane(where)
    assert (PAPER.on_src_line(where), PAPER.on_tgt_line(where)) == (src_line, tgt_line)
    assert PAPER.alpha(where) == alpha
    assert Grid([Fraction(1, 2)], ()).alpha(BILINGUAL) == 1


@settings(deadline=None)
@given(st.floats(min_value=-1e6, max_value=1e6))
def test_a_float_is_the_decimal_that_is_written(value: float) -> None:
    assert coordinate(value) == Fraction(repr(value))
    assert float(coordinate(value)) == value


def test_a_coordinate_is_read_exactly() -> None:
    tenth = Fraction(1, 10)
    assert all(coordinate(value) == tenth for value in (0.1, "0.1", "1/10", "+.1", tenth, np.float32(0.1)))
    # Products of numpy's own integers would overflow.
    assert coordinate(np.int8(100)) * 100 == 10_000


@pytest.mark.parametrize("value", [math.nan, math.inf, "1e5", "", " 1", "1/0", True, None, 10**9, -1e9, 2j])
def test_what_is_no_coordinate(value: object) -> None:
    with pytest.raises(ValueError, match="expected a finite number below 1e9"):
        coordinate(value)


def test_lines_alone_and_plane_alone() -> None:
    halves = [Fraction(n, 2) for n in range(3)]
    assert len(Grid((), halves)) == 5
    assert len(Grid(halves, ())) == 9
    assert Grid(halves, ()).alpha(SOURCE) is None


@settings(deadline=None)
@given(coordinates, coordinates)
def test_index_is_the_place_in_points(plane: set[Fraction], alphas: set[Fraction]) -> None:
    grid = Grid(plane, alphas)
    assert [grid.index(p) for p in grid.points] == list(range(len(grid)))
    assert list(grid.points) == sorted(set(grid.points))


@settings(deadline=None)
@given(coordinates, coordinates)
def test_every_point_belongs_to_a_set_and_its_weights_sum_to_one(
    plane: set[Fraction], alphas: set[Fraction]
) -> None:
    grid = Grid(plane, alphas)
    for p in grid.points:
        assert sum(p.weights) == 1
        assert grid.on_plane(p) or grid.on_src_line(p) or grid.on_tgt_line(p)
    shared = {BILINGUAL} if Fraction(1) in alphas else set()
    lines = {Point(1 - a, Fraction(0)) for a in alphas} | {Point(Fraction(0), 1 - a) for a in alphas}
    assert {p for p in grid.points if grid.on_src_line(p) and grid.on_tgt_line(p)} == shared
    assert lines <= set(grid.points)


@settings(deadline=None)
@given(coordinates)
def test_order_of_what_is_given_does_not_matter(plane: set[Fraction]) -> None:
    ordered = sorted(plane)
    assert Grid(ordered, ordered).points == Grid(ordered[::-1], ordered + ordered).points
