"""Inference pairs of the toy languages: right by the rules, and balanced."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from itertools import islice, pairwise, product
from statistics import mean

import pytest

from xltray.corpora import toy_concepts as concepts
from xltray.corpora.toy import ToyCorpus
from xltray.corpora.toy_dice import Dice
from xltray.corpora.toy_grammar import Node
from xltray.corpora.toy_inference import MOST_LEVELS, Form, draw, forms, relation, two_steps, weights
from xltray.corpora.toy_pairs import TreePair, tree_pairs
from xltray.corpora.xnli import LABELS
from xltray.spec import DataSpec
from xltray.spec_toy import ToySpec

CORPUS = ToyCorpus(DataSpec(toy=ToySpec(train_pairs=3000, dev_pairs=600)))
TREES = [
    *islice(tree_pairs(Dice("checked")), 900),
    *islice(tree_pairs(Dice("checked too"), near_misses=1.0), 600),
]


def test_pairs_are_those_of_this_generator() -> None:
    """If this fails on purpose, raise GENERATOR_VERSION."""
    pairs = [p for code in ("qaa", "qad") for p in CORPUS.pairs(code, "dev")[:60]]
    digest = hashlib.sha256(json.dumps([dataclasses.astuple(pair) for pair in pairs]).encode()).hexdigest()
    assert digest == "bd09d521e2515f441ae4787a5e335d539f34ec9eaea0db1451d049fe8c000155"


# ---------------------------------------------------------------- right by the rules

Atom = tuple[str | None, ...]
Fact = tuple[bool, frozenset[Atom]]


def child(node: Node, deprel: str) -> Node | None:
    return next((one for one in node.children if one.deprel == deprel), None)


def concept_of(node: Node | None) -> str | None:
    return node.concept if node else None


def same_or_general(one: Node | None, other: Node | None) -> str | None:
    """Return the name of what both nouns are: the noun, or the hypernym that one of them is."""
    if one is None or other is None:
        return concept_of(one or other)
    for general, special in ((one, other), (other, one)):
        if special.concept in concepts.NOUNS.get(general.concept, ()):
            return general.concept
    return None


class Meaning:
    """What a sentence says, as conjunctions of atoms that hold or do not hold; see ``toy_pairs``.

    ``other`` is the other sentence of the pair: a hypernym in one refers to what the other names.
    """

    def __init__(self, tree: Node, other: Node) -> None:
        self.general_subject = same_or_general(child(tree, "nsubj"), child(other, "nsubj"))
        self.general_object = same_or_general(child(tree, "obj"), child(other, "obj"))
        clauses = [tree, *(one for one in tree.children if one.deprel == "conj")]
        self.facts = [fact for clause in clauses for fact in self.clause(clause)]

    def clause(self, clause: Node) -> Iterator[Fact]:
        first = child(clause, "nsubj")
        assert first
        named = concept_of(first)
        key = self.general_subject if clause.deprel == "root" and self.general_subject else named
        yield from self.description(first, key)
        for subject in (key, *(one.concept for one in first.children if one.deprel == "conj")):
            negated = any(one.slot == "negation" for one in clause.children)
            yield not negated, frozenset(self.event(clause, subject))

    def description(self, noun: Node, key: str | None) -> Iterator[Fact]:
        for one in noun.children:
            if one.deprel in ("amod", "nmod"):
                yield True, frozenset({("described", key, one.deprel, one.concept)})

    def event(self, clause: Node, subject: str | None) -> Iterator[Atom]:
        thing = child(clause, "obj")
        general = self.general_object if clause.deprel == "root" else None
        what = (general or concept_of(thing)) if thing else None
        yield ("event", subject, clause.concept, what)
        if thing and thing.concept != what:
            yield ("kind", subject, clause.concept, thing.concept)
        for one in (*clause.children, *(thing.children if thing else ())):
            if one.deprel in ("advmod", "obl", "amod") and one.slot != "negation":
                case = concept_of(child(one, "case"))
                yield ("more", subject, clause.concept, one.deprel, one.slot, one.concept, case)


def truth_table(pair: TreePair) -> str:
    """Return the label that holds in all models: antonyms exclude each other, all else is free."""
    premise, hypothesis = (
        Meaning(one, other).facts
        for one, other in ((pair.premise, pair.hypothesis), (pair.hypothesis, pair.premise))
    )
    atoms = sorted({atom for _, some in (*premise, *hypothesis) for atom in some}, key=str)
    opposites = [
        (one, other)
        for one in atoms
        for other in atoms
        if one[0] == other[0] == "event"
        and (one[1], one[3]) == (other[1], other[3])
        and other[2] in concepts.ANTONYMS.get(str(one[2]), ())
    ]
    seen = set()
    for values in product((False, True), repeat=len(atoms)):
        model = dict(zip(atoms, values, strict=True))
        if any(model[one] and model[other] for one, other in opposites):
            continue
        if holds(premise, model):
            seen.add(holds(hypothesis, model))
    assert seen, "the premise cannot be true"
    return "neutral" if len(seen) == 2 else "entailment" if True in seen else "contradiction"


def holds(facts: list[Fact], model: dict[Atom, bool]) -> bool:
    return all(all(model[atom] for atom in atoms) == positive for positive, atoms in facts)


def test_every_label_follows_from_what_the_trees_say() -> None:
    for pair in (*TREES[:400], *TREES[-400:]):
        assert truth_table(pair) == pair.label, (words(pair.premise), words(pair.hypothesis))


def words(tree: Node) -> list[str]:
    return [tree.concept, *(word for one in tree.children for word in words(one))]


def test_relations_of_forms() -> None:
    plain, more = Form(True, 0, 0), Form(True, 0, 1)
    assert relation(more, plain) == "entailment"
    assert relation(plain, more) == "neutral"
    no, no_more = Form(False, 0, 0), Form(False, 0, 1)
    assert (relation(no, no_more), relation(no_more, no)) == ("entailment", "neutral")
    assert (relation(more, no), relation(plain, no_more)) == ("contradiction", "neutral")
    antonym, no_antonym = Form(True, 1, 0), Form(False, 1, 0)
    assert (relation(plain, antonym), relation(plain, no_antonym)) == ("contradiction", "entailment")
    assert (relation(no, antonym), relation(no, no_antonym)) == ("neutral", "neutral")


@pytest.mark.parametrize("label", ["entailment", "contradiction"])
def test_no_pair_about_one_scene_takes_two_steps(label: str) -> None:
    plain, no_antonym = Form(True, 0, 0), Form(False, 1, 0)
    assert two_steps(plain, no_antonym)
    assert two_steps(no_antonym, plain)
    assert not any(two_steps(plain, other) for other in (plain, Form(True, 1, 0), Form(False, 0, 0)))
    dice = Dice("steps")
    for levels in range(MOST_LEVELS + 1):
        drawn = [draw(label, levels, 2, dice) for _ in range(400)]
        assert not any(two_steps(premise, hypothesis) for premise, hypothesis, _ in drawn)
        assert {one.side != other.side for one, other, _ in drawn} == {False, label == "contradiction"}


def test_an_antonym_is_never_denied_where_a_sentence_is_entailed() -> None:
    antonyms = 0
    for pair in TREES:
        if pair.hypothesis.concept in concepts.ANTONYMS.get(pair.premise.concept, ()):
            negated = [any(one.slot == "negation" for one in half.children) for half in pair[:2]]
            assert pair.label != "entailment"
            assert pair.label == "neutral" or negated == [False, False]
            antonyms += pair.label == "contradiction"
    assert antonyms > 10


# ---------------------------------------------------------------- balanced


@pytest.mark.parametrize("levels", range(MOST_LEVELS + 1))
@pytest.mark.parametrize("sides", [1, 2])
def test_forms_of_either_half_are_as_frequent_under_every_label(levels: int, sides: int) -> None:
    tables = [weights(label, levels, sides) for label in LABELS]
    rows = [[sum(row) for row in table] for table in tables]
    columns = [[sum(column) for column in zip(*table, strict=True)] for table in tables]
    for sums in (rows, columns):
        assert sums[0] == pytest.approx(sums[1], abs=1e-9)
        assert sums[0] == pytest.approx(sums[2], abs=1e-9)
        assert min(sums[0]) > 0.01


def test_drawn_forms_have_the_label() -> None:
    dice = Dice("forms")
    for label in LABELS:
        drawn = [draw(label, 2, 2, dice) for _ in range(300)]
        assert all(relation(one, other) == label for one, other, elsewhere in drawn if not elsewhere)
        assert any(elsewhere for *_, elsewhere in drawn) == (label == "neutral")
        assert len({one for one, *_ in drawn}) == len(forms(2, 2))


def test_every_three_pairs_have_each_label_in_changing_order() -> None:
    labels = [pair.label for pair in CORPUS.pairs("qab", "train")]
    blocks = [tuple(labels[i : i + 3]) for i in range(0, len(labels), 3)]
    assert {frozenset(block) for block in blocks} == {frozenset(LABELS)}
    assert len(set(blocks)) == 6


def below(tree: Node) -> Iterator[Node]:
    yield tree
    for one in tree.children:
        yield from below(one)


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("negation", lambda node: node.slot == "negation"),
        ("hypernym", lambda node: node.concept in concepts.HYPERNYMS),
        ("first antonym", lambda node: node.deprel == "root" and node.concept in concepts.ANTONYMS),
        ("object's adjective", lambda node: node.deprel == "amod"),
        ("place", lambda node: node.deprel == "obl"),
        ("name", lambda node: node.upos == "PROPN"),
        ("degree", lambda node: node.slot == "degree"),
    ],
)
@pytest.mark.parametrize("half", ["premise", "hypothesis"])
def test_every_edit_is_as_frequent_under_every_label(
    name: str, has: Callable[[Node], bool], half: str
) -> None:
    shares = {
        label: mean(any(map(has, below(getattr(p, half)))) for p in TREES if p.label == label)
        for label in LABELS
    }
    assert min(shares.values()) > 0.005
    assert max(shares.values()) - min(shares.values()) < 0.09, shares


def test_pairs_are_short_and_halves_overlap() -> None:
    pairs = CORPUS.pairs("qaa", "train")
    lengths = [len(pair.premise.split()) + len(pair.hypothesis.split()) for pair in pairs]
    assert max(lengths) <= 40
    assert all(pair.premise != pair.hypothesis for pair in pairs)
    shared = [len({*p.premise.lower().split()} & {*p.hypothesis.lower().split()}) for p in pairs]
    assert mean(shared) > 2


def test_train_dev_and_test_are_different_samples() -> None:
    held_out = ToyCorpus(DataSpec(toy=ToySpec(dev_pairs=600, evaluate_on="test")))
    samples = [
        {(pair.premise, pair.hypothesis) for pair in pairs}
        for pairs in (CORPUS.pairs("qaa", "train"), CORPUS.pairs("qaa", "dev"), held_out.pairs("qaa", "dev"))
    ]
    assert all(len(one & other) < 0.03 * 600 for one, other in pairwise(samples))
    assert len(samples[0]) > 0.97 * 3000
    other_seed = ToyCorpus(DataSpec(toy=ToySpec(seed=1)))
    assert not {(p.premise, p.hypothesis) for p in other_seed.pairs("qaa", "dev")} & samples[1]
