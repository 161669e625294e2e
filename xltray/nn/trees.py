"""Maximum spanning trees: from arc scores to the best dependency tree with one root.

A dependency tree of n words is a spanning tree of n + 1 vertices in which ROOT (vertex 0) has
exactly one child, as Universal Dependencies requires. ``decode`` finds, for every sentence of a
batch, the tree with the greatest sum of arc scores.

How it works, for one sentence:

1. Every word takes its best head. If that is a tree with one root, it is the maximum, for no tree
   can score more than its words' best arcs (Stanojevic and Cohen's "ArcMax").
2. Otherwise Chu-Liu/Edmonds in Tarjan's path-growing form: follow best arcs from a word; when they
   close a cycle, contract it to one node whose incoming arcs are worth what they gain over the
   cycle's own; go on until ROOT is reached; then expand. A node keeps its best arc from every
   *vertex*, so that a contraction merges rows and never columns: O(n^2) in all.

The single root is exact by reweighting: arcs from ROOT are made so expensive that a maximum tree has
as few of them as possible, which is one. Adding a big number to floating-point scores would cost
digits, so the penalty is kept apart: a weight is a pair (level, score), compared level first. The
algorithm only adds, subtracts and compares, and such pairs can do all three. The level also carries
the infinite scores: -inf and NaN forbid an arc (level -1, score 0), +inf demands it (level +1). A
tree that uses a forbidden arc comes out only where every single-rooted tree has one, and then has
as few of them as possible. So every input has an answer, and equal scores always give the same one.

Sources: Chu and Liu 1965; Edmonds 1967, "Optimum branchings"; Tarjan 1977, "Finding optimum
branchings"; Stanojevic and Cohen 2021, "A Root of a Problem: Optimizing Single-Root Dependency
Parsing" (EMNLP), section 4, for the reweighting and its proof.

Shape suffixes: S sentences, N positions (ROOT and the longest sentence's words).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.floating]

P = ParamSpec("P")
R = TypeVar("R")


def _compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile with numba on first use; the GIL is released while it runs.

    Machine code is kept on disk beside this file or in the user's cache folder. Where neither can be
    written (a read-only image without a home) numba refuses to cache, and every process compiles.
    """
    try:
        compiled = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        compiled = numba.njit(nogil=True)(function)
    return cast("Callable[P, R]", compiled)


class _Nodes(NamedTuple):
    """Words and contracted cycles of one sentence; M = 2n + 1 nodes at most, N = n + 1 vertices.

    Node 0 is ROOT, nodes 1..n are the words, the others are cycles in the order of contraction.
    """

    level_MN: Ints  # weight of the node's best arc from a vertex: what is compared first
    score_MN: Floats  # and what is compared second
    child_MN: Ints  # the word inside the node that this arc enters
    head_M: Ints  # the vertex that the node's best arc comes from
    parent_M: Ints  # the cycle that the node was contracted into
    done_M: Ints  # 1 when the node's best arcs lead to ROOT; at last 1 for every outermost node
    path_M: Ints  # 1 when the node is on the path that is being grown
    outermost_N: Ints  # the outermost node that a vertex is in


