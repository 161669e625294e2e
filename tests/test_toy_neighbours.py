"""Texts of the toy languages that follow each other, and that do not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from statistics import mean

import pytest

from xltray.corpora.toy import ToyCorpus
from xltray.corpora.toy_dice import Dice
from xltray.corpora.toy_pairs import TreePair, tree_pairs
from xltray.corpora.toy_surface import surface
from xltray.spec import DataSpec
from xltray.spec_toy import ToySpec

CORPUS = ToyCorpus(DataSpec(toy=ToySpec(train_pairs=3000, dev_pairs=600)))


def test_neighbours_are_the_sentences_of_entailments_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    trees = [*islice(tree_pairs(Dice("known"), labels=["entailment"]), 30)]
    assert {pair.label for pair in trees} == {"entailment"}

    def only(_: Dice, __: float, labels: Sequence[str]) -> Iterator[TreePair]:
        assert labels == ["entailment"]
        return iter(trees)

    monkeypatch.setattr("xltray.corpora.toy.tree_pairs", only)
    entailments = [
        [sorted(map(str.lower, surface("qaa").sentence(half, Dice("any"), "").words)) for half in pair[:2]]
        for pair in trees
    ]
    neighbours = [
        [sorted(re.findall(r"\w+|[.,]", text.lower())) for text in texts]
        for texts in CORPUS.neighbours("qaa")
    ]
    assert len(neighbours) == len(entailments) == 30
    turned = []
    for texts, halves in zip(neighbours, entailments, strict=True):
        assert texts in (halves, halves[::-1])
        turned.append(texts != halves)
    assert 0.2 < mean(turned) < 0.8


def test_neighbours_are_a_sample_of_their_own_without_end() -> None:
    few = ToyCorpus(DataSpec(toy=ToySpec(train=1)))
    neighbours = list(islice(few.neighbours("qad"), 600))
    assert len(neighbours) == 600
    assert neighbours[:9] == list(islice(ToyCorpus(DataSpec()).neighbours("qad"), 9))
    assert neighbours[:9] != list(islice(ToyCorpus(DataSpec(toy=ToySpec(seed=1))).neighbours("qad"), 9))
    assert neighbours[:9] != list(islice(few.neighbours("qaa"), 9))
    held_out = ToyCorpus(DataSpec(toy=ToySpec(dev_pairs=600, evaluate_on="test")))
    for pairs in (CORPUS.pairs("qad", "train"), CORPUS.pairs("qad", "dev"), held_out.pairs("qad", "dev")):
        either = {frozenset((pair.premise, pair.hypothesis)) for pair in pairs}
        assert mean(frozenset(texts) in either for texts in neighbours) < 0.03
    lines = set(ToyCorpus(DataSpec()).text("qad"))
    assert not any(f"{one} {other}" in lines or f"{other} {one}" in lines for one, other in neighbours)
