"""The tree search against enumeration, against networkx, and on input that no parser should give it."""

from __future__ import annotations

import itertools
import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xltray.nn import trees
from xltray.nn.trees import decode


def is_tree(heads):
    """Whether heads (position 0 unused) form a tree with exactly one child of ROOT."""
    if sum(head == 0 for head in heads[1:]) != 1:
        return False
    for word in range(1, len(heads)):
        seen = set()
        while word != 0:
            if word in seen:
                return False
            seen.add(word)
            word = heads[word]
    return True


def all_trees(n):
    for heads in itertools.product(range(n + 1), repeat=n):
        if is_tree((0, *heads)):
            yield (0, *heads)


TREES = {n: list(all_trees(n)) for n in range(1, 6)}


def worth(scores, heads):
    """What a maximum tree is maximal in: (how few arcs are forbidden, sum of the other scores)."""
    arcs = [float(scores[child, head]) for child, head in enumerate(heads) if child]
    allowed = [arc for arc in arcs if arc > -math.inf]  # False for NaN, too
    return len(allowed) - len(arcs), math.fsum(allowed)


def decode_one(scores):
    return decode(scores[None], np.array([len(scores) - 1]))[0].tolist()


def random_scores(generator, n):
    return generator.normal(size=(n + 1, n + 1))


def test_number_of_trees_is_cayleys():
    # n^(n-1) rooted labelled trees: the enumeration that the next tests trust is complete.
    assert [len(TREES[n]) for n in TREES] == [n ** (n - 1) for n in TREES]


@st.composite
def score_matrices(draw, values):
    n = draw(st.integers(1, 5))
    return draw(arrays(draw(st.sampled_from([np.float32, np.float64])), (n + 1, n + 1), elements=values))


@settings(max_examples=300, deadline=None)
@given(score_matrices(st.one_of(st.integers(-2, 2).map(float), st.sampled_from([-math.inf, math.nan]))))
def test_equals_enumeration_with_ties_and_forbidden_arcs(scores):
    heads = decode_one(scores)
    assert is_tree(heads)
    assert worth(scores, heads) == max(worth(scores, tree) for tree in TREES[len(scores) - 1])


@settings(max_examples=200, deadline=None)
@given(score_matrices(st.floats(-1e6, 1e6, width=32)))
def test_equals_enumeration_with_floats(scores):
    heads = decode_one(scores)
    assert is_tree(heads)
    best = max(worth(scores, tree)[1] for tree in TREES[len(scores) - 1])
    assert worth(scores, heads)[1] == pytest.approx(best, rel=1e-12, abs=1e-6)


def networkx_best(scores):
    """Greatest sum of a single-rooted tree: the best over every choice of ROOT's only child."""
    n = len(scores) - 1
    best = -math.inf
    for root in range(1, n + 1):
        graph = nx.DiGraph()
        graph.add_edge(0, root, weight=scores[root, 0])
        for child, head in itertools.permutations(range(1, n + 1), 2):
            if child != root:
                graph.add_edge(head, child, weight=scores[child, head])
        arborescence = nx.maximum_spanning_arborescence(graph)
        best = max(best, math.fsum(weight for _, _, weight in arborescence.edges(data="weight")))
    return best


@pytest.mark.parametrize("n", [6, 8, 11, 15])
@pytest.mark.parametrize("root_bonus", [0.0, 3.0, -3.0])
def test_equals_networkx(n, root_bonus):
    scores = random_scores(np.random.default_rng(n), n)
    scores[:, 0] += root_bonus  # many tempting roots, or none
    heads = decode_one(scores)
    assert is_tree(heads)
    assert worth(scores, heads)[1] == pytest.approx(networkx_best(scores), abs=1e-9)


def test_one_root_where_the_unconstrained_maximum_has_three():
    scores = np.full((4, 4), 1.0)
    scores[1:, 0] = [10.0, 11.0, 10.0]
    scores[1, 2] = scores[3, 2] = 2.0
    assert decode_one(scores) == [0, 2, 0, 2]


def test_nested_cycles():
    # 1 and 2 prefer each other, that pair and 3 prefer each other, and so on up to ROOT.
    n = 12
    scores = np.zeros((n + 1, n + 1))
    for word in range(2, n + 1):
        scores[word, word - 1] = 100.0
        scores[word - 1, word] = 100.0 - word
    heads = decode_one(scores)
    assert heads == [0, *range(n)]


def greedy_repaired(scores):
    """Any single-rooted tree that greedy search comes to: attach the best arc to what is reached."""
    n = len(scores) - 1
    heads = [0] * (n + 1)
    reached = {int(np.argmax(scores[1:, 0])) + 1}
    while len(reached) < n:
        outside = [word for word in range(1, n + 1) if word not in reached]
        word, head = max(itertools.product(outside, reached), key=lambda arc: scores[arc])
        heads[word] = head
        reached.add(word)
    return heads


