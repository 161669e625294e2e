"""Named entities of the toy languages: well formed, in most sentences, and not to be told by the name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from statistics import mean

import pytest
from seqeval.metrics.sequence_labeling import get_entities

from xltray.corpora.base import Entities
from xltray.corpora.toy import ToyCorpus
from xltray.corpora.toy_languages import LANGUAGES
from xltray.corpora.wikiann import TAGS
from xltray.spec import DataSpec
from xltray.spec_toy import ToySpec

CODES = sorted(LANGUAGES)
CORPUS = ToyCorpus(DataSpec(toy=ToySpec(train=1500, dev=400)))
TRAIN = {code: CORPUS.entities(code, "train") for code in CODES}
DEV = {code: CORPUS.entities(code, "dev") for code in CODES}


def test_sentences_are_those_of_this_generator() -> None:
    """If this fails on purpose, raise GENERATOR_VERSION."""
    content = [dataclasses.astuple(sentence) for code in CODES for sentence in DEV[code][:40]]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    assert digest == "1899b016c9a691aec285fa51d1b805ce64dff7292e82606975a7e267a1c9673d"


@pytest.mark.parametrize("code", CODES)
def test_tags_are_iob2(code: str) -> None:
    for sentence in TRAIN[code]:
        assert len(sentence.words) == len(sentence.tags)
        for before, tag in zip(("O", *sentence.tags), sentence.tags, strict=False):
            assert tag in TAGS
            assert not tag.startswith("I-") or before[1:] == tag[1:]


@pytest.mark.parametrize("code", CODES)
def test_most_sentences_have_entities_and_some_have_none(code: str) -> None:
    assert 0.85 < mean(any(tag != "O" for tag in sentence.tags) for sentence in TRAIN[code]) < 0.95
    spans = Counter(type_ for sentence in TRAIN[code] for type_, *_ in get_entities(list(sentence.tags)))
    assert set(spans) == {"PER", "ORG", "LOC"}
    assert min(spans.values()) > 0.15 * spans.total()
    long = Counter(
        type_
        for sentence in TRAIN[code]
        for type_, start, end in get_entities(list(sentence.tags))
        if end > start
    )
    assert set(long) == set(spans)


def names(sentences: list[Entities]) -> Iterator[tuple[str, str]]:
    for sentence in sentences:
        for type_, start, end in get_entities(list(sentence.tags)):
            yield " ".join(sentence.words[start : end + 1]).lower(), type_


@pytest.mark.parametrize("code", CODES)
def test_the_same_names_are_people_places_and_groups(code: str) -> None:
    types: dict[str, Counter[str]] = defaultdict(Counter)
    for name, type_ in names(TRAIN[code]):
        types[name][type_] += 1
    usual = {name: counts.most_common(1)[0][0] for name, counts in types.items()}
    right = mean(usual.get(name, "PER") == type_ for name, type_ in names(DEV[code]))
    assert 0.4 < right < 0.88
    assert sum(len(counts) == 3 for counts in types.values()) > 10


@pytest.mark.parametrize("code", CODES)
def test_names_have_capitals_in_the_languages_share_of_the_sentences(code: str) -> None:
    with_capitals = []
    for sentence in TRAIN[code]:
        inside = list(zip(sentence.words[1:], sentence.tags[1:], strict=True))
        assert not any(word[0].isupper() for word, tag in inside if tag == "O")
        upper = {word[0].isupper() for word, tag in inside if tag != "O"}
        assert len(upper) < 2
        with_capitals += upper
    assert mean(with_capitals) == pytest.approx(LANGUAGES[code].capitals, abs=0.04)
    assert any(with_capitals) == (LANGUAGES[code].capitals > 0)


def test_a_word_may_be_a_name_or_not() -> None:
    inside = {tag != "O": set() for tag in ("O", "B-PER")}
    for sentence in TRAIN["qad"]:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            inside[tag != "O"].add(word)
    assert len(inside[True] & inside[False]) > 10


def test_seed_role_and_sample_choose_the_sentences() -> None:
    texts = [{sentence.words for sentence in DEV["qaa"]}]
    for changes, role in (({}, "train"), ({"evaluate_on": "test"}, "dev"), ({"seed": 1}, "dev")):
        corpus = ToyCorpus(DataSpec(toy=ToySpec(train=400, dev=400, **changes)))
        texts.append({sentence.words for sentence in corpus.entities("qaa", role)})
    for number, one in enumerate(texts):
        for other in texts[number + 1 :]:
            assert len(one & other) < 0.03 * 400
    assert TRAIN["qab"][16].where == "toy:qab:train:entities:17"
    assert ToyCorpus(DataSpec(toy=ToySpec(train=30))).entities("qab", "train") == TRAIN["qab"][:30]
