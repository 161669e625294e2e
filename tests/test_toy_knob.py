"""Languages of a sweep file's own: what may be said, what that changes, and what it leaves as it was."""

from __future__ import annotations

import itertools
import re
from dataclasses import asdict, fields
from pathlib import Path
from typing import get_args

import pytest
from made_sweeps import load, mistakes

from xltray.corpora import toy_concepts as concepts
from xltray.corpora.toy import ToyCorpus
from xltray.corpora.toy_languages import LANGUAGES, Typology, lexicon
from xltray.data import main
from xltray.errors import MissingInputError
from xltray.inputs import check_names
from xltray.spec import DataSpec
from xltray.spec_toy import TOY_LANGUAGES, ToyLanguage, ToyLanguageSpec, ToySpec

SWEEP = """\
tasks: [pos]
pairs: {qaa: [qab, qae]}
encoders: {a: {pretrain: {corpus: toy, languages: [qaa]}}}
data:
  corpora: {pos: toy}
  toy:
    train: 30
    dev: 30
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def corpus(train: int = 200, **languages: dict[str, object]) -> ToyCorpus:
    return ToyCorpus(DataSpec(toy=ToySpec.model_validate({"train": train, "languages": languages})))


def test_the_sweep_file_knows_the_languages_and_their_settings() -> None:
    assert tuple(sorted(LANGUAGES)) == TOY_LANGUAGES == get_args(ToyLanguage)
    settings = {field.name for field in fields(Typology)}
    assert set(ToyLanguageSpec.model_fields) - {"like", "own_words"} <= settings


def test_a_sweep_file_may_change_and_add_languages() -> None:
    sweep = load(
        SWEEP + "    languages:\n      qab: {cognates: 0.3}\n"
        "      qae: {like: qad, order: SVO, adposition: before, articles: [the]}\n"
    )
    assert check_names(sweep) == []
    opened = ToyCorpus(sweep.data)
    assert opened.languages() == ("qaa", "qab", "qac", "qad", "qae")
    assert opened.typology("qab").cognates == 0.3
    new, old = asdict(opened.typology("qae")), asdict(LANGUAGES["qad"])
    assert {key for key in new if new[key] != old[key]} == {
        *("code", "order", "adposition", "articles", "coinage")
    }
    assert len(opened.sentences("qae", "dev")) == len(opened.entities("qae", "dev")) == 30
    assert len(opened.pairs("qae", "dev")) == 30


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        ("{qab: {cognate: 0.3}}", "data.toy.languages.qab.cognate: found .*Did you mean 'cognates'"),
        (
            "{qab: {cognates: 1.3}}",
            "data.toy.languages.qab.cognates: found the number 1.3; expected a number of at most 1",
        ),
        (
            "{qab: {cognates: '0.3'}}",
            "data.toy.languages.qab.cognates: found the text '0.3'; expected a number",
        ),
        ("{qab: {order: SVX}}", "data.toy.languages.qab.order: found the text 'SVX'; expected 'SVO'"),
        ("{qae: {order: SVO}}", "found languages.qae without like; expected like: one of qaa, qab, qac, qad"),
        ("{qae: {like: qax}}", "data.toy.languages.qae.like: found the text 'qax'; expected .*'qad'"),
        ("{qab: {like: qad}}", "found languages.qab with like or own_words; expected them for new languages"),
        ("{abc: {like: qad}}", "data.toy.languages.*abc"),
        ("{qua: {like: qad}}", "data.toy.languages.*qua"),
    ],
)
def test_mistakes(languages: str, message: str) -> None:
    (found,) = mistakes(SWEEP + f"    languages: {languages}\n")
    assert re.search(message, found), found


def test_a_language_that_no_one_made() -> None:
    found = mistakes(SWEEP, checks=[check_names])
    assert any("found 'qae'; expected a language of the toy corpus" in line for line in found)
    with pytest.raises(
        MissingInputError, match=r"'qae'.*Known: qaa, qab, qac, qad. Others: data.toy.languages"
    ):
        corpus().sentences("qae", "dev")


def test_a_null_removes_a_language_of_another_file() -> None:
    Path("base.yaml").write_text(SWEEP + "    languages: {qae: {like: qad}, qab: {freedom: 0.5}}\n")
    sweep = load("extends: base.yaml\ndata: {toy: {languages: {qab: null}}}\n")
    assert list(sweep.data.toy.languages) == ["qae"]


def test_identity_follows_the_settings() -> None:
    plain = corpus()
    changed = corpus(qab={"cognates": 0.3}, qae={"like": "qad"})
    assert changed.identify("qab", "train") != plain.identify("qab", "train")
    assert changed.identify("qaa", "train") == plain.identify("qaa", "train")
    own = corpus(qae={"like": "qad", "own_words": True}).identify("qae", "train")
    ids = {own, changed.identify("qae", "train"), corpus(qae={"like": "qac"}).identify("qae", "train")}
    assert len(ids) == 3
    # What says nothing new names nothing new.
    same = corpus(qab={"cognates": LANGUAGES["qab"].cognates})
    assert same.identify("qab", "train") == plain.identify("qab", "train")


def test_sizes_and_sample_are_in_identities_only_where_given() -> None:
    def identify(role: str, **toy: object) -> str:
        return ToyCorpus(DataSpec(toy=ToySpec.model_validate(toy))).identify("qaa", role).fingerprint  # type: ignore[arg-type]

    assert identify("train", evaluate_on="test") == identify("train")
    assert len({identify("dev"), identify("dev", evaluate_on="test"), identify("dev", dev_pairs=30)}) == 3
    assert identify("train", dev_pairs=30) == identify("train") != identify("train", train_pairs=30)


def test_more_cognates_are_nearly_the_same_words_and_others() -> None:
    names = {*concepts.NAME_CONCEPTS}
    shares = [
        lexicon(corpus(qab={"cognates": step / 20}).typology("qab")).cognates - names for step in range(21)
    ]
    assert not shares[0]
    for fewer, more in itertools.pairwise(shares):
        assert len(fewer) <= len(more)
        # A word may be kept from being inherited by another that came out the same.
        assert len(fewer - more) <= 3


def test_a_new_language_has_the_words_of_the_one_it_is_like() -> None:
    made = corpus(qae={"like": "qad", "order": "VSO"}, qaf={"like": "qad", "own_words": True})
    words = {code: lexicon(made.typology(code)).forms for code in ("qad", "qae", "qaf")}
    assert words["qae"] == words["qad"]
    differ = [concept for concept, form in words["qad"].items() if words["qaf"][concept] != form]
    assert len(differ) > 0.7 * len(words["qad"])
    texts = {code: {sentence.text for sentence in made.sentences(code, "dev")} for code in words}
    assert not texts["qad"] & texts["qae"]


def test_order_is_the_order_of_the_sentences() -> None:
    made = corpus(qae={"like": "qad", "order": "SVO", "freedom": 0.0}, qad={"freedom": 0.0})
    for code, side in (("qad", -1), ("qae", 1)):
        for sentence in made.sentences(code, "train"):
            for place, (head, relation) in enumerate(zip(sentence.heads, sentence.deprels, strict=True), 1):
                assert relation != "obj" or (place - head) * side > 0


def test_check_accepts_the_new_codes(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("s.yaml")
    path.write_text(SWEEP + "    languages: {qae: {like: qad}}\n")
    assert main(["check", str(path)]) == 0
    assert "toy qae train, UPOS: " in capsys.readouterr().out