def decode(scores_SNN: Scores, lengths_S: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """Return the head of every word in the best single-rooted tree of each sentence.

    Args:
        scores_SNN: score of the arc ``[sentence, child, head]``; position 0 is ROOT, words follow
            from 1. Row 0, the diagonal and what lies past a sentence's last word are not read.
        lengths_S: number of words of each sentence, 0 to N - 1.

    Returns:
        heads_SN: the head's position; 0 is ROOT. Position 0 and padding hold 0.

    Raises:
        ValueError: the shapes do not fit together, or a length is outside 0..N - 1.
    """
    if scores_SNN.ndim != 3 or scores_SNN.shape[1] != scores_SNN.shape[2] or scores_SNN.shape[1] == 0:
        raise ValueError(f"scores have shape {scores_SNN.shape}; expected (sentences, N, N) with N >= 1")
    if lengths_S.shape != scores_SNN.shape[:1]:
        raise ValueError(f"lengths have shape {lengths_S.shape}; expected {scores_SNN.shape[:1]}")
    longest = scores_SNN.shape[1] - 1
    if lengths_S.size and (lengths_S.min() < 0 or lengths_S.max() > longest):
        raise ValueError(
            f"lengths range from {lengths_S.min()} to {lengths_S.max()}; expected 0 to {longest}"
        )
    # Each layout and dtype costs a compilation of seconds, so only these two reach the compiler.
    dtype = np.float32 if scores_SNN.dtype == np.float32 else np.float64
    return _decode(
        np.ascontiguousarray(scores_SNN, dtype=dtype), np.ascontiguousarray(lengths_S, dtype=np.int64)
    )


@_compiled
def _best_heads(scores_NN: Scores, n: int, heads_N: npt.NDArray[np.int32]) -> bool:
    """Give every word its best head; return whether that is a tree with one root."""
    roots = 0
    for child in range(1, n + 1):
        best, best_head = -np.inf, -1
        for head in range(n + 1):
            if head != child and scores_NN[child, head] > best:
                best, best_head = scores_NN[child, head], head
        if best_head < 0:  # nothing but -inf and NaN
            return False
        heads_N[child] = best_head
        roots += best_head == 0
    if roots != 1:
        return False
    # Climb from every word, leaving its number behind: meeting it again closes a cycle.
    seen_N = np.zeros(n + 1, np.int64)
    for word in range(1, n + 1):
        vertex = word
        while vertex != 0 and seen_N[vertex] == 0:
            seen_N[vertex] = word
            vertex = heads_N[vertex]
        if vertex != 0 and seen_N[vertex] == word:
            return False
    return True


@_compiled
def _start(scores_NN: Scores, n: int) -> _Nodes:
    """Return the words as nodes, with weights in (level, score) form."""
    nodes = 2 * n + 1
    level_MN = np.zeros((nodes, n + 1), np.int64)
    score_MN = np.zeros((nodes, n + 1), np.float64)
    child_MN = np.zeros((nodes, n + 1), np.int64)
    # Infinite scores move a tree's level by -n to n: one ROOT arc more outweighs them all.
    root_penalty = 2 * n + 1
    for child in range(1, n + 1):
        for head in range(n + 1):
            score = scores_NN[child, head]
            if np.isfinite(score):
                score_MN[child, head] = score
            else:
                level_MN[child, head] = 1 if score > 0 else -1
            child_MN[child, head] = child
        level_MN[child, 0] -= root_penalty
    empty = np.zeros(nodes, np.int64)
    done_M = np.zeros(nodes, np.int64)
    done_M[0] = 1
    return _Nodes(
        level_MN, score_MN, child_MN, empty.copy(), empty.copy(), done_M, empty.copy(), np.arange(n + 1)
    )


@_compiled
def _choose_head(nodes: _Nodes, node: int, n: int) -> int:
    """Set and return the vertex outside the node that its best arc comes from; the first of equals."""
    best = 0  # ROOT is never inside a node
    for head in range(1, n + 1):
        level, best_level = nodes.level_MN[node, head], nodes.level_MN[node, best]
        if nodes.outermost_N[head] != node and (
            level > best_level
            or (level == best_level and nodes.score_MN[node, head] > nodes.score_MN[node, best])
        ):
            best = head
    nodes.head_M[node] = best
    return best


@_compiled
def _contract(nodes: _Nodes, first: int, cycle: int, n: int) -> None:
    """Merge the cycle of best arcs through node ``first`` into the new node ``cycle``."""
    member = first
    while True:
        best = nodes.head_M[member]
        level, score = nodes.level_MN[member, best], nodes.score_MN[member, best]
        for head in range(n + 1):
            gain_level, gain = nodes.level_MN[member, head] - level, nodes.score_MN[member, head] - score
            if (
                member == first
                or gain_level > nodes.level_MN[cycle, head]
                or (gain_level == nodes.level_MN[cycle, head] and gain > nodes.score_MN[cycle, head])
            ):
                nodes.level_MN[cycle, head] = gain_level
                nodes.score_MN[cycle, head] = gain
                nodes.child_MN[cycle, head] = nodes.child_MN[member, head]
        nodes.parent_M[member] = cycle
        member = nodes.outermost_N[best]
        if member == first:
            break
    for vertex in range(1, n + 1):
        if nodes.parent_M[nodes.outermost_N[vertex]] == cycle:
            nodes.outermost_N[vertex] = cycle


@_compiled
def _grow(nodes: _Nodes, n: int) -> int:
    """Choose best arcs and contract cycles until every word reaches ROOT; return the number of nodes."""
    count = n + 1
    for word in range(1, n + 1):
        node = nodes.outermost_N[word]
        while nodes.done_M[node] == 0:
            nodes.path_M[node] = 1
            above = nodes.outermost_N[_choose_head(nodes, node, n)]
            if nodes.done_M[above] == 1:
                break
            if nodes.path_M[above] == 1:
                _contract(nodes, above, count, n)
                above = count
                count += 1
            node = above
        node = nodes.outermost_N[word]
        while nodes.done_M[node] == 0:
            nodes.done_M[node] = 1
            node = nodes.outermost_N[nodes.head_M[node]]
    return count


@_compiled
def _expand(nodes: _Nodes, count: int, heads_N: npt.NDArray[np.int32]) -> None:
    """Read the heads off: an arc into a cycle replaces the best arc of the member that it enters."""
    replaced_M = np.zeros(count, np.int64)
    for node in range(count - 1, 0, -1):
        if replaced_M[node] == 0:
            head = nodes.head_M[node]
            word = nodes.child_MN[node, head]
            heads_N[word] = head
            inside = word
            while inside != node:
                replaced_M[inside] = 1
                inside = nodes.parent_M[inside]


@_compiled
def _decode(scores_SNN: Scores, lengths_S: Ints) -> npt.NDArray[np.int32]:
    """Decode sentence by sentence; the arguments have been checked."""
    heads_SN = np.zeros(scores_SNN.shape[:2], np.int32)
    for s in range(len(lengths_S)):
        n = lengths_S[s]
        if not _best_heads(scores_SNN[s], n, heads_SN[s]):
            nodes = _start(scores_SNN[s], n)
            _expand(nodes, _grow(nodes, n), heads_SN[s])
    return heads_SN
