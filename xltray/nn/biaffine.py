"""The biaffine dependency parser: from word vectors to arc and label scores.

For a child word c and a head h, with r = ELU(MLP(word)) a different one for every role,

    arc score      s(h)     = r_h' W r_c + u' r_h                          (Dozat and Manning 2017, Eq. 4-6)
    label score    s(l | h) = r_h' W_l r_c + v_l' r_h + t_l' r_c + b_l     (Eq. 3)

and P(h) and P(l | h) are their softmaxes. A learned vector stands for ROOT at position 0.

Label scores of all pairs are never built from expanded pairs: U = r_h' W_l is computed once a head
(S x N1 x L x E numbers) and multiplied with all children at once. Energies go through the batch in
buckets of similar length, so that neither padding nor the (pair, label) scores grow large.

Compared with AllenNLP's ``BiaffineDependencyParser``, which the paper's authors adapted:

* The same: sizes, ELU, PyTorch's default initialisation of the MLPs, dropout with one mask a
  sentence on the MLPs' outputs, the ROOT vector ("head sentinel", drawn from N(0, 1)),
  Xavier-uniform arc weights with the bound of their (A + 1, A + 1) matrix, W_l and b_l initialised
  as ``nn.Bilinear`` does, and the sum of arc and label cross-entropy as the loss.
* Arcs: ``BilinearMatrixAttention`` with input biases also has a term for the child and a scalar. They
  add the same to every head of a child and vanish in its softmax; they are left out.
* Labels: ``nn.Bilinear`` has W_l and b_l only. v_l and t_l are Dozat and Manning's; they start at
  zero, so that both start as the same function.
* Energies: log P(h) + max over l of log P(l | h), so the best tree is the most probable one.
  AllenNLP exponentiates them first and so maximises a sum of probabilities.
* A word never heads itself, in the loss too; AllenNLP excludes that in decoding only. Padding is
  masked with -inf, not -1e8. The dropout on the encoder's output is the caller's business.
* Heads and children start from different weights, as in the authors' code; AllenNLP copies them.
* The root's arc and label are learned and scored like any other, as in AllenNLP. The authors' code
  takes the first token's vector for ROOT and masks it out as a head.

Sources: Dozat and Manning 2017, "Deep Biaffine Attention for Neural Dependency Parsing" (ICLR);
Gal and Ghahramani 2016 for the shared dropout mask.

Shape suffixes: S sentences, N words of the longest, N1 = N + 1 positions (ROOT, then words), H width
of a word vector, A arc_dim, E label_dim, L labels. Words come first in a row, padding after.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xltray.spec import ParserSpec

# Label scores held at once. On a CPU a bucket should stay in the cache; a GPU wants few, large buckets.
CPU_SCORES = 2**17
CUDA_SCORES = 2**27


class ParserScores(NamedTuple):
    """What one pass over a batch gives; label scores are left in factors."""

    arcs_SNN1: Tensor  # log P(head | child); -inf for the child itself and for padding heads
    label_heads_SN1E: Tensor  # r_h of the label scores
    label_children_SNE: Tensor  # r_c of the label scores


class ParserEnergies(NamedTuple):
    """What decoding needs: an energy and a label for every (child, head), ROOT's row 0 included."""

    energies_SN1N1: Tensor  # log P(h) + max over l of log P(l | h); 0 in row 0, else -inf where masked
    labels_SN1N1: Tensor  # the label of that maximum, int64; 0 in row 0 and where masked
    costs_SN: Tensor  # cross-entropy of the gold arc and label; 0 where there is no gold head


class SharedDropout(nn.Dropout):
    """Dropout with one mask a sentence, shared by its positions (AllenNLP: InputVariationalDropout)."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop features of (S, N, features); the argument's name is ``nn.Dropout``'s."""
        mask_S1F = F.dropout(input.new_ones(input.shape[0], 1, input.shape[2]), self.p, self.training)
        return input * mask_S1F


