"""For tests of predictions: a sweep of all four tasks on small files, and scorers that are not ours."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import conllu
import made_hub
import pyarrow as pa
import pytest
from made_conllu import row
from seqeval.metrics.sequence_labeling import get_entities
from tiny import Tiny, make_tiny

from xltray.corpora.base import Sentence
from xltray.corpora.toy import ToyCorpus
from xltray.corpora.ud import UDCorpus
from xltray.corpora.xnli import LABELS
from xltray.jobs import SurfaceJob
from xltray.spec import DataSpec, ToySpec
from xltray.sweepfile import dump_sweep

TASKS = ("pos", "parsing", "ner", "xnli")
FOLDERS = {"en": "UD_English-EWT", "de": "UD_German-GSD"}
SPEAKS = {"en": "qaa", "de": "qab"}
# A grid of nine points, with corners and points between them.
GRID = {"plane": [0, 0.5, 1], "lines": [0, 1]}


def make_files(root: Path) -> None:
    """Write treebanks, entities and pairs whose words are those of the toy languages."""
    toy = ToyCorpus(DataSpec(toy=ToySpec(train=48, dev=30)))
    dev_pairs = {}
    for language, folder in FOLDERS.items():
        for role, split in (("train", "train"), ("dev", "dev")):
            sentences = toy.sentences(SPEAKS[language], role)
            if role == "dev":
                # Longer than a window of 32 subwords, and than the 128 words that parsing evaluates.
                sentences = [*sentences, _joined(sentences)]
            made_hub.put(root / folder / f"xx-ud-{split}.conllu", _treebank(sentences).encode())
            text = made_hub.entities_text([(s.words, _tags(s)) for s in sentences], prefix=language)
            made_hub.put(root / "wikiann" / language / split, text)
            pairs = _pairs(sentences)
            if role == "train":
                path = root / "xnli" / "XNLI-MT-1.0" / "multinli" / f"multinli.train.{language}.tsv"
                made_hub.put(path, made_hub.train_tsv(pairs))
            else:
                dev_pairs[language] = pairs
    made_hub.put(root / "xnli" / "XNLI-1.0" / "xnli.dev.tsv", made_hub.dev_tsv(dev_pairs))


def _joined(sentences: Sequence[Sentence]) -> Sentence:
    """Return sentences as one: the roots after the first hang on the first."""
    words: list[Any] = []
    for sentence in sentences:
        offset = len(words)
        for word, tag, head, relation in zip(
            sentence.words, sentence.upos, sentence.heads, sentence.deprels, strict=True
        ):
            words.append((word, tag, head + offset if head else 0, relation))
        if len(words) > 140:
            break
    (first, *others) = [number for number, (_, _, head, _) in enumerate(words, start=1) if head == 0]
    for other in others:
        words[other - 1] = (*words[other - 1][:2], first, "parataxis")
    assert len(words) > 140
    columns = list(zip(*words, strict=True))
    return Sentence(*columns, text=" ".join(columns[0]), where="made up")


def _treebank(sentences: Sequence[Sentence]) -> str:
    """Return CoNLL-U; the first word of every third sentence is a form with a space."""
    blocks = []
    for number, sentence in enumerate(sentences):
        columns = zip(sentence.words, sentence.upos, sentence.heads, sentence.deprels, strict=True)
        lines = [
            row(id_, f"{word} {word}" if number % 3 == 0 and id_ == 1 else word, tag, head, deprel)
            for id_, (word, tag, head, deprel) in enumerate(columns, start=1)
        ]
        blocks.append("\n".join([f"# text = {sentence.text}", *lines]))
    return "".join(f"{block}\n\n" for block in blocks)


def _tags(sentence: Sentence) -> list[str]:
    """Nouns are people, with the adjectives before them; some start with I-, as in WikiANN."""
    tags: list[str] = []
    for tag in sentence.upos:
        inside = bool(tags) and tags[-1] != "O"
        name = {"NOUN": "PER", "PROPN": "LOC", "ADJ": "PER"}.get(tag)
        tags.append("O" if name is None else f"{'I' if inside or len(sentence.words) % 2 else 'B'}-{name}")
    return tags


def _pairs(sentences: Sequence[Sentence]) -> list[tuple[str, str, str]]:
    dice = random.Random(0)
    pairs = []
    for sentence in sentences:
        words, label = list(sentence.words[:8]), dice.choice(LABELS)
        other = {"entailment": words, "neutral": words[:1], "contradiction": words[::-1] * 2}[label]
        pairs.append((" ".join(words), f'"{" ".join(other)}"', label))
    return pairs


def make_sweep(folder: Path) -> tuple[Tiny, Path]:
    """Return a sweep of all tasks that has been run, and its file."""
    make_files(folder / "data")
    tiny = make_tiny(
        folder / "store",
        tasks=list(TASKS),
        pairs={"en": ["de"]},
        data={"root": str(folder / "data"), "corpora": {}},
        finetune={"epochs": 4, "max_length": 32, "validations_per_epoch": 1},
        grid=GRID,
        scopes=["all"],
    )
    tiny.run()
    return tiny, write_sweep(tiny, folder)


def write_sweep(tiny: Tiny, folder: Path) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(dump_sweep(tiny.sweep), encoding="utf-8")
    return path


@pytest.fixture
def done(predicted: tuple[Tiny, Path]) -> tuple[Tiny, Path]:
    """A sweep of all tasks with its predictions at the corners; for reading only."""
    return predicted


@pytest.fixture
def own(done: tuple[Tiny, Path], tmp_path: Path) -> tuple[Tiny, Path]:
    """A copy of the sweep to change, without predictions."""
    tiny = done[0].copied(tmp_path / "store")
    shutil.rmtree(tiny.root / "predictions")
    return tiny, write_sweep(tiny, tmp_path)


def cell(tiny: Tiny, task: str) -> SurfaceJob:
    return tiny.cell(task, "de")


def folder(tiny: Tiny, task: str) -> Path:
    return tiny.root / "predictions" / cell(tiny, task).id


def gold_sentences(tiny: Tiny, language: str) -> Sequence[Sentence]:
    return UDCorpus(tiny.sweep.data).sentences(language, "dev")


def everything(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def stored_counts(
    tiny: Tiny, task: str, a_src: float, a_tgt: float, language: str
) -> dict[str, tuple[int, ...]]:
    """Return the counts of a point by metric, from the cell's Parquet file."""
    table: pa.Table = tiny.store.read_table(tiny.store.surface_path(cell(tiny, task)))
    return {
        row["metric"]: (row["correct"], row["predicted"], row["gold"])
        for row in table.to_pylist()
        if (row["a_src"], row["a_tgt"], row["eval_language"]) == (a_src, a_tgt, language)
    }


