"""The toy languages are as different as their settings say, and not too easy."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from difflib import SequenceMatcher
from statistics import mean

import pytest
from made_toy import CODES, DEV, TRAIN

from xltray.corpora import toy_concepts as concepts
from xltray.corpora.base import Sentence
from xltray.corpora.toy import ToyCorpus
from xltray.corpora.toy_dice import Dice
from xltray.corpora.toy_grammar import Grammar
from xltray.corpora.toy_languages import LANGUAGES, lexicon
from xltray.corpora.toy_surface import surface
from xltray.spec import DataSpec
from xltray.spec_toy import ToyLanguageSpec, ToySpec

# ---------------------------------------------------------------- as the settings say


def share(code: str, relation: str, holds: Callable[[Sentence, int, int], bool]) -> float:
    """Return how often ``holds(sentence, dependent, head)`` among the arcs of a relation."""
    return mean(
        holds(sentence, place, head)
        for sentence in TRAIN[code]
        for place, (head, deprel) in enumerate(zip(sentence.heads, sentence.deprels, strict=True), start=1)
        if deprel == relation
    )


def after(sentence: Sentence, dependent: int, head: int) -> bool:
    return dependent > head


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        ("obj", {"qaa": 1, "qab": 1, "qac": 1, "qad": 0}),
        ("nsubj", {"qaa": 0, "qab": 0, "qac": 1, "qad": 0}),
        ("amod", {"qaa": 0, "qab": 1, "qac": 1, "qad": 0}),
        ("case", {"qaa": 0, "qab": 0, "qac": 0, "qad": 1}),
        ("nmod", {"qaa": 1, "qab": 1, "qac": 1, "qad": 0}),
        ("acl", {"qaa": 1, "qab": 1, "qac": 1, "qad": 0}),
        ("mark", {"qaa": 0, "qab": 0, "qac": 0, "qad": 1}),
    ],
)
def test_word_order_follows_the_settings(relation: str, expected: dict[str, int]) -> None:
    for code, side in expected.items():
        # The verb of qac is first, and nothing tells its objects from its subjects but their place.
        free = relation in ("nsubj", "amod") or (relation == "obj" and code != "qac")
        other_side = abs(share(code, relation, after) - side)
        # A free slot slips now and then, the others never.
        assert other_side == 0 if not free else 0 < other_side < 0.16, (code, relation)


def test_articles_and_case_follow_the_settings() -> None:
    determiners = {code: mean("det" in s.deprels for s in TRAIN[code]) for code in CODES}
    assert determiners["qaa"] > determiners["qac"] > determiners["qad"]
    ending = lexicon(LANGUAGES["qad"]).forms[concepts.ACCUSATIVE]
    marked = share("qad", "obj", lambda s, place, _: s.words[place - 1].endswith(ending))
    unmarked = share("qad", "nsubj", lambda s, place, _: s.words[place - 1].endswith(ending))
    assert marked > 0.25
    assert unmarked < 0.05


@pytest.mark.parametrize("code", CODES)
def test_capitals_are_on_first_words_and_names_of_a_share_of_the_sentences(code: str) -> None:
    found = []
    for sentence in TRAIN[code]:
        marked = [word[0].isupper() for word in sentence.words]
        lettered = sentence.words[0][0].isalpha()
        expected = [
            place == 0 or tag == "PROPN" for place, tag in enumerate(sentence.upos) if place or lettered
        ]
        marked = marked if lettered else marked[1:]
        assert marked in (expected, [False] * len(expected)), sentence.text
        found += [marked[0]] if lettered else []
    assert mean(found) == pytest.approx(LANGUAGES[code].capitals, abs=0.04)
    assert any(found) == (LANGUAGES[code].capitals > 0)


def test_capitals_may_be_on_all_sentences() -> None:
    always = ToyCorpus(DataSpec(toy=ToySpec(languages={"qaa": ToyLanguageSpec(capitals=1.0)})))
    for sentence in always.sentences("qaa", "train"):
        assert sentence.text[0].isupper() or sentence.text[0].isdigit()


def test_nearer_languages_have_more_similar_words() -> None:
    source = lexicon(LANGUAGES["qaa"]).forms
    content = concepts.CONTENT_CONCEPTS
    similarity = {
        code: mean(
            SequenceMatcher(None, source[c], lexicon(LANGUAGES[code]).forms[c]).ratio() for c in content
        )
        for code in CODES
    }
    assert similarity["qaa"] == 1
    assert similarity["qab"] > similarity["qac"] + 0.1 > similarity["qad"] + 0.15
    vocabulary = {code: {w.lower() for s in TRAIN[code] for w in s.words} for code in CODES}
    shared = {code: len(vocabulary[code] & vocabulary["qaa"]) / len(vocabulary[code]) for code in CODES}
    assert shared["qaa"] > shared["qab"] > shared["qac"] > shared["qad"] > 0


@pytest.mark.parametrize("code", CODES)
def test_share_of_cognates_is_the_setting(code: str) -> None:
    typology, words = LANGUAGES[code], [*concepts.CONTENT_CONCEPTS, *concepts.FUNCTION_CONCEPTS]
    inherited = mean(word in lexicon(LANGUAGES[code]).cognates for word in words)
    assert inherited == pytest.approx(typology.cognates, abs=0.1)


def test_sound_change_is_regular() -> None:
    borrowed = {second for _, second in LANGUAGES["qab"].alike}
    inherited = lexicon(LANGUAGES["qab"]).cognates & set(concepts.NOUN_CONCEPTS) - borrowed
    changed = str.maketrans({"k": "h", "b": "v", "u": "o"})
    for noun in sorted(inherited):
        expected = lexicon(LANGUAGES["qaa"]).forms[noun].translate(changed).replace("ti", "tsi")
        assert lexicon(LANGUAGES["qab"]).forms[noun] == expected


@pytest.mark.parametrize("code", CODES)
def test_vocabulary_is_of_a_useful_size(code: str) -> None:
    words = {word.lower() for sentence in TRAIN[code] for word in sentence.words}
    assert 500 < len(words) < 900
    unseen = [word for sentence in DEV[code] for word in sentence.words if word.lower() not in words]
    assert 0 < len(unseen) < 60


# ---------------------------------------------------------------- not too easy


@pytest.mark.parametrize("code", CODES)
def test_the_most_frequent_tag_of_a_word_is_not_enough(code: str) -> None:
    tags: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in TRAIN[code]:
        for word, tag in zip(sentence.words, sentence.upos, strict=True):
            tags[word.lower()][tag] += 1
    usual = {word: counts.most_common(1)[0][0] for word, counts in tags.items()}
    right = [
        usual.get(word.lower(), "NOUN") == tag
        for sentence in DEV[code]
        for word, tag in zip(sentence.words, sentence.upos, strict=True)
    ]
    assert 0.6 < mean(right) < 0.95
    ambiguous = [word for word, counts in tags.items() if len(counts) > 1]
    assert len(ambiguous) > 30


def test_one_tree_has_a_wording_in_every_language() -> None:
    tree = Grammar(Dice("one tree")).sentence()
    texts = {surface(code).sentence(tree, Dice("order"), "test").text for code in CODES}
    assert len(texts) == len(CODES)
