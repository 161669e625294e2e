"""Named-entity recognition: what is counted, over whole sentences, whatever the windows and batches."""

from __future__ import annotations

import random
from collections.abc import Sequence

import made_models as made
import pytest
import torch
import torch.nn.functional as F
from made_labels import Told, check_sweep, overfit, score
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities
from tiny import make_tiny
from torch import nn

from xltray.corpora.base import Entities
from xltray.corpora.toy import ToyCorpus
from xltray.corpora.wikiann import TAGS
from xltray.nn.encoder import build_encoder
from xltray.nn.model import EndpointModel
from xltray.spec_types import Role
from xltray.tasks.base import EncodedSplit, Evaluation
from xltray.tasks.ner import NerTask

TASK = NerTask()
# zero width joiner, left-to-right mark: BERT's normaliser removes both
NO_PIECE = "\u200d\u200e"
# A word for each tag, the tag in small letters: "bper" is predicted to be B-PER by ``Told``.
WORDS = {label: label.lower().replace("-", "") for label in TAGS}
TOKENIZER = made.wordpiece([*WORDS.values(), "##x"])
FIRST_ID = len(made.BERT_SPECIALS)
TOLD = Told({FIRST_ID + number: number for number in range(len(TAGS))}, len(TAGS))

Tags = Sequence[str]


def example(predicted: Tags, gold: Tags, *, pieces: int = 1) -> Entities:
    """A sentence whose words say what will be predicted; "-" is a word without any subword."""
    words = [NO_PIECE if tag == "-" else WORDS[tag] + "x" * (pieces - 1) for tag in predicted]
    return Entities(tuple(words), tuple(gold), "made up")


def encode(examples: Sequence[Entities], *, max_length: int = 128) -> EncodedSplit:
    return TASK.encode(examples, TOKENIZER, role="dev", max_length=max_length, limit=512)


def counts(evaluation: Evaluation) -> tuple[int, int, int]:
    return tuple(evaluation.counts["f1"])


def counted(predicted: str, gold: str, **options: int) -> tuple[int, int, int]:
    """Count one sentence."""
    return counts(score(TASK, TOLD, encode([example(predicted.split(), gold.split())], **options)))


def random_examples(
    number: int, seed: int, longest: int = 30
) -> tuple[list[Tags], list[Tags], list[Entities]]:
    dice = random.Random(seed)
    golds = [[dice.choice(TAGS) for _ in range(dice.randint(1, longest))] for _ in range(number)]
    predictions = [[dice.choice(TAGS) if dice.random() < 0.3 else tag for tag in gold] for gold in golds]
    examples = [example(p, g, pieces=dice.randint(1, 3)) for p, g in zip(predictions, golds, strict=True)]
    return predictions, golds, examples


def seqeval_counts(predicted: Sequence[Tags], gold: Sequence[Tags]) -> tuple[int, int, int]:
    pairs = [
        (set(get_entities(list(p))), set(get_entities(list(g)))) for p, g in zip(predicted, gold, strict=True)
    ]
    return sum(len(p & g) for p, g in pairs), sum(len(p) for p, _ in pairs), sum(len(g) for _, g in pairs)


def endpoint(family: str = "bert") -> EndpointModel:
    torch.manual_seed(0)
    head = TASK.head(16, None)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_()
    return EndpointModel(made.encoder(family, positions=200), head, dropout=0.0)


def test_labels_and_head():
    assert TASK.labels == ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
    head = TASK.head(16, None)
    assert isinstance(head, nn.Linear)
    assert head.weight.shape == (7, 16)


def test_the_label_set_does_not_depend_on_the_data():
    split = encode([example(["O", "I-LOC"], ["O", "I-LOC"])])
    assert split.sequences[0].labels["label"] == [0, 6]