@pytest.mark.parametrize("n", [30, 60, 128])
def test_long_sentences(n):
    generator = np.random.default_rng(n)
    for _ in range(5):
        scores = random_scores(generator, n)
        heads = decode_one(scores)
        repaired = greedy_repaired(scores)
        assert is_tree(heads)
        assert is_tree(repaired)
        assert worth(scores, heads) >= worth(scores, repaired)
        # No maximum: a change of one head that keeps the tree a tree must not gain.
        for word, head in itertools.product(range(1, n + 1), range(1, n + 1)):
            if scores[word, head] > scores[word, heads[word]] and heads[word] != 0:
                assert not is_tree([*heads[:word], head, *heads[word + 1 :]])


def test_greedy_tree_is_taken_without_search():
    # The compiled code calls no Python, so this looks at the two steps themselves.
    scores = np.zeros((4, 4))
    scores[1, 0] = scores[2, 1] = scores[3, 1] = 5.0
    heads = np.zeros(4, np.int32)
    assert trees._best_heads(scores, 3, heads)
    assert heads.tolist() == [0, 0, 1, 1] == decode_one(scores)
    scores[1, 2] = 9.0  # 1 and 2 now head each other
    assert not trees._best_heads(scores, 3, heads)


@pytest.mark.parametrize("value", [math.nan, -math.inf, math.inf, 0.0, 1e308, -1e308])
@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_constant_scores_give_a_tree_and_always_the_same(value, n):
    scores = np.full((n + 1, n + 1), value)
    heads = decode_one(scores)
    assert is_tree(heads)
    assert decode_one(scores.copy()) == heads


def test_nan_among_scores_only_forbids_its_arcs():
    generator = np.random.default_rng(5)
    scores = random_scores(generator, 9)
    scores[generator.random(scores.shape) < 0.3] = np.nan
    forbidden = np.where(np.isnan(scores), -np.inf, scores)
    heads = decode_one(scores)
    assert heads == decode_one(forbidden)
    assert worth(scores, heads)[0] == 0


def test_infinite_score_demands_its_arc():
    scores = random_scores(np.random.default_rng(6), 9)
    scores[4, 7] = np.inf
    assert decode_one(scores)[4] == 7


def test_padding_and_neighbours_change_nothing():
    generator = np.random.default_rng(7)
    lengths = np.array([0, 1, 5, 12, 3])
    scores = np.full((5, 15, 15), np.nan)
    alone = []
    for s, n in enumerate(lengths):
        scores[s] = generator.normal(size=(15, 15)) * 100
        alone.append(decode_one(scores[s, : n + 1, : n + 1].copy()))
    heads = decode(scores, lengths)
    assert heads.dtype == np.int32
    for s, n in enumerate(lengths):
        assert heads[s, : n + 1].tolist() == alone[s]
        assert not heads[s, n + 1 :].any()


def test_row_of_root_and_diagonal_are_not_read():
    scores = random_scores(np.random.default_rng(8), 6)
    changed = scores.copy()
    np.fill_diagonal(changed, 1e9)
    changed[0] = np.nan
    assert decode_one(changed) == decode_one(scores)


def test_single_precision_and_strided_input():
    scores = random_scores(np.random.default_rng(9), 8).astype(np.float32)
    heads = decode_one(scores)
    assert decode_one(scores.astype(np.float64)) == heads
    assert decode_one(np.asfortranarray(scores)) == heads


def test_empty_batch():
    assert decode(np.zeros((0, 4, 4)), np.zeros(0, np.int64)).shape == (0, 4)
    assert decode(np.zeros((2, 1, 1)), np.zeros(2, np.int64)).tolist() == [[0], [0]]


@pytest.mark.parametrize(
    ("shape", "lengths", "message"),
    [
        ((2, 3, 4), [1, 1], "scores have shape"),
        ((2, 0, 0), [0, 0], "scores have shape"),
        ((2, 3, 3), [1], "lengths have shape"),
        ((2, 3, 3), [1, 3], "lengths range from 1 to 3; expected 0 to 2"),
        ((2, 3, 3), [-1, 2], "lengths range from -1 to 2"),
    ],
)
def test_wrong_arguments_are_named(shape, lengths, message):
    with pytest.raises(ValueError, match=message):
        decode(np.zeros(shape), np.array(lengths))


def test_compiles_where_no_cache_can_be_written():
    namespace = {}
    exec("def double(x):\n    return 2 * x", namespace)  # code without a file, which numba cannot cache
    assert trees._compiled(namespace["double"])(4) == 8
