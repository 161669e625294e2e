"""Sentences and trees made by hand, and a parser whose answers are known."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import made_models as made
import pytest
import torch
from torch import Tensor, nn

from xltray.corpora.base import Sentence
from xltray.corpora.ud import DEPRELS
from xltray.nn.biaffine import ParserEnergies
from xltray.tasks.base import Evaluation
from xltray.tasks.parsing import ParsingTask

TASK = ParsingTask()
NO_PIECE = "\u200d"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Tree(NamedTuple):
    """A head and a relation for every word."""

    heads: tuple[int, ...]
    deprels: tuple[str, ...]


@pytest.fixture(scope="module")
def tokenizer():
    """Letters and whatever else: every unknown word is one piece."""
    return made.wordpiece([*LETTERS, *(f"##{c}" for c in LETTERS)])


def sentence(heads: Sequence[int], words=None, upos=None, deprels=None) -> Sentence:
    n = len(heads)
    words = words or [LETTERS[i % 26] for i in range(n)]
    deprels = deprels or ["root" if head == 0 else "obj" for head in heads]
    return Sentence(
        tuple(words), tuple(upos or ["NOUN"] * n), tuple(heads), tuple(deprels), " ".join(words), "here"
    )


def chain(words: int) -> Sentence:
    """Every word hangs on the one before."""
    return sentence(range(words))


def encode(examples, tokenizer, *, role="dev", max_length=128, limit=512):
    return TASK.encode(examples, tokenizer, role=role, max_length=max_length, limit=limit)


# --- a parser whose answers are known ---


class Oracle(nn.Module):
    """Stands where the parser stands: gives energies whose best trees are the given ones."""

    def __init__(self, trees: Sequence[Tree], batches: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.trees = [[trees[i] for i in members] for members in batches]
        self.calls = 0

    def forward(self, words_SNH: Tensor, mask_SN: Tensor) -> Tensor:
        return words_SNH

    def energies(self, scores: Tensor, mask_SN: Tensor, *_: object) -> ParserEnergies:
        trees = self.trees[self.calls]
        self.calls += 1
        size = mask_SN.shape[1] + 1
        generator = torch.Generator().manual_seed(self.calls)
        energies = torch.rand(len(trees), size, size, generator=generator) - 100
        relations = torch.randint(len(DEPRELS), energies.shape, generator=generator)
        for row, tree in enumerate(trees):
            for child, (head, relation) in enumerate(zip(tree.heads, tree.deprels, strict=True), 1):
                energies[row, child, head] = 0.0
                relations[row, child, head] = DEPRELS.index(relation)
        return ParserEnergies(energies, relations, torch.zeros(mask_SN.shape))


class Blind(nn.Module):
    """Stands where the encoder stands."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, packed) -> Tensor:
        return torch.zeros(len(packed.ids_T), 1)


def score(examples: Sequence[Sentence], trees: Sequence[Tree], tokenizer, *, size: int = 7) -> Evaluation:
    """Evaluate a parser that answers with these trees, in shuffled batches of ``size`` sentences."""
    split = encode(examples, tokenizer)
    order = list(range(len(examples)))
    random.Random(0).shuffle(order)
    members = [order[start : start + size] for start in range(0, len(order), size)]
    batches = [TASK.collate([split.sequences[i] for i in m], "cpu", training=False) for m in members]
    packed = [[m[i] for i in batch.packed.order] for m, batch in zip(members, batches, strict=True)]
    kept = [Tree(t.heads[:128], t.deprels[:128]) for t in trees]
    return TASK.evaluate(Blind(Oracle(kept, packed)), split, batches)


def perfect(examples: Sequence[Sentence]) -> list[Tree]:
    return [Tree(e.heads, e.deprels) for e in examples]


def random_tree(words: int, draw: random.Random) -> Tree:
    order = list(range(1, words + 1))
    draw.shuffle(order)
    heads = [0] * words
    for place, word in enumerate(order[1:], start=1):
        heads[word - 1] = draw.choice(order[:place])
    return Tree(tuple(heads), tuple(draw.choices(DEPRELS, k=words)))
