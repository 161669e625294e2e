"""What taggers and pair classification share: accuracy over all that is asked, layouts of batches."""

from __future__ import annotations

import made_models as made
import pytest
from made_labels import Told, score

from xltray.corpora.base import Sentence
from xltray.nn.packing import Layout
from xltray.tasks.pos import PosTask

TASK = PosTask()
TOKENIZER = made.wordpiece(["dog", "runs"])
# zero width joiner, left-to-right mark: BERT's normaliser removes both
NO_PIECE = "\u200d\u200e"


def sentence(*words: str, upos: tuple[str, ...]) -> Sentence:
    count = len(words)
    return Sentence(words, upos, (0,) * count, ("root",) * count, " ".join(words), "made up")


@pytest.fixture
def told() -> Told:
    first = len(made.BERT_SPECIALS)
    return Told({first: TASK.labels.index("NOUN"), first + 1: TASK.labels.index("VERB")}, len(TASK.labels))


def test_words_without_a_subword_count_as_wrong(told):
    examples = [
        sentence("dog", NO_PIECE, "runs", upos=("NOUN", "X", "VERB")),
        sentence(NO_PIECE, upos=("X",)),
        sentence("dog", "runs", upos=("PROPN", "VERB")),
    ]
    split = TASK.encode(examples, TOKENIZER, role="dev", max_length=128, limit=512)
    evaluation = score(TASK, told, split)
    assert evaluation.counts["accuracy"] == (3, 6, 6)
    assert evaluation.examples == 3


def test_training_batches_are_padded_and_scoring_batches_are_not():
    examples = [sentence("dog", upos=("NOUN",)), sentence("dog", "runs", upos=("NOUN", "VERB"))]
    split = TASK.encode(examples, TOKENIZER, role="train", max_length=128, limit=512)
    assert TASK.collate(split.sequences, "cpu", training=True).packed.layout is Layout.PADDED
    assert [batch.packed.layout for batch in TASK.batches(split, "cpu")] == [Layout.RUNS]
