from __future__ import annotations

from pathlib import Path

import pytest
from made_hub import dev_tsv, entities_text, put, train_tsv

from xltray.corpora.base import READERS, Entities, Kind, Pair, Sentence
from xltray.corpora.registry import CORPORA, offers, open_corpus, text_kind
from xltray.errors import CorpusError, MissingInputError, SweepFileError
from xltray.inputs import FileInputs, check_inputs, check_names
from xltray.jobs import Job
from xltray.plan import make_plan
from xltray.spec import DataSpec, EncoderSpec, PretrainSpec, SweepSpec
from xltray.tasks.registry import TASKS, corpus_name, example_kind

SENTENCES = [(("a", "b"), ("B-LOC", "O"))]
PAIRS = [("a", "b", "neutral")]


@pytest.fixture
def data(tmp_path: Path) -> DataSpec:
    """A data root with XNLI and WikiANN of Swahili and Urdu."""
    for language in ("sw", "ur"):
        for split in ("train", "dev"):
            put(tmp_path / language / split, entities_text(SENTENCES))
        put(tmp_path / "XNLI-MT-1.0" / "multinli" / f"multinli.train.{language}.tsv", train_tsv(PAIRS))
    put(tmp_path / "XNLI-1.0" / "xnli.dev.tsv", dev_tsv({"sw": PAIRS, "ur": PAIRS}))
    return DataSpec(root=str(tmp_path))


def sweep(data: DataSpec, *tasks: str, text: str = "wikiann") -> SweepSpec:
    return SweepSpec(
        name="trial",
        tasks=tasks,
        pairs={"sw": ["ur"]},
        data=data,
        encoders={"small": EncoderSpec(pretrain=PretrainSpec(languages=["sw"], corpus=text))},
    )


def jobs(spec: SweepSpec) -> list[Job]:
    return list(make_plan(spec, FileInputs(spec.data)).jobs.values())


# Kinds of examples


@pytest.mark.parametrize("task", TASKS)
def test_the_papers_corpus_has_what_its_task_reads(task: str) -> None:
    assert offers(corpus_name(task, DataSpec()), example_kind(task))


@pytest.mark.parametrize(("name", "kind"), [("ud", Sentence), ("wikiann", Entities), ("xnli", Pair)])
def test_kinds(name: str, kind: Kind) -> None:
    assert [other for other in READERS if offers(name, other)] == [kind]
    assert text_kind(name) is kind


@pytest.mark.parametrize("name", CORPORA)
@pytest.mark.parametrize("kind", READERS)
def test_a_corpus_without_a_kind_says_which_have_it(name: str, kind: Kind) -> None:
    if offers(name, kind):
        return
    having = ", ".join(other for other in CORPORA if offers(other, kind))
    expected = f"found corpus '{name}', which has .*; expected a corpus with {READERS[kind]}: {having}"
    corpus = open_corpus(name, DataSpec())
    with pytest.raises(SweepFileError, match=expected):
        corpus.examples(kind, "en", "dev")
    with pytest.raises(SweepFileError, match=expected):
        getattr(corpus, READERS[kind])("en", "dev")


def test_examples_are_those_of_the_kind(data: DataSpec) -> None:
    for name, kind in (("wikiann", Entities), ("xnli", Pair)):
        (example,) = open_corpus(name, data).examples(kind, "sw", "dev")
        assert isinstance(example, kind)


# A sweep's names


def test_a_task_is_pointed_at_a_corpus_of_another_kind() -> None:
    data = DataSpec(corpora={"ner": "xnli", "pos": "ud"})
    (problem,) = check_names(
        sweep(data, "ner", "pos").model_copy(update={"pairs": {"en": ("de",)}, "encoders": {}})
    )
    assert problem.where == "data.corpora.ner"
    assert problem.found == "corpus 'xnli', which has pairs"
    assert "wikiann" in problem.expected


def test_languages_of_the_data_root_are_known(data: DataSpec) -> None:
    assert check_names(sweep(data, "xnli", "ner")) == []
    elsewhere = data.model_copy(update={"root": f"{data.root}/elsewhere"})
    assert check_names(sweep(elsewhere, "ner")) == [], "known whether or not the files are there"
    frisian = sweep(elsewhere, "ner").model_copy(update={"pairs": {"sw": ("fy",)}})
    (problem,) = check_names(frisian)
    assert (problem.found, problem.expected) == ("'fy'", "a language of the wikiann corpus")
    for split in ("train", "dev"):
        put(Path(elsewhere.root) / "fy" / split, entities_text(SENTENCES))
    assert check_names(frisian) == [], "known because it is there"


# What jobs read


def test_all_that_jobs_read_is_there(data: DataSpec) -> None:
    check_inputs(jobs(sweep(data, "xnli", "ner")), data)


def test_broken_data_is_reported_before_any_work(data: DataSpec) -> None:
    planned = jobs(sweep(data, "xnli", "ner"))
    root = Path(data.root)
    put(root / "sw" / "train", b"sw:a\tB-LOK\n")
    put(root / "XNLI-1.0" / "xnli.dev.tsv", dev_tsv({"sw": PAIRS, "ur": [("a", "b", "maybe")]}))
    with pytest.raises(CorpusError) as caught:
        check_inputs(planned, data)
    assert [(p.where, p.found) for p in caught.value.problems] == [
        (f"{root / 'sw' / 'train'}:1", "'B-LOK'"),
        (f"{root / 'XNLI-1.0' / 'xnli.dev.tsv'}:3", "label 'maybe'"),
    ]


def test_missing_data_is_reported_before_any_work(data: DataSpec) -> None:
    planned = jobs(sweep(data, "ner"))
    (Path(data.root) / "ur" / "dev").unlink()
    with pytest.raises(MissingInputError, match=r"ur: found train; expected validation-\*\.parquet"):
        check_inputs(planned, data)


def test_text_to_pretrain_on_is_checked_with_the_corpus_s_own_kind(data: DataSpec) -> None:
    planned = [job for job in jobs(sweep(data, "ner", text="xnli")) if job.kind == "pretrain"]
    check_inputs(planned, data)
    put(Path(data.root) / "XNLI-MT-1.0" / "multinli" / "multinli.train.sw.tsv", b"premise\thypo\n")
    with pytest.raises(
        CorpusError, match=r"multinli\.train\.sw\.tsv:1: found columns premise, hypo; expected"
    ):
        check_inputs(planned, data)
