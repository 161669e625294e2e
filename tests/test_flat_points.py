"""Points of the plane against numpy, and corners bit for bit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_flat import AWKWARD, Vector, bits, interpolator

from xltray.grid import BILINGUAL, CORNERS, SOURCE, TARGET, Point
from xltray.nn import flat
from xltray.nn.flat import FlatModel, Interpolator


def point(a_src: object, a_tgt: object) -> Point:
    return Point(Fraction(str(a_src)), Fraction(str(a_tgt)))


coordinates = st.builds(Fraction, st.integers(-80, 80), st.integers(1, 40))
weights = st.floats(-1e3, 1e3, width=32)
vectors = st.lists(st.tuples(weights, weights, weights), min_size=1, max_size=9)


@settings(deadline=None, max_examples=200)
@given(rows=vectors, a_src=coordinates, a_tgt=coordinates, block=st.integers(1, 10))
def test_points_are_equation_3(rows, a_src, a_tgt, block):
    endpoints = np.array(rows, dtype=np.float32).T
    working = FlatModel(Vector(len(rows)))
    bilingual_P, source_P, target_P = (torch.from_numpy(np.ascontiguousarray(row)) for row in endpoints)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat, "_BLOCK", block)
        Interpolator(working, bilingual_P=bilingual_P, source_P=source_P, target_P=target_P).set(
            Point(a_src, a_tgt)
        )
    bilingual, source, target = endpoints.astype(np.float64)
    expected = bilingual + float(a_src) * (source - bilingual) + float(a_tgt) * (target - bilingual)
    terms = np.abs(bilingual * float(1 - a_src - a_tgt)) + np.abs(source * float(a_src))
    # Every product, sum and weight is rounded once: a few units in the last place of the largest term.
    allowed = 4 * np.finfo(np.float32).eps * (terms + np.abs(target * float(a_tgt))) + 1e-30
    # So is what is expected, in float64: at the target's corner it is B + (T - B), to the digits of B.
    steps = np.abs(bilingual) * float(1 + abs(a_src) + abs(a_tgt)) + terms + np.abs(target * float(a_tgt))
    allowed += 4 * np.finfo(np.float64).eps * steps
    found = working.model.weight.detach().numpy().astype(np.float64)
    assert (np.abs(found - expected) <= allowed).all()


def test_the_weights_are_the_ones_that_were_asked_for():
    working = interpolator()
    working.set(point("1.5", "-0.25"))  # -0.25 B + 1.5 S - 0.25 T: all exact in binary
    bilingual_P, source_P, target_P = (endpoint_P.double() for endpoint_P in working.endpoints.values())
    expected = -0.25 * bilingual_P + 1.5 * source_P - 0.25 * target_P
    torch.testing.assert_close(working.model.flat_P.double(), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("corner", CORNERS)
def test_corners_are_bit_equal(corner):
    vectors = {name: torch.tensor(AWKWARD).roll(shift) for shift, name in enumerate(CORNERS)}
    working = FlatModel(Vector(len(AWKWARD)))  # starts as NaN: nothing of it may stay
    Interpolator(
        working,
        bilingual_P=vectors["bilingual"],
        source_P=vectors["source"],
        target_P=vectors["target"],
    ).set(CORNERS[corner])
    assert bits(working.model.weight) == bits(vectors[corner])


@given(seed=st.integers(0, 2**31), corner=st.sampled_from(sorted(CORNERS)))
@settings(deadline=None)
def test_corners_are_bit_equal_for_any_bits(seed, corner):
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, 2**32, size=(3, 50), dtype=np.uint32).view(np.float32)
    drawn[~np.isfinite(drawn)] = 1.0
    vectors = dict(zip(CORNERS, map(torch.from_numpy, drawn), strict=True))
    working = FlatModel(Vector(50))
    Interpolator(
        working, bilingual_P=vectors["bilingual"], source_P=vectors["source"], target_P=vectors["target"]
    ).set(CORNERS[corner])
    assert bits(working.flat_P) == bits(vectors[corner])


@pytest.mark.parametrize("scope", ["encoder", "head"])
@pytest.mark.parametrize("where", [point("0.3", "-0.4"), SOURCE, TARGET, BILINGUAL])
def test_a_scope_moves_its_part_and_leaves_the_bilingual_rest(scope, where):
    working = interpolator()
    working.set(where)
    whole = {name: bits(p) for name, p in working.model.model.named_parameters()}
    working.set(BILINGUAL)
    bilingual = {name: bits(p) for name, p in working.model.model.named_parameters()}
    working.set(where, scope)
    for name, parameter in working.model.model.named_parameters():
        expected = whole if name.startswith(f"{scope}.") else bilingual
        assert bits(parameter) == expected[name], name
    if where != BILINGUAL:
        assert whole["head.weight"] != bilingual["head.weight"]


def test_a_point_does_not_depend_on_what_was_set_before():
    steps = [
        (point("0.3", "0.1"), "all"),
        (point("-0.5", "1.5"), "all"),
        (SOURCE, "all"),
        (point("0.3", "0.1"), "encoder"),
        (point("0.3", "0.1"), "head"),
        (TARGET, "head"),
        (BILINGUAL, "all"),
    ]
    alone = {}
    for step in steps:
        fresh = interpolator()
        fresh.set(*step)
        alone[step] = bits(fresh.model.flat_P)
    assert len({tuple(found) for found in alone.values()}) == len(steps)
    working = interpolator()
    for before in steps:
        for step in steps:
            working.set(*before)
            working.set(*step)
            assert bits(working.model.flat_P) == alone[step]


def test_endpoints_are_never_written_to():
    working = interpolator()
    before = [bits(endpoint_P) for endpoint_P in working.endpoints.values()]
    for where in (SOURCE, BILINGUAL, point("0.3", "0.1")):
        working.set(where)
        working.set(where, "head")
    assert [bits(endpoint_P) for endpoint_P in working.endpoints.values()] == before
