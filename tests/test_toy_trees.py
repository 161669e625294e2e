"""The toy languages' sentences are well formed."""

from __future__ import annotations

from collections import defaultdict

import networkx
import pytest
from made_toy import CODES, CORPUS, TRAIN

from xltray.corpora import toy_concepts as concepts
from xltray.corpora.toy_dice import Dice
from xltray.corpora.toy_grammar import Grammar
from xltray.corpora.toy_languages import LANGUAGES, lexicon
from xltray.spec_types import Role

# https://universaldependencies.org/u/pos/ and /u/dep/
TAGS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
RELATIONS = (
    "acl advcl advmod amod appos aux case cc ccomp clf compound conj cop csubj dep det discourse dislocated "
    "expl fixed flat goeswith iobj list mark nmod nsubj nummod obj obl orphan parataxis punct reparandum "
    "root vocative xcomp"
)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("role", ["train", "dev"])
def test_every_sentence_is_a_labelled_tree(code: str, role: Role) -> None:
    for sentence in CORPUS.sentences(code, role):
        count = len(sentence.words)
        assert 4 <= count <= 25
        assert len(sentence.upos) == len(sentence.heads) == len(sentence.deprels) == count
        tree = networkx.DiGraph(list(zip(sentence.heads, range(1, count + 1), strict=True)))
        assert networkx.is_arborescence(tree)
        assert set(tree) == set(range(count + 1))
        assert [head == 0 for head in sentence.heads] == [rel == "root" for rel in sentence.deprels]
        assert sentence.heads.count(0) == 1


@pytest.mark.parametrize("code", CODES)
def test_labels_are_universal_dependencies(code: str) -> None:
    tags = {tag for sentence in TRAIN[code] for tag in sentence.upos}
    relations = {relation for sentence in TRAIN[code] for relation in sentence.deprels}
    assert tags <= set(TAGS.split())
    assert len(tags) >= 14
    assert relations <= set(RELATIONS.split())
    assert len(relations) >= 22


@pytest.mark.parametrize("code", CODES)
def test_text_is_spelled_as_people_do(code: str) -> None:
    for sentence in TRAIN[code]:
        assert sentence.text.replace(" ", "") == "".join(sentence.words)
        assert sentence.text[-1] in ".!"
        assert " ," not in sentence.text
        assert "  " not in sentence.text


def test_concepts_are_distinct_and_refer_to_each_other_properly() -> None:
    everything = (*concepts.CONTENT_CONCEPTS, *concepts.FUNCTION_CONCEPTS, *concepts.NAME_CONCEPTS)
    assert len(set(everything)) == len(everything)
    for verbs in concepts.VERBS.values():
        for verb in verbs:
            assert {*verb.subjects, *verb.objects} <= set(concepts.NOUNS)
            assert set(verb.governs) <= set(concepts.ADPOSITIONS) - {"of"}
            assert verb.subjects
    classes = {
        name for names in (*concepts.ADJECTIVES.values(), *concepts.ADPOSITIONS.values()) for name in names
    }
    assert classes <= set(concepts.NOUNS)
    alike = {concept for language in LANGUAGES.values() for pair in language.alike for concept in pair}
    assert alike <= set(everything)


@pytest.mark.parametrize("code", CODES)
def test_what_moves_stays_in_its_clause_or_phrase(code: str) -> None:
    """Not beyond the conjunction, adposition or determiner of its own head, nor a comma or the full stop."""
    moving = {"nsubj", "obj", "obl", "advmod", "amod"}
    edges = {"mark", "cc", "case", "punct", "conj"}
    pairs = 0
    for sentence in TRAIN[code]:
        for place, (head, relation) in enumerate(zip(sentence.heads, sentence.deprels, strict=True)):
            if relation not in moving:
                continue
            between = range(min(place + 1, head), max(place, head - 1))
            inner = {sentence.deprels[i] for i in between if sentence.heads[i] == head}
            assert not inner & (edges if relation != "amod" else edges | {"det", "acl"}), sentence.text
            pairs += 1
    assert pairs > 1000


def test_an_object_that_moves_is_told_from_a_subject_by_an_ending() -> None:
    """In SVO languages, objects move without one."""
    ending = lexicon("qad").forms[concepts.ACCUSATIVE]
    moved = [
        word
        for sentence in TRAIN["qad"]
        for place, (word, head, relation) in enumerate(
            zip(sentence.words, sentence.heads, sentence.deprels, strict=True), start=1
        )
        if relation == "obj" and place > head
    ]
    assert len(moved) > 10
    assert all(word.endswith(ending) for word in moved)


def test_verbs_and_predicates_fit_their_subjects() -> None:
    grammar = Grammar(Dice("fit"))
    subjects = {verb.concept: verb.subjects for verb in concepts.VERBS["transitive"]}
    inner = predicates = 0
    for _ in range(4000):
        tree = grammar.sentence()
        (subject,) = (child for child in tree.children if child.deprel == "nsubj")
        for child in tree.children:
            if child.deprel == "xcomp":
                inner += 1
                assert subject.noun_class in subjects[child.concept]
        if tree.upos == "NOUN":
            predicates += 1
            several = subject.plural or any(child.deprel == "conj" for child in subject.children)
            assert tree.plural == several
            assert tree.concept != subject.concept
    assert min(inner, predicates) > 100


def test_attachment_is_decided_by_what_the_verb_governs() -> None:
    grammar = Grammar(Dice("attachment"))
    governs = {verb.concept: verb.governs for verbs in concepts.VERBS.values() for verb in verbs}
    seen: dict[str, set[str]] = defaultdict(set)
    for _ in range(4000):
        tree = grammar.clause("root")
        objects = [child for child in tree.children if child.deprel == "obj"]
        for noun in (tree, *objects):
            for phrase in noun.children:
                for case in phrase.children:
                    if case.deprel == "case" and tree.upos == "VERB":
                        seen[phrase.deprel].add(case.concept)
                        assert (case.concept in governs[tree.concept]) == (phrase.deprel == "obl")
    # The same adpositions do both, so the adposition alone does not tell.
    assert {"from", "with", "for", "in", "about"} <= seen["obl"] & seen["nmod"]