# Scorers of a few lines, which share nothing with xltray's.


def conllu_sentences(text: str) -> list[list[Any]]:
    return [list(sentence) for sentence in conllu.parse(text)]


def attachment(predicted: str, gold: str) -> dict[str, tuple[int, ...]]:
    """CoNLL 2018 rules, over the first 128 words and without punctuation and symbols."""
    las = uas = paper = words = 0
    for ours, true in zip(conllu_sentences(predicted), conllu_sentences(gold), strict=True):
        assert [token["form"] for token in ours] == [token["form"] for token in true]
        for token, reference in zip(ours[:128], true, strict=False):
            if reference["upos"] in ("PUNCT", "SYM"):
                continue
            right = token["head"] == reference["head"]
            words += 1
            uas += right
            las += right and token["deprel"] == reference["deprel"]
            paper += right and token["deprel"] == reference["deprel"] and reference["head"] != 0
    return {"las": (las, words, words), "uas": (uas, words, words), "las_paper": (paper, words, words)}


def columns(text: str) -> list[list[list[str]]]:
    """Return sentences of words of columns."""
    blocks = text.strip("\n").split("\n\n")
    return [[line.split("\t") for line in block.split("\n")] for block in blocks]


def entity_counts(text: str) -> tuple[int, int, int]:
    """Count spans as seqeval finds them by default."""
    correct = predicted = gold = 0
    for sentence in columns(text):
        found = set(get_entities([tag for _, _, tag in sentence]))
        true = set(get_entities([tag for _, tag, _ in sentence]))
        correct, predicted, gold = (
            correct + len(found & true),
            predicted + len(found),
            gold + len(true),
        )
    return correct, predicted, gold


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))