def test_scores_are_seqevals():
    predicted, gold, examples = random_examples(300, seed=0)
    evaluation = score(TASK, TOLD, encode(examples))
    assert counts(evaluation) == seqeval_counts(predicted, gold)
    assert evaluation.counts["f1"].value == pytest.approx(f1_score(gold, predicted), abs=1e-10)
    assert evaluation.examples == 300


# Windows of 6 subwords, of which the last 4 may be repeated from the one before.
SMALL = 8


def test_an_entity_over_the_end_of_a_window_counts_once():
    tags = "O O O O B-PER I-PER I-PER I-PER O O B-LOC I-LOC O"
    split = encode([example(tags.split(), tags.split())], max_length=SMALL)
    assert len(split.sequences) > 2
    assert not any({4, 5, 6, 7} <= set(sequence.labels["index"]) for sequence in split.sequences)
    assert counted(tags, tags, max_length=SMALL) == (2, 2, 2)
    longer = "O O O O B-PER I-PER I-PER I-PER I-PER O B-LOC I-LOC O"
    assert counted(longer, tags, max_length=SMALL) == (1, 2, 2)


def test_a_broken_entity_at_the_start_of_a_window_is_repaired_by_its_sentence():
    # Word 6 is the first that the second window scores.
    gold = "O O O O O O B-ORG I-ORG"
    assert counted("O O O O O O I-ORG I-ORG", gold, max_length=SMALL) == (1, 1, 1)
    assert counted("O O O O O I-ORG I-ORG I-ORG", gold, max_length=SMALL) == (0, 1, 1)


@pytest.mark.parametrize("max_length", [4, 5, 8, 13, 128])
def test_windows_change_nothing_that_is_counted(max_length):
    predicted, gold, examples = random_examples(60, seed=1)
    split = encode(examples, max_length=max_length)
    assert (len(split.sequences) > 60) == (max_length < 128)
    assert counts(score(TASK, TOLD, split)) == seqeval_counts(predicted, gold)


def test_every_word_is_scored_once():
    _, gold, examples = random_examples(60, seed=2)
    split = encode(examples, max_length=SMALL)
    places = [index for sequence in split.sequences for index in sequence.labels["index"]]
    assert sorted(places) == list(range(sum(map(len, gold))))
    flat = [TAGS.index(tag) for tags in gold for tag in tags]
    for sequence in split.sequences:
        assert [flat[index] for index in sequence.labels["index"]] == sequence.labels["label"]


def test_words_without_a_subword_are_outside():
    # Gold tags of such words still make and join gold entities.
    assert counted("B-PER - I-PER O", "B-PER I-PER I-PER O") == (0, 2, 1)
    assert counted("B-PER - O", "B-PER O O") == (1, 1, 1)
    assert counted("- I-PER", "B-PER I-PER") == (0, 1, 1)
    assert counted("- B-PER - O B-LOC", "O B-PER O O B-LOC") == (2, 2, 2)


def test_a_sentence_of_nothing_but_such_words():
    sentences = [("B-PER", "B-PER"), ("- -", "B-LOC I-LOC"), ("- -", "O O"), ("B-ORG I-ORG", "B-ORG I-ORG")]
    split = encode([example(p.split(), g.split()) for p, g in sentences])
    assert (len(split.sequences), split.examples, split.unscorable) == (2, 4, 4)
    evaluation = score(TASK, TOLD, split)
    assert counts(evaluation) == (2, 2, 3)
    assert evaluation.examples == 4
    alone = score(TASK, TOLD, encode([example(["-"], ["B-LOC"])]))
    assert (counts(alone), alone.loss) == ((0, 0, 1), None)


