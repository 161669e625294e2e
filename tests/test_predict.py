"""Predictions as files: outside tools find in them exactly the counts that were stored."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import made_predictions as made
import pandas as pd
import pyarrow.fs
import pytest
from made_predictions import TASKS, attachment, cell, columns, conllu_sentences, entity_counts, stored_counts
from seqeval.metrics import f1_score
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2
from sklearn.metrics import accuracy_score
from tiny import Tiny, run_job

import xltray.cluster.run
import xltray.sweep
from xltray.cluster.run import RunOutcome
from xltray.corpora.base import Sentence
from xltray.corpora.ud import UDCorpus
from xltray.errors import CorpusError, Problem
from xltray.evaluator import CellEvaluator
from xltray.grid import CORNERS
from xltray.nn.device import resolve
from xltray.predict import main, read_points
from xltray.predictions import Target, write_predictions
from xltray.store import Store
from xltray.tasks.parsing import ParsingTask
from xltray.tasks.pos import PosTask

AT = {"bilingual": (0, 0), "source": (1, 0), "target": (0, 1)}
SUFFIX = {"pos": "conllu", "parsing": "conllu", "ner": "iob2", "xnli": "tsv"}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tiny, Path]:
    """A sweep of all tasks with its predictions at the corners; for reading only."""
    tiny, path = made.make_sweep(tmp_path_factory.mktemp("all"))
    assert main([str(path)]) == 0
    return tiny, path


@pytest.fixture
def own(done: tuple[Tiny, Path], tmp_path: Path) -> tuple[Tiny, Path]:
    """A copy of the sweep to change, without predictions."""
    tiny = done[0].copied(tmp_path / "store")
    shutil.rmtree(tiny.root / "predictions")
    return tiny, made.write_sweep(tiny, tmp_path)


def folder(tiny: Tiny, task: str) -> Path:
    return tiny.root / "predictions" / cell(tiny, task).id


def gold_sentences(tiny: Tiny, language: str) -> Sequence[Sentence]:
    return UDCorpus(tiny.sweep.data).sentences(language, "dev")


def everything(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# What outside tools count at the corners.

CORNER_FILES = [(corner, language) for corner in AT for language in ("en", "de")]


@pytest.mark.parametrize(("corner", "language"), CORNER_FILES)
def test_pos_accuracy_is_scikit_learns(done: tuple[Tiny, Path], corner: str, language: str) -> None:
    tiny, _ = done
    text = (folder(tiny, "pos") / corner / f"{language}.conllu").read_text(encoding="utf-8")
    predicted = [token["upos"] for sentence in conllu_sentences(text) for token in sentence]
    gold = [tag for sentence in gold_sentences(tiny, language) for tag in sentence.upos]
    expected = stored_counts(tiny, "pos", *AT[corner], language)["accuracy"]
    assert (accuracy_score(gold, predicted, normalize=False), len(gold), len(gold)) == expected
    assert 0 < expected[0] < expected[1]
    own = tiny.done(cell(tiny, "pos").endpoints[corner])["counts"].get(language)
    assert own is None or tuple(own["accuracy"]) == expected


@pytest.mark.parametrize(("corner", "language"), CORNER_FILES)
def test_attachment_scores_are_those_of_the_conll_rules(
    done: tuple[Tiny, Path], corner: str, language: str
) -> None:
    tiny, _ = done
    predicted = folder(tiny, "parsing") / corner / f"{language}.conllu"
    gold = folder(tiny, "parsing") / "gold" / f"{language}.conllu"
    found = attachment(predicted.read_text(encoding="utf-8"), gold.read_text(encoding="utf-8"))
    assert found == stored_counts(tiny, "parsing", *AT[corner], language)
    assert 0 < found["las_paper"][0] < found["las"][0] < found["uas"][0]


@pytest.mark.parametrize(("corner", "language"), CORNER_FILES)
def test_entity_scores_are_seqevals_strict_or_not(
    done: tuple[Tiny, Path], corner: str, language: str
) -> None:
    tiny, _ = done
    text = (folder(tiny, "ner") / corner / f"{language}.iob2").read_text(encoding="utf-8")
    expected = stored_counts(tiny, "ner", *AT[corner], language)["f1"]
    assert entity_counts(text) == expected
    assert expected[0] > 0
    gold = [[tag for _, tag, _ in sentence] for sentence in columns(text)]
    predicted = [[tag for _, _, tag in sentence] for sentence in columns(text)]
    value = 2 * expected[0] / (expected[1] + expected[2])
    assert f1_score(gold, predicted) == pytest.approx(value, abs=1e-12)
    strict = precision_recall_fscore_support(gold, predicted, average="micro", scheme=IOB2)
    assert strict[2] == pytest.approx(value, abs=1e-12)
    assert len(gold) == 31


@pytest.mark.parametrize(("corner", "language"), CORNER_FILES)
def test_xnli_accuracy_is_scikit_learns(done: tuple[Tiny, Path], corner: str, language: str) -> None:
    tiny, _ = done
    path = folder(tiny, "xnli") / corner / f"{language}.tsv"
    rows = made.table(path)
    by_pandas = pd.read_csv(path, sep="\t")
    assert rows == by_pandas.to_dict("records")
    assert list(by_pandas.columns) == ["premise", "hypothesis", "gold", "predicted"]
    correct = accuracy_score(by_pandas["gold"], by_pandas["predicted"], normalize=False)
    assert (correct, 31, 31) == stored_counts(tiny, "xnli", *AT[corner], language)["accuracy"]
    assert all(row["hypothesis"].startswith('"') for row in rows), "quotation marks are kept"
    # As `cut -f 3,4` has it.
    cut = [line.split("\t")[2:] for line in path.read_text(encoding="utf-8").split("\n")[1:-1]]
    assert cut == [[row["gold"], row["predicted"]] for row in rows]


# What the files hold.


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_treebank_files_have_the_words_and_only_what_was_predicted(
    done: tuple[Tiny, Path], task: str
) -> None:
    tiny, _ = done
    sentences = gold_sentences(tiny, "en")
    text = (folder(tiny, task) / "source" / "en.conllu").read_text(encoding="utf-8")
    found = conllu_sentences(text)
    assert [[token["form"] for token in tokens] for tokens in found] == [list(s.words) for s in sentences]
    assert any(" " in token["form"] for tokens in found for token in tokens)
    assert all([token["id"] for token in tokens] == list(range(1, len(tokens) + 1)) for tokens in found)
    assert [line[9:] for line in text.split("\n") if line.startswith("# text = ")] == [
        s.text for s in sentences
    ]
    ours, others = ({"upos"}, {"head", "deprel"}) if task == "pos" else ({"head", "deprel"}, {"upos"})
    first_words = [tokens[0] for tokens in found]
    assert all(token[name] not in (None, "_") for token in first_words for name in ours)
    assert all(
        token[name] in (None, "_") for tokens in found for token in tokens for name in {*others, "lemma"}
    )
    gold = conllu_sentences((folder(tiny, task) / "gold" / "en.conllu").read_text(encoding="utf-8"))
    for tokens, sentence in zip(gold, sentences, strict=True):
        assert [token["upos"] for token in tokens] == list(sentence.upos)
        assert [token["head"] for token in tokens] == list(sentence.heads)
        assert [token["deprel"] for token in tokens] == list(sentence.deprels)


def test_long_sentences_have_all_tags_and_no_arcs_beyond_what_is_evaluated(
    done: tuple[Tiny, Path],
) -> None:
    tiny, _ = done
    (*_, tagged) = conllu_sentences((folder(tiny, "pos") / "source" / "en.conllu").read_text("utf-8"))
    assert len(tagged) > 128, "many windows of 32 subwords"
    assert all(token["upos"] != "_" for token in tagged)
    (*_, parsed) = conllu_sentences((folder(tiny, "parsing") / "source" / "en.conllu").read_text("utf-8"))
    assert len(parsed) == len(tagged)
    assert all(token["head"] is None and token["deprel"] == "_" for token in parsed[128:])
    # The encoder has 128 positions, so that it does not see all of the 128 words either.
    assert parsed[0]["head"] is not None
    assert parsed[127]["head"] is None


def test_each_kind_of_file_lies_in_its_place(done: tuple[Tiny, Path]) -> None:
    tiny, _ = done
    expected = {
        f"{cell(tiny, task).id}/{place}/{language}.{SUFFIX[task]}"
        for task in TASKS
        for place in (*AT, *(["gold"] if SUFFIX[task] == "conllu" else []))
        for language in ("en", "de")
    }
    assert set(everything(tiny.root / "predictions")) == expected


# Points, cells, places.


def test_any_points_by_exact_fractions(own: tuple[Tiny, Path]) -> None:
    tiny, path = own
    points = ["--points", "0.5,0", "1/3,1/3", "--points=-0.5,1", "--points", "source"]
    assert main([str(path), "--cells", "pos-*", *points]) == 0
    places = {path.name for path in folder(tiny, "pos").iterdir()}
    assert places == {"gold", "source", "src0.5_tgt0", "src1over3_tgt1over3", "src-0.5_tgt1"}
    text = (folder(tiny, "pos") / "src0.5_tgt0" / "de.conllu").read_text("utf-8")
    gold = [tag for sentence in gold_sentences(tiny, "de") for tag in sentence.upos]
    predicted = [token["upos"] for tokens in conllu_sentences(text) for token in tokens]
    correct = accuracy_score(gold, predicted, normalize=False)
    assert correct == stored_counts(tiny, "pos", 0.5, 0, "de")["accuracy"][0]
    assert correct != stored_counts(tiny, "pos", 1, 0, "de")["accuracy"][0]
    files = {(folder(tiny, "pos") / place / "de.conllu").read_bytes() for place in places}
    assert len(files) == 5, "each point has predictions of its own"


def test_points_are_named_after_what_they_are() -> None:
    points = read_points(["1,0", "0.5,0", "1/2,0.0", "-1/3,+2"])
    assert list(points) == ["source", "src0.5_tgt0", "src-1over3_tgt2"]
    assert points["source"] == CORNERS["source"]
    assert points["src-1over3_tgt2"].weights.source * 3 == -1


def test_another_folder(own: tuple[Tiny, Path], done: tuple[Tiny, Path], tmp_path: Path) -> None:
    tiny, path = own
    assert main([str(path), "tasks=[ner]", "--out", str(tmp_path / "elsewhere")]) == 0
    assert not (tiny.root / "predictions").exists()
    name = cell(tiny, "ner").id
    assert everything(tmp_path / "elsewhere" / name) == everything(folder(done[0], "ner"))
    assert list((tmp_path / "elsewhere").iterdir()) == [tmp_path / "elsewhere" / name]


def test_an_object_store(done: tuple[Tiny, Path]) -> None:
    tiny, _ = done
    bucket = Store.from_filesystem(pyarrow.fs._MockFileSystem(), "bucket/store")
    job = cell(tiny, "xnli")
    files = write_predictions(
        job, CellEvaluator(tiny.context), CORNERS, Target(bucket, bucket.predictions_path(job))
    )
    assert len(files.paths) == 6
    for path in files.paths:
        assert bucket.read_bytes(path) == (tiny.root / path).read_bytes()


# What is refused.


def refused(arguments: Sequence[object], code: int, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == code
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.err


def test_malformed_points_come_together(own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["0.5", "a,b", "1/0,0", "nan,0", "1e9,0", "0,0,0", "middle"]
    said = refused([own[1], "--points", "0,0", *wrong], 2, capsys)
    for text in wrong:
        assert f"found {text!r}" in said
    assert "bilingual, source, target, or a_src,a_tgt" in said
    assert not (own[0].root / "predictions").exists()


def test_a_pattern_without_cells(own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]) -> None:
    said = refused([own[1], "--cells", "poss-*", "--cells", "ner-*"], 2, capsys)
    assert "--cells: found 'poss-*'" in said
    assert cell(own[0], "parsing").id in said
    assert not (own[0].root / "predictions").exists()


def test_cells_that_are_not_done_are_named_and_the_others_written(
    own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    tiny.store.delete(tiny.store.surface_path(cell(tiny, "ner")))
    said = refused([path, "tasks=[ner,xnli]"], 1, capsys)
    assert f"cell {cell(tiny, 'ner').id}: found a cell that is not done" in said
    assert f"{sys.orig_argv[0]} -m xltray.sweep {path} 'tasks=[ner,xnli]'" in said
    assert cell(tiny, "xnli").id not in said
    assert not folder(tiny, "ner").exists()
    assert len(everything(folder(tiny, "xnli"))) == 6


def test_weights_that_were_deleted(own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]) -> None:
    tiny, path = own
    job = cell(tiny, "pos")
    tiny.store.delete(tiny.store.endpoint_path(job.target_endpoint.id))
    said = refused([path, "--cells", "pos-*"], 1, capsys)
    assert f"no {tiny.store.endpoint_path(job.target_endpoint.id)} in the store" in said
    assert f"Delete {tiny.store.surface_path(job)} and run the sweep again" in said


def test_a_cell_that_cannot_be_written_stops_no_other(
    own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    weights = tiny.root / tiny.store.endpoint_path(cell(tiny, "pos").source_endpoint.id) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    tiny.store.write_bytes(tiny.store.surface_path(cell(tiny, "ner")), b"no table")
    tiny.store.delete(tiny.store.endpoint_path(cell(tiny, "parsing").source_endpoint.id))
    said = refused([path], 1, capsys)
    assert f"cell {cell(tiny, 'pos').id}: found an error: endpoints/" in said
    assert "has changed since it was written" in said
    assert f" and {tiny.store.surface_path(cell(tiny, 'pos'))} from the store and run the sweep again" in said
    assert f"cell {cell(tiny, 'ner').id}: found a cell that is not done" in said
    assert f"cell {cell(tiny, 'parsing').id}: found no endpoints/" in said
    assert len(everything(folder(tiny, "xnli"))) == 6
    assert {path.name for path in (tiny.root / "predictions").iterdir()} == {cell(tiny, "xnli").id}


def test_nothing_is_praised_where_nothing_was_written(
    own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    tiny.store.delete(tiny.store.endpoint_path(cell(tiny, "pos").target_endpoint.id))
    assert main([str(path), "--cells", "pos-*"]) == 1
    assert capsys.readouterr().out == f"Wrote nothing to {tiny.root}/predictions.\n"


@pytest.mark.parametrize("where", ["predict", "sweep"])
def test_an_interruption(
    where: str, own: tuple[Tiny, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(CellEvaluator, "load", interrupt)
    command = main if where == "predict" else xltray.sweep.main
    assert command([str(own[1]), *(["--write-predictions"] if where == "sweep" else [])]) == 130
    assert capsys.readouterr().err.startswith("Interrupted.")


def test_data_that_is_broken_alone_has_its_own_exit_code(
    own: tuple[Tiny, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def changed(*_: object) -> None:
        raise CorpusError("The data changed.", [Problem("ud en dev", "content a", "b")])

    monkeypatch.setattr(CellEvaluator, "load", changed)
    said = refused([own[1]], 3, capsys)
    for task in TASKS:
        assert f"cell {cell(own[0], task).id}, ud en dev: found content a; expected b" in said
    own[0].store.delete(own[0].store.surface_path(cell(own[0], "ner")))
    refused([own[1]], 1, capsys)


def test_cells_of_another_kind_of_device_are_not_tried(
    own: tuple[Tiny, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    for task, device in (
        ("pos", b"cuda: NVIDIA H200"),
        ("ner", b"cuda: NVIDIA H200"),
        ("xnli", b"cpu, cuda: NVIDIA H200"),
    ):
        file = tiny.store.surface_path(cell(tiny, task))
        table = tiny.store.read_table(file)
        metadata = {**table.schema.metadata, b"xltray.device": device}
        tiny.store.write_table(file, table.replace_schema_metadata(metadata))
    assert main([str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("2 of 4 cells are left out: not scored on cpu.\n")
    first = cell(tiny, "pos").id
    assert f"2 of 4 cells ({first}, ...): found scores from cuda: NVIDIA H200; expected" in printed.err
    assert printed.err.count("found") == 1
    assert not folder(tiny, "pos").exists()
    assert folder(tiny, "xnli").exists()
    assert folder(tiny, "parsing").exists()


def change(tiny: Tiny, task: str, column: str, point: tuple[float, float]) -> None:
    """Add one to a count of a cell's file, at a point on the target language."""
    path = tiny.store.surface_path(cell(tiny, task))
    table = tiny.store.read_table(path)
    rows: list[dict[str, Any]] = table.to_pylist()
    (row,) = (row for row in rows if (row["a_src"], row["a_tgt"], row["eval_language"]) == (*point, "de"))
    row[column] += 1
    tiny.store.write_table(path, type(table).from_pylist(rows, schema=table.schema))


