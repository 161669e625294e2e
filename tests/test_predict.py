"""Predictions as files: outside tools find in them exactly the counts that were stored."""

from __future__ import annotations

from pathlib import Path

import made_predictions as made
import pandas as pd
import pyarrow.fs
import pytest
from made_predictions import (
    TASKS,
    attachment,
    cell,
    columns,
    conllu_sentences,
    done,
    entity_counts,
    everything,
    folder,
    gold_sentences,
    own,
    stored_counts,
)
from seqeval.metrics import f1_score
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2
from sklearn.metrics import accuracy_score
from tiny import Tiny

from xltray.evaluator import CellEvaluator
from xltray.grid import CORNERS
from xltray.predict import main, read_points
from xltray.predictions import Target, write_predictions
from xltray.store import Store

# Fixtures: pytest looks for them in this module.
__all__ = ["done", "own"]

AT = {"bilingual": (0, 0), "source": (1, 0), "target": (0, 1)}
SUFFIX = {"pos": "conllu", "parsing": "conllu", "ner": "iob2", "xnli": "tsv"}

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
