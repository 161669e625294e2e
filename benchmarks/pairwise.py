"""The biaffine parser as others run it: on padded words, with trees found one by one in Python.

Label scores in two ways: ``nn.Bilinear`` over all expanded pairs of words, as in AllenNLP, and by einsum in
two factors, as a user would who has profiled the first.

Shapes: B sentences, N words of the longest, N1 positions (ROOT first), L labels, E label_dim.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.python_trees import best_tree
from xltray.nn.biaffine import BiaffineParser
from xltray.spec import ParserSpec


class Trees(NamedTuple):
    """Head and label of every word; 0 in padding."""

    heads_BN: Tensor
    labels_BN: Tensor


class PaddedParser(BiaffineParser):
    """The parameters of ``BiaffineParser`` and its arc scores, with other label scores and decoding.

    Args:
        hidden_size: width of a word vector.
        labels: number of labels.
        spec: sizes and dropout.
        pairwise: score labels by ``nn.Bilinear`` over expanded pairs, and decode all sentences by search.
            Otherwise by einsum, and greedy heads that form a tree are taken as they are.
    """

    def __init__(self, hidden_size: int, labels: int, spec: ParserSpec, *, pairwise: bool) -> None:
        super().__init__(hidden_size, labels, spec)
        self.pairwise = pairwise

    def parse(self, words_BNH: Tensor, mask_BN: Tensor) -> Trees:
        """Find the best tree of every sentence."""
        scores = self(words_BNH, mask_BN)
        pair = self._expanded if self.pairwise else self._factored
        logits_BNN1L = pair(scores.label_heads_SN1E, scores.label_children_SNE)
        best_BNN1, labels_BNN1 = logits_BNN1L.log_softmax(-1).max(-1)
        energies_BNN1 = scores.arcs_SNN1 + best_BNN1
        heads_BN = self._decode(energies_BNN1, mask_BN.sum(1).tolist())
        return Trees(heads_BN, labels_BNN1.gather(2, heads_BN[..., None]).squeeze(2))

    def _expanded(self, heads_BN1E: Tensor, children_BNE: Tensor) -> Tensor:
        words, positions = children_BNE.shape[1], heads_BN1E.shape[1]
        heads_BNN1E = heads_BN1E[:, None].expand(-1, words, -1, -1).contiguous()
        children_BNN1E = children_BNE[:, :, None].expand(-1, -1, positions, -1).contiguous()
        logits_BNN1L = F.bilinear(heads_BNN1E, children_BNN1E, self.label_weight_LEE, self.label_bias_L)
        return logits_BNN1L + self._linear_terms(heads_BN1E, children_BNE)

    def _factored(self, heads_BN1E: Tensor, children_BNE: Tensor) -> Tensor:
        products_BN1LE = torch.einsum("bhe,lef->bhlf", heads_BN1E, self.label_weight_LEE)
        logits_BNN1L = torch.einsum("bhlf,bcf->bchl", products_BN1LE, children_BNE)
        return logits_BNN1L + self.label_bias_L + self._linear_terms(heads_BN1E, children_BNE)

    def _linear_terms(self, heads_BN1E: Tensor, children_BNE: Tensor) -> Tensor:
        of_heads_BN1L = F.linear(heads_BN1E, self.label_head_bias_LE)
        return of_heads_BN1L[:, None] + F.linear(children_BNE, self.label_child_bias_LE)[:, :, None]

    def _decode(self, energies_BNN1: Tensor, lengths: list[int]) -> Tensor:
        heads_BN = energies_BNN1.argmax(2).cpu()
        energies = energies_BNN1.cpu().numpy()
        for index, words in enumerate(lengths):
            greedy = heads_BN[index, :words].tolist()
            if self.pairwise or not _is_tree(greedy):
                scores_N1N1 = np.zeros((words + 1, words + 1))
                scores_N1N1[1:] = energies[index, :words, : words + 1]
                heads_BN[index, :words] = torch.from_numpy(best_tree(scores_N1N1)[1:])
        return heads_BN.to(energies_BNN1.device)


def _is_tree(heads: list[int]) -> bool:
    """Return whether words' heads (from 1; 0 is ROOT) form a tree with one root."""
    if heads.count(0) != 1:
        return False
    reached = {0}
    for start in range(1, len(heads) + 1):
        path, position = set(), start
        while position not in reached:
            if position in path:
                return False
            path.add(position)
            position = heads[position - 1]
        reached |= path
    return True
