"""What people see of the toy languages, and the files that other tools read."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from made_hub import dev_tsv, put, train_tsv

from xltray.corpora.base import Entities, Pair, Sentence
from xltray.corpora.registry import open_corpus
from xltray.corpora.released import write_training_pairs
from xltray.corpora.toy import ToyCorpus
from xltray.corpora.toy_languages import LANGUAGES, lexicon
from xltray.data import main
from xltray.errors import CorpusError
from xltray.spec import DataSpec
from xltray.sweepfile import load_sweep

SWEEP = {
    "tasks": ["pos", "parsing", "ner", "xnli"],
    "pairs": {"qaa": ["qab", "qac", "qad", "qae"]},
    "encoders": {"a": {"pretrain": {"corpus": "toy", "languages": ["qaa"]}}},
    "data": {
        "corpora": {"pos": "toy", "parsing": "toy", "ner": "toy", "xnli": "toy"},
        "toy": {"train": 60, "dev": 40, "train_pairs": 90, "languages": {"qae": {"like": "qab"}}},
    },
}
CODES = ("qaa", "qab", "qac", "qad", "qae")


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(SWEEP))
    return path


# ---------------------------------------------------------------- export


def exported(sweep: Path, capsys: pytest.CaptureFixture[str]) -> DataSpec:
    """Export, and return the data part of a sweep file that was printed."""
    assert main(["export", str(sweep), "--out", "root"]) == 0
    written = yaml.safe_load(capsys.readouterr().out)
    other = sweep.with_name("other.yaml")
    other.write_text(yaml.safe_dump(SWEEP | written))
    return load_sweep(other).data


@pytest.mark.parametrize("role", ["train", "dev"])
@pytest.mark.parametrize("kind", [Sentence, Entities, Pair])
def test_the_readers_of_the_releases_read_the_same(
    sweep: Path, capsys: pytest.CaptureFixture[str], kind: type, role: str
) -> None:
    data = exported(sweep, capsys)
    name = {Sentence: "ud", Entities: "wikiann", Pair: "xnli"}[kind]
    assert name in data.corpora.values()
    toy, reader = ToyCorpus(load_sweep(sweep).data), open_corpus(name, data)
    for code in CODES:
        drawn, read = toy.examples(kind, code, role), reader.examples(kind, code, role)  # type: ignore[arg-type]
        assert len(read) == {"train": 90 if kind is Pair else 60, "dev": 40}[role]
        assert [replace(example, where="") for example in read] == [
            replace(example, where="") for example in drawn
        ]


def test_encoders_are_pretrained_on_the_same_text_still(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exported(sweep, capsys).toy == load_sweep(sweep).data.toy


def test_files_lie_as_in_the_releases(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported(sweep, capsys)
    files = {str(path.relative_to("root")) for path in Path("root").rglob("*") if path.is_file()}
    assert {
        "UD_Qaa-Toy/qaa_toy-ud-train.conllu",
        "UD_Qae-Toy/qae_toy-ud-dev.conllu",
        "qad/train",
        "qad/dev",
        "XNLI-1.0/xnli.dev.tsv",
        "XNLI-MT-1.0/multinli/multinli.train.qac.tsv",
    } <= files
    assert len(files) == len(CODES) * (2 + 2 + 1) + 1
    first = Path("root/UD_Qaa-Toy/qaa_toy-ud-train.conllu").read_text().split("\n\n")[0].splitlines()
    assert first[0] == "# sent_id = 1"
    assert first[1].startswith("# text = ")
    assert first[-2].endswith("\tSpaceAfter=No")


def test_check_reads_what_was_exported(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported(sweep, capsys)
    assert main(["check", "other.yaml"]) == 0
    out = capsys.readouterr().out
    assert "xnli qae train, label: contradiction 30, entailment 30, neutral 30" in out


def test_that_dev_is_the_test_sample_is_said(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for sample, root in (("dev", "one"), ("test", "two")):
        assert main(["export", str(sweep), f"data.toy.evaluate_on={sample}", "--out", root]) == 0
        assert ("Its dev files are the test sample" in capsys.readouterr().out) == (sample == "test")


def test_third_languages_are_exported_too(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = SWEEP | {"pairs": {"qaa": ["qab"]}, "third_languages": ["qad", "qab"]}
    sweep.write_text(yaml.safe_dump(content))
    assert main(["export", str(sweep), "--out", "root"]) == 0
    written = yaml.safe_load(capsys.readouterr().out)
    sweep.with_name("other.yaml").write_text(yaml.safe_dump(content | written))
    assert main(["check", "other.yaml"]) == 0
    assert "qad dev" in capsys.readouterr().out


def test_nothing_is_overwritten(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("root").mkdir()
    Path("root/mine").write_text("")
    assert main(["export", str(sweep), "--out", "root"]) == 3
    assert "root: found something there already; expected a new or empty folder" in capsys.readouterr().err
    assert [path.name for path in Path("root").iterdir()] == ["mine"]


def test_text_that_a_table_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"x:1: found a TAB or line end in 'a.tb'"):
        write_training_pairs(tmp_path / "t.tsv", [Pair("a\tb", "c", "neutral", "x:1")])


# ---------------------------------------------------------------- show


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["show", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_same_meaning_in_every_language(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, str(sweep), "-n", "2")
    assert [line for line in lines if line.startswith("==")] == [
        *("== pos, parsing: corpus toy", "== ner: corpus toy", "== xnli: corpus toy")
    ]
    trees = lines[: lines.index("== ner: corpus toy")]
    assert trees.count("-- 1") == trees.count("-- 2") == 1
    content = {}
    for place, line in enumerate(trees):
        if line[:3] in CODES and line[:3] not in content:
            assert [other.split()[0] for other in trees[place + 1 : place + 4]] == ["gloss", "upos", "head"]
            words, glosses = line.split()[1:], trees[place + 1].split()[1:]
            assert len(words) == len(glosses)
            forms = lexicon(LANGUAGES[line[:3]]).forms if line[:3] in LANGUAGES else {}
            plain = [
                (form, forms[gloss]) for form, gloss in zip(words, glosses, strict=True) if gloss in forms
            ]
            assert all(form.lower() == expected for form, expected in plain)
            content[line[:3]] = {re.sub("-(plural|past|accusative|dative)", "", gloss) for gloss in glosses}
    assert set(content) == set(CODES)
    assert len({frozenset(said - {"the", "a"}) for said in content.values()}) == 1


def test_entities_and_pairs_are_shown(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entities = shown(capsys, str(sweep), "--task", "ner", "-n", "1")
    assert sum(line.split()[0] == "tag" for line in entities if line.strip()) == len(CODES)
    assert sum("B-" in line for line in entities) == len(CODES)
    pairs = shown(capsys, str(sweep), "--task", "xnli", "-n", "3")
    labels = [line.split()[1] for line in pairs if line.strip().startswith("label ")]
    assert sorted(set(labels)) == ["contradiction", "entailment", "neutral"]
    assert labels == [label for label in labels[:: len(CODES)] for _ in CODES]


def test_other_corpora_show_their_first_examples(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [("one premise", "one hypothesis", "neutral"), ("two", "three", "contradiction")]
    for code in ("sw", "ur"):
        put(Path(f"XNLI-MT-1.0/multinli/multinli.train.{code}.tsv"), train_tsv(pairs))
    put(Path("XNLI-1.0/xnli.dev.tsv"), dev_tsv({"sw": pairs, "ur": pairs}))
    arguments = ("tasks=[xnli]", "pairs={sw: [ur]}", "data={root: .}")
    lines = shown(capsys, str(sweep), *arguments, "-n", "1")
    assert lines.count("sw   premise     one premise") == lines.count("ur   premise     one premise") == 1
    assert "three" not in " ".join(lines)
