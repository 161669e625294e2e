"""Chu-Liu/Edmonds as it is written in Python: recursive, a matrix a contraction (after Dozat's parser).

With several roots in the best tree, each word is tried as the only one. Where trees tie, another than
``xltray.nn.trees`` finds may come out; sums of floating-point energies hardly ever tie.

Shapes: N positions of one sentence, ROOT first; scores_NN[child, head].
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
Heads = npt.NDArray[np.int64]


def best_tree(scores_NN: Scores) -> Heads:
    """Return the head of every position of the best tree with one root; ROOT's own is 0."""
    scores_NN = scores_NN.astype(np.float64)
    heads_N = _spanning_tree(scores_NN)
    if (heads_N[1:] == 0).sum() == 1:
        return heads_N
    trees = []
    for root in range(1, len(scores_NN)):
        rooted_NN = scores_NN.copy()
        rooted_NN[1:, 0] = -np.inf
        rooted_NN[root] = -np.inf
        rooted_NN[root, 0] = scores_NN[root, 0]
        heads_N = _spanning_tree(rooted_NN)
        trees.append((rooted_NN[np.arange(1, len(heads_N)), heads_N[1:]].sum(), heads_N))
    return max(trees, key=lambda tree: float(tree[0]))[1]


def _spanning_tree(scores_NN: Scores) -> Heads:
    scores_NN = scores_NN.copy()
    np.fill_diagonal(scores_NN, -np.inf)
    heads_N: Heads = scores_NN.argmax(1)
    heads_N[0] = 0
    cycle = _cycle(heads_N)
    if cycle is None:
        return heads_N
    outside = np.setdiff1d(np.arange(len(heads_N)), cycle)
    own_C = scores_NN[cycle, heads_N[cycle]]
    # An arc into the cycle breaks it at one word; it is worth what it gains over that word's own arc.
    into_CO = scores_NN[np.ix_(cycle, outside)] - own_C[:, None]
    from_OC = scores_NN[np.ix_(outside, cycle)]
    entered_O, leaving_O = into_CO.argmax(0), from_OC.argmax(1)
    contracted_MM = np.pad(scores_NN[np.ix_(outside, outside)], (0, 1))
    contracted_MM[-1, :-1], contracted_MM[:-1, -1] = into_CO.max(0), from_OC.max(1)
    inner_M = _spanning_tree(contracted_MM)
    last = len(outside)
    for place, head in enumerate(inner_M[:-1]):
        heads_N[outside[place]] = cycle[leaving_O[place]] if head == last else outside[head]
    heads_N[0] = 0
    head = inner_M[-1]
    heads_N[cycle[entered_O[head]]] = outside[head]
    return heads_N


def _cycle(heads_N: Heads) -> Heads | None:
    """Return the members of a cycle, if there is one."""
    heads = heads_N.tolist()
    seen = {0}
    for start in range(1, len(heads)):
        path: list[int] = []
        position = start
        while position not in seen:
            seen.add(position)
            path.append(position)
            position = heads[position]
        if position in path:
            return np.array(path[path.index(position) :])
    return None