class BiaffineParser(nn.Module):
    """Scores arcs and labels; trees are found by ``xltray.nn.trees.decode``.

    Args:
        hidden_size: width of a word vector.
        labels: number of labels.
        spec: sizes and dropout.
    """

    def __init__(self, hidden_size: int, labels: int, spec: ParserSpec) -> None:
        super().__init__()
        arc, label = spec.arc_dim, spec.label_dim
        self.root_H = nn.Parameter(torch.randn(hidden_size))
        self.arc_head = _mlp(hidden_size, arc, spec.dropout)
        self.arc_child = _mlp(hidden_size, arc, spec.dropout)
        self.label_head = _mlp(hidden_size, label, spec.dropout)
        self.label_child = _mlp(hidden_size, label, spec.dropout)
        self.arc_weight_AA = nn.Parameter(torch.empty(arc, arc))
        self.arc_bias_A = nn.Parameter(torch.empty(arc))
        self.label_weight_LEE = nn.Parameter(torch.empty(labels, label, label))
        self.label_head_bias_LE = nn.Parameter(torch.zeros(labels, label))
        self.label_child_bias_LE = nn.Parameter(torch.zeros(labels, label))
        self.label_bias_L = nn.Parameter(torch.empty(labels))
        xavier = math.sqrt(3 / (arc + 1))
        bilinear = 1 / math.sqrt(label)
        for parameter in (self.arc_weight_AA, self.arc_bias_A):
            nn.init.uniform_(parameter, -xavier, xavier)
        for parameter in (self.label_weight_LEE, self.label_bias_L):
            nn.init.uniform_(parameter, -bilinear, bilinear)

    def forward(self, words_SNH: Tensor, mask_SN: Tensor) -> ParserScores:
        """Score arcs, and prepare for label scores.

        Args:
            words_SNH: word vectors.
            mask_SN: bool, True for words.
        """
        root_S1H = self.root_H.expand(len(words_SNH), 1, -1)
        positions_SN1H = torch.cat([root_S1H, words_SNH], 1)
        heads_SN1A, children_SNA = self.arc_head(positions_SN1H), self.arc_child(words_SNH)
        logits_SNN1 = torch.baddbmm(
            (heads_SN1A @ self.arc_bias_A)[:, None, :],
            children_SNA @ self.arc_weight_AA.T,
            heads_SN1A.transpose(1, 2),
        )
        # Column 0 stays open in every row, so that no softmax is empty, not even in padding.
        is_head_SN1 = F.pad(mask_SN, (1, 0), value=True)
        itself_NN1 = torch.eye(mask_SN.shape[1], dtype=torch.bool, device=mask_SN.device)
        closed_SNN1 = ~is_head_SN1[:, None, :] | F.pad(itself_NN1, (1, 0), value=False)
        return ParserScores(
            arcs_SNN1=logits_SNN1.masked_fill(closed_SNN1, -torch.inf).log_softmax(-1),
            label_heads_SN1E=self.label_head(positions_SN1H),
            label_children_SNE=self.label_child(words_SNH),
        )

    def label_logits_at(self, scores: ParserScores, heads_SN: Tensor, chosen_SN: Tensor) -> Tensor:
        """Return label logits (W, L) of one head a word, e.g. the gold head in training.

        Args:
            scores: what ``forward`` returned.
            heads_SN: int64, position of each word's head, 0 for ROOT.
            chosen_SN: bool, the W words wanted; nothing is computed for the others.
        """
        sentence_W, word_W = chosen_SN.nonzero(as_tuple=True)
        heads_WE = scores.label_heads_SN1E[sentence_W, heads_SN[chosen_SN]]
        children_WE = scores.label_children_SNE[sentence_W, word_W]
        products_WLE, bias_WL = self._label_factors(heads_WE)
        return (products_WLE @ children_WE[..., None]).squeeze(-1) + bias_WL

    def loss(
        self, scores: ParserScores, heads_SN: Tensor, labels_SN: Tensor, scored_SN: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the summed cross-entropy of arcs and labels, and the number of words that it is over.

        Args:
            scores: what ``forward`` returned.
            heads_SN: int64, gold heads' positions, 0 for ROOT; -1 where the head is outside the cut
                sentence: such a word is left out.
            labels_SN: int64, gold labels; any value where not scored.
            scored_SN: bool, the words that count; False in padding.
        """
        scored_SN = scored_SN & (heads_SN >= 0)
        arcs_W = scores.arcs_SNN1[scored_SN].gather(1, heads_SN[scored_SN][:, None])
        labels_WL = self.label_logits_at(scores, heads_SN, scored_SN)
        total = F.cross_entropy(labels_WL, labels_SN[scored_SN], reduction="sum") - arcs_W.sum()
        return total, scored_SN.sum()

    @torch.inference_mode()
    def energies(
        self,
        scores: ParserScores,
        mask_SN: Tensor,
        heads_SN: Tensor,
        labels_SN: Tensor,
        lengths: Sequence[int] | None = None,
    ) -> ParserEnergies:
        """Return energies to give to ``trees.decode``, the best label of every arc, and the gold's cost.

        Args:
            scores: what ``forward`` returned, in eval mode.
            mask_SN: bool, True for words.
            heads_SN: int64, gold heads, as for ``loss``.
            labels_SN: int64, gold labels; any label where there is none.
            lengths: words of each sentence. Without them the mask is read, for which a GPU is waited for.
        """
        sentences, longest = mask_SN.shape
        energies_SN1N1 = scores.arcs_SNN1.new_full((sentences, longest + 1, longest + 1), -torch.inf)
        energies_SN1N1[:, 0] = 0
        labels_SN1N1 = torch.zeros_like(energies_SN1N1, dtype=torch.int64)
        outside_SN = ~mask_SN | (heads_SN < 0)
        heads_SN = heads_SN.masked_fill(outside_SN, 0)
        gold_SN = scores.arcs_SNN1.gather(2, heads_SN[..., None]).squeeze(-1)
        held = CPU_SCORES if mask_SN.device.type == "cpu" else CUDA_SCORES
        lengths = mask_SN.sum(1).tolist() if lengths is None else lengths
        for rows_B, n in _buckets(mask_SN.sum(1), lengths, held // len(self.label_bias_L)):
            bucket = ParserScores(
                scores.arcs_SNN1[rows_B, :n, : n + 1],
                scores.label_heads_SN1E[rows_B, : n + 1],
                scores.label_children_SNE[rows_B, :n],
            )
            best_BNN1, labels_BNN1, gold_BN = self._label_log_probs(
                bucket, heads_SN[rows_B, :n], labels_SN[rows_B, :n]
            )
            energies_SN1N1[rows_B, 1 : n + 1, : n + 1] = bucket.arcs_SNN1 + best_BNN1
            labels_SN1N1[rows_B, 1 : n + 1, : n + 1] = labels_BNN1
            gold_SN[rows_B, :n] += gold_BN
        # Shorter sentences of a bucket have padding of their own.
        energies_SN1N1[:, 1:].masked_fill_(~mask_SN[..., None], -torch.inf)
        labels_SN1N1.masked_fill_(energies_SN1N1 == -torch.inf, 0)
        return ParserEnergies(energies_SN1N1, labels_SN1N1, (-gold_SN).masked_fill(outside_SN, 0))

    def _label_factors(self, heads_E: Tensor) -> tuple[Tensor, Tensor]:
        """Return U = r_h' W_l + t_l' and d = v_l' r_h + b_l for every label: a logit is U r_c + d."""
        labels, width, _ = self.label_weight_LEE.shape
        weight_EK = self.label_weight_LEE.transpose(0, 1).reshape(width, labels * width)
        products_LE = torch.addmm(
            self.label_child_bias_LE.flatten(), heads_E.reshape(-1, width), weight_EK
        ).view(*heads_E.shape[:-1], labels, width)
        return products_LE, F.linear(heads_E, self.label_head_bias_LE, self.label_bias_L)

    def _label_log_probs(
        self, scores: ParserScores, heads_SN: Tensor, labels_SN: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the greatest label log-probability of every (child, head), its label, and the gold's."""
        products_SN1LE, bias_SN1L = self._label_factors(scores.label_heads_SN1E)
        # K: every (head, label). Children last, so that the reductions over labels run over rows.
        logits_SKN = torch.baddbmm(
            bias_SN1L.flatten(1)[..., None],
            products_SN1LE.flatten(1, 2),
            scores.label_children_SNE.transpose(1, 2),
        )
        logits_SN1LN = logits_SKN.view(*bias_SN1L.shape, -1)
        best_SN1N, labels_SN1N = logits_SN1LN.max(2)
        # The label of the maximum has log-probability max - logsumexp; the other ones are never formed.
        normaliser_SN1N = (logits_SN1LN - best_SN1N[:, :, None]).exp_().sum(2).log_()
        gold_SN = logits_SKN.gather(1, (heads_SN * bias_SN1L.shape[-1] + labels_SN)[:, None]).squeeze(1)
        gold_SN -= (best_SN1N + normaliser_SN1N).gather(1, heads_SN[:, None]).squeeze(1)
        return -normaliser_SN1N.transpose(1, 2), labels_SN1N.transpose(1, 2), gold_SN


def _mlp(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ELU(), SharedDropout(dropout))


def _buckets(lengths_S: Tensor, lengths: Sequence[int], pairs: int) -> Iterator[tuple[Tensor, int]]:
    """Yield rows of similar length and their longest, so that padded rows hold about ``pairs`` pairs.

    ``lengths_S`` are the lengths on the device, where rows are sorted; ``lengths`` the same on the host.
    """
    order_S = lengths_S.argsort(descending=True, stable=True)
    remaining = sorted((n for n in lengths if n > 0), reverse=True)
    start = 0
    while start < len(remaining):
        n = remaining[start]
        stop = min(len(remaining), start + max(1, pairs // (n * (n + 1))))
        yield order_S[start:stop], n
        start = stop
