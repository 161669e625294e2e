"""The toy languages' sentences are the same everywhere, and their samples differ."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from statistics import mean

import pytest
from made_toy import CODES, CORPUS, DEV, TRAIN

from xltray.corpora.toy import GENERATOR_VERSION, TEXT_PER_TRAINING_SENTENCE, ToyCorpus
from xltray.corpora.toy_dice import Dice
from xltray.errors import MissingInputError
from xltray.spec import DataSpec
from xltray.spec_toy import ToySpec


def corpus(**toy: int) -> ToyCorpus:
    return ToyCorpus(DataSpec(toy=ToySpec(**toy)))


# ---------------------------------------------------------------- the same everywhere


def test_sentences_are_those_of_this_generator_version() -> None:
    """If this fails on purpose, raise GENERATOR_VERSION and pin the new hash under it."""
    content = [dataclasses.astuple(s) for code in CODES for s in (*TRAIN[code][:200], *DEV[code][:50])]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    assert {GENERATOR_VERSION: digest} == {
        8: "08b9fabdbe3022792ca3db21d474564f97a319fceea6200223110c188d627f57"
    }


def test_identity_is_pinned_and_depends_on_all_that_changes_sentences() -> None:
    assert CORPUS.identify("qaa", "train").fingerprint.startswith("a416a87953fca7e1")
    ids = [
        CORPUS.identify("qaa", "train"),
        CORPUS.identify("qab", "train"),
        CORPUS.identify("qaa", "dev"),
        corpus(train=801).identify("qaa", "train"),
        corpus(seed=1).identify("qaa", "train"),
    ]
    assert len({data.fingerprint for data in ids}) == len(ids)
    assert corpus(train=801).identify("qaa", "dev") == CORPUS.identify("qaa", "dev")


@pytest.mark.parametrize("code", CODES)
def test_estimated_size_is_near_the_bytes_of_the_text(code: str) -> None:
    size = sum(len(sentence.text.encode()) + 1 for sentence in TRAIN[code])
    assert CORPUS.identify(code, "train").size == pytest.approx(size, rel=0.25)


def test_seed_and_size_choose_the_sentences() -> None:
    assert corpus(train=30).sentences("qab", "train") == TRAIN["qab"][:30]
    assert corpus(train=30, seed=1).sentences("qab", "train") != TRAIN["qab"][:30]
    assert len(DEV["qab"]) == 200
    assert TRAIN["qab"][16].where == "toy:qab:train:17"


def test_draws_follow_zipf_and_keep_to_the_list() -> None:
    dice = Dice("test", 1)
    counts = Counter(dice.frequent("abcdefgh") for _ in range(4000))
    assert sorted(counts) == list("abcdefgh")
    assert counts["a"] / counts["c"] == pytest.approx(2, rel=0.15)
    assert Counter(dice.one("ab") for _ in range(2000))["a"] == pytest.approx(1000, abs=100)


# ---------------------------------------------------------------- samples


@pytest.mark.parametrize("code", CODES)
def test_train_dev_test_and_text_are_different_samples(code: str) -> None:
    train = {sentence.text for sentence in TRAIN[code]}
    text = list(CORPUS.text(code))
    held_out = ToyCorpus(DataSpec(toy=ToySpec(evaluate_on="test"))).sentences(code, "dev")
    assert mean(sentence in DEV[code] or sentence.text in train for sentence in held_out) < 0.02
    assert held_out[0].where == f"toy:{code}:test:1"
    assert len(text) == TEXT_PER_TRAINING_SENTENCE * len(TRAIN[code])
    assert mean(sentence.text in train for sentence in DEV[code]) < 0.02
    assert mean(sentence in train for sentence in text) < 0.02
    assert len(set(text)) > 0.97 * len(text)


def test_languages_are_not_translations_of_each_other() -> None:
    shapes = {code: [Counter(s.deprels) for s in TRAIN[code]] for code in ("qaa", "qab")}
    same = [one == other for one, other in zip(shapes["qaa"], shapes["qab"], strict=True)]
    assert mean(same) < 0.05


def test_unknown_language_lists_the_known_ones() -> None:
    assert CORPUS.languages() == CODES
    for ask in (
        lambda: CORPUS.identify("qaz", "dev"),
        lambda: CORPUS.sentences("qaz", "dev"),
        lambda: CORPUS.text("qaz"),
        lambda: CORPUS.neighbours("qaz"),
    ):
        with pytest.raises(MissingInputError, match=r"'qaz'.*Did you mean 'qa.'\? Known: qaa, qab, qac, qad"):
            ask()
