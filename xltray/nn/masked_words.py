"""Naming masked words (Devlin et al. 2019), also in a sentence and its translation: what a BERT learns from.

A sequence of two segments may be a sentence and its translation, in both of which words are masked:
a word can then be named from the other language (translation language modelling, Conneau and Lample
2019). Or it is two texts of which the encoder has to tell whether the second follows the first (BERT's
next-sentence prediction), read at the first token. No word of these is masked, unlike in BERT: two
masks look like a word that the texts share, and shared words are what a small encoder has to find.
Training on them is in ``masked_training.py``.

Training of encoders this small only starts when the output bias is initialised with the unigram
log-probabilities. Shapes: T tokens of a batch, M of them masked, S sequences that are asked
about, V subwords, H hidden.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from xltray.nn.encoder import encode_at
from xltray.nn.packing import Layout, Tokens, pack

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(len(SPECIALS))


class Passage(NamedTuple):
    """A sequence to train on. ``follows``: does its second text follow the first? None: not asked."""

    tokens: Tokens
    follows: bool | None = None


class Losses(NamedTuple):
    """Mean cross-entropies of a step; None where a batch has no masked word, or nothing asked about."""

    words: float | None
    following: float | None


class Masked(NamedTuple):
    """What the encoder sees, and which tokens it has to name."""

    ids_T: Tensor
    chosen_T: Tensor


def mask_words(ids_T: Tensor, rate: float, vocabulary: int, generator: torch.Generator) -> Masked:
    """Choose tokens to predict; 80% become [MASK], 10% a random token, 10% stay (Devlin et al. 2019).

    At least one token is chosen, so that there is always a loss.
    """
    chance_T = torch.rand(ids_T.shape, generator=generator)
    ordinary_T = ids_T >= len(SPECIALS)
    chosen_T = ordinary_T & (chance_T < rate)
    if not bool(chosen_T.any()):
        chosen_T[chance_T.masked_fill(~ordinary_T, torch.inf).argmin()] = True
    kind_T = torch.rand(ids_T.shape, generator=generator)
    random_T = torch.randint(len(SPECIALS), vocabulary, ids_T.shape, generator=generator)
    seen_T = torch.where(chosen_T & (kind_T < 0.8), MASK, ids_T)
    seen_T = torch.where(chosen_T & (kind_T >= 0.9), random_T, seen_T)
    return Masked(seen_T, chosen_T)


class Heads(nn.Module):
    """The encoder's two objectives: naming masked words, and telling what follows what."""

    def __init__(self, encoder: PreTrainedModel, passages: Sequence[Passage]) -> None:
        super().__init__()
        self.words = _MaskedWordHead(encoder, passages)
        asked = any(passage.follows is not None for passage in passages)
        # Only where it is needed: its weights would change what is drawn after them.
        self.following = nn.Linear(encoder.config.hidden_size, 2) if asked else None

    def forward(
        self,
        encoder: PreTrainedModel,
        passages: Sequence[Passage],
        mask_rate: float,
        generator: torch.Generator,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return the losses of both objectives on a batch, as in ``Losses``."""
        device = str(encoder.device)
        embeddings: nn.Embedding = encoder.get_input_embeddings()
        batch = pack([passage.tokens for passage in passages], layout=Layout.RUNS, device=device)
        follows = [passages[i].follows for i in batch.order]
        asked_B = torch.tensor([one is not None for one in follows])
        ids_T, asked_T = batch.ids_T.cpu(), asked_B[batch.sequence_T.cpu()]
        place_M = torch.empty(0, dtype=torch.long, device=device)
        seen_T = ids_T
        if not bool(asked_B.all()):
            # What counts as padding is not chosen.
            masked = mask_words(
                ids_T.masked_fill(asked_T, PAD), mask_rate, embeddings.num_embeddings, generator
            )
            place_M = masked.chosen_T.nonzero()[:, 0].to(device)
            seen_T = torch.where(asked_T, ids_T, masked.ids_T)
        place_S = torch.tensor(batch.starts)[asked_B].to(device)
        hidden = encode_at(encoder, batch.with_ids(seen_T.to(device)), torch.cat([place_M, place_S]))
        hidden_MH, hidden_SH = hidden[: len(place_M)], hidden[len(place_M) :]
        words = following = None
        if len(place_M):
            words = F.cross_entropy(self.words(hidden_MH, embeddings.weight), batch.ids_T[place_M])
        if self.following is not None and len(place_S):
            gold_S = torch.tensor([int(one) for one in follows if one is not None], device=device)
            following = F.cross_entropy(self.following(hidden_SH), gold_S)
        return words, following


class _MaskedWordHead(nn.Module):
    """BERT's output layer: transform, then the (tied) word embeddings and a bias."""

    def __init__(self, encoder: PreTrainedModel, passages: Sequence[Passage]) -> None:
        super().__init__()
        size, vocabulary = encoder.config.hidden_size, encoder.config.vocab_size
        self.transform = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.LayerNorm(size))
        counts = Counter(chain.from_iterable(passage.tokens.ids for passage in passages))
        for special in range(len(SPECIALS)):
            counts.pop(special, None)
        total = sum(counts.values())
        unigrams = [math.log((counts[id_] + 1) / (total + vocabulary)) for id_ in range(vocabulary)]
        self.bias = nn.Parameter(torch.tensor(unigrams))

    def forward(self, hidden_MH: Tensor, embeddings_VH: Tensor) -> Tensor:
        """Return logits_MV over the vocabulary."""
        return F.linear(self.transform(hidden_MH), embeddings_VH, self.bias)