def test_entities_end_with_their_sentence():
    sentences = [("O B-PER", "O B-PER"), ("I-PER O", "B-PER O")]
    split = encode([example(p.split(), g.split()) for p, g in sentences])
    assert counts(score(TASK, TOLD, split)) == (2, 2, 2)


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "distilbert"])
def test_batches_change_nothing(family):
    _, _, examples = random_examples(40, seed=3)
    split, model = encode(examples, max_length=20), endpoint(family)
    packed = score(TASK, model, split)
    alone = [TASK.collate([sequence], "cpu", training=False) for sequence in reversed(split.sequences)]
    padded = [TASK.collate(split.sequences, "cpu", training=True)]
    assert packed.counts["f1"].predicted > 20
    for batches in (alone, padded):
        other = TASK.evaluate(model, split, batches)
        assert other.counts == packed.counts
        assert other.loss == pytest.approx(packed.loss, abs=1e-5)


def test_the_loss_is_the_mean_over_words():
    _, _, examples = random_examples(10, seed=4, longest=9)
    split, model = encode(examples), endpoint()
    twin = made.plain_twin(model.encoder)
    logits, labels = [], []
    with torch.inference_mode():
        for sequence in split.sequences:
            hidden_LH = made.one_forward(twin, sequence.tokens)
            logits.append(model.head(hidden_LH[list(sequence.words)]))
            labels += sequence.labels["label"]
        expected = float(F.cross_entropy(torch.cat(logits), torch.tensor(labels)))
        batch = TASK.collate(split.sequences, "cpu", training=True)
        loss = TASK.loss(model.eval(), batch)
    assert loss.decisions == len(labels)
    assert float(loss.total) / loss.decisions == pytest.approx(expected, abs=1e-5)
    assert score(TASK, model, split).loss == pytest.approx(expected, abs=1e-5)


def test_it_learns():
    # A word says what the next word's tag is, so that it takes context to learn.
    sentences = ["B-PER I-PER O B-LOC", "O B-ORG I-ORG I-ORG O", "B-LOC O B-PER", "O O B-LOC I-LOC"]
    shifted = [" ".join(tags.split()[1:] + tags.split()[:1]) for tags in sentences]
    split = encode([example(s.split(), g.split()) for s, g in zip(shifted, sentences, strict=True)])
    torch.manual_seed(0)
    model = EndpointModel(build_encoder(made.configuration("bert")), TASK.head(16, None), dropout=0.0)
    assert score(TASK, model, split).counts["f1"].value < 0.5
    overfit(TASK, model, split, steps=150)
    after = score(TASK, model, split)
    assert after.counts["f1"].value == 1.0
    assert after.loss < 0.1


def toy_entities(corpus: ToyCorpus, language: str, role: Role) -> list[Entities]:
    """Runs of names are places, runs of nouns are people."""
    types = {"PROPN": "LOC", "NOUN": "PER"}
    result = []
    for sentence in corpus.sentences(language, role):
        tags: list[str] = []
        for before, tag in zip(("", *sentence.upos), sentence.upos, strict=False):
            tags.append(f"{'I' if before == tag else 'B'}-{types[tag]}" if tag in types else "O")
        result.append(Entities(sentence.words, tuple(tags), sentence.where))
    return result


def test_a_sweep_from_fine_tuning_to_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(ToyCorpus, "entities", toy_entities)
    tiny = make_tiny(
        tmp_path,
        tasks=["ner"],
        pairs={"qaa": ["qab"]},
        data={"corpora": {"ner": "toy"}, "toy": {"train": 40, "dev": 30}},
        finetune={"epochs": 8},
        scopes=["all"],
    )
    tiny.run()
    corpus = ToyCorpus(tiny.sweep.data)
    gold = {
        language: sum(len(get_entities(list(s.tags))) for s in toy_entities(corpus, language, "dev"))
        for language in ("qaa", "qab")
    }
    rows = check_sweep(tiny, "ner", gold)
    assert {row["metric"] for row in rows} == {"f1"}
    at_source = {row["eval_language"]: row["value"] for row in rows if (row["a_src"], row["a_tgt"]) == (1, 0)}
    assert at_source["qaa"] > 0.3
    assert at_source["qaa"] > at_source["qab"]