def test_other_counts_than_those_stored(own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]) -> None:
    tiny, path = own
    change(tiny, "ner", "predicted", (0.5, 0.5))
    assert main([str(path), "--cells", "ner-*"]) == 0, "at the corners nothing differs"
    said = refused([path, "--cells", "ner-*", "--points", "0.5,0.5"], 1, capsys)
    correct, predicted, gold = stored_counts(tiny, "ner", 0.5, 0.5, "de")["f1"]
    assert f"src0.5_tgt0.5, de, f1: found counts {[correct, predicted - 1, gold]} in the predictions" in said
    assert f"expected {[correct, predicted, gold]}, as stored" in said
    assert not (folder(tiny, "ner") / "src0.5_tgt0.5").exists()


def test_predictions_that_the_evaluator_did_not_count(
    own: tuple[Tiny, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    right = PosTask.predict

    def late_by_one(self: PosTask, *arguments: Any) -> Any:
        first, *others = right(self, *arguments)
        return [(first[-1], *first[:-1]), *others]

    monkeypatch.setattr(PosTask, "predict", late_by_one)
    said = refused([path, "--cells", "pos-*"], 1, capsys)
    assert "as evaluated on cpu" in said
    assert not folder(tiny, "pos").exists()


def test_models_that_do_not_score_what_they_scored(
    own: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    endpoint = cell(tiny, "parsing").source_endpoint
    marker = f"{tiny.store.endpoint_path(endpoint.id)}/DONE.json"
    done = tiny.done(endpoint)
    done["counts"]["en"]["las"][0] += 1
    tiny.store.write_json(marker, done)
    said = refused([path, "--cells", "parsing-*"], 1, capsys)
    assert "other counts at a corner on cpu" in said
    assert "runtime.device" in said
    assert not folder(tiny, "parsing").exists()


def test_a_gpu_that_is_not_there(own: tuple[Tiny, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert (resolve("auto"), resolve("cpu"), resolve("cuda")) == ("cuda", "cpu", "cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert resolve("auto") == "cpu"
    assert main([str(own[1]), "runtime.device=cuda"]) == 1


# With a sweep.


def test_a_sweep_with_nothing_to_do_writes_predictions(
    own: tuple[Tiny, Path], done: tuple[Tiny, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    assert xltray.sweep.main([str(path)]) == 0
    assert not (tiny.root / "predictions").exists()
    assert xltray.sweep.main([str(path), "--write-predictions"]) == 0
    printed = capsys.readouterr().out
    assert "Nothing to do" in printed
    assert "Wrote 28 files" in printed
    assert everything(tiny.root / "predictions") == everything(done[0].root / "predictions")


@pytest.mark.parametrize("how", ["done", "failed", "interrupted"])
def test_a_sweep_that_ran_writes_what_is_done(
    how: str, own: tuple[Tiny, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny, path = own
    job = cell(tiny, "xnli")
    tiny.store.delete(tiny.store.surface_path(job))

    def run_plan(_: object, needed: Mapping[str, Any], *__: object, **___: object) -> RunOutcome:
        assert list(needed) == [job.id]
        if how == "done":
            run_job(job, tiny.context)
            return RunOutcome((job.id,))
        return RunOutcome((), {job.id: "no"} if how == "failed" else {}, interrupted=how == "interrupted")

    monkeypatch.setattr(xltray.cluster.run, "run_plan", run_plan)
    code = xltray.sweep.main([str(path), "--write-predictions"])
    assert code == {"done": 0, "failed": 1, "interrupted": 130}[how]
    assert (tiny.root / "predictions").exists() == (how != "interrupted")
    assert folder(tiny, "xnli").exists() == (how == "done")
    printed = capsys.readouterr().out
    assert ("No predictions of 1 cells: they are not done." in printed) == (how == "failed")
    if how != "done":
        assert f"{path} --write-predictions" in printed, "the command to go on is the same"


def test_scores_and_predictions_come_from_one_decision(
    own: tuple[Tiny, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of how trees are found changes scores and predictions alike."""
    tiny, _ = own
    evaluator = CellEvaluator(tiny.context)
    evaluator.load(cell(tiny, "parsing"))
    before = evaluator.score_point(CORNERS["source"])
    monkeypatch.setattr("xltray.tasks.parsing.decode", lambda scores, lengths: scores.argmax(2))
    after = evaluator.score_point(CORNERS["source"])
    assert before != after
    predictions = evaluator.predict_point(CORNERS["source"])
    for language, predicted in predictions.items():
        found = ParsingTask().recount(ParsingTask().written(gold_sentences(tiny, language), predicted))
        assert {score.metric: score[4:7] for score in after if score.language == language} == found
