"""Windows, batches and scores of word labelling, against plain loops over sentences."""

from __future__ import annotations

import itertools
import random

import made_models as made
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from xltray.corpora.base import Sentence
from xltray.corpora.toy import ToyCorpus
from xltray.corpora.ud import UPOS
from xltray.nn import packing
from xltray.nn.encoder import build_encoder
from xltray.nn.model import EndpointModel
from xltray.nn.packing import Layout
from xltray.spec import DataSpec, ToySpec
from xltray.tasks.pos import PosTask
from xltray.tasks.tagging import Window, windows

TASK = PosTask()
NO_PIECE = "\u200d"
LETTERS = "abcdefghij"


@pytest.fixture(scope="module")
def tokenizer():
    # Toy words fall into letters: several subwords a word.
    alphabet = sorted({c for s in toy_sentences() for word in s.words for c in word} | set(LETTERS))
    return made.wordpiece([*alphabet, *(f"##{c}" for c in alphabet)])


def toy_sentences() -> list[Sentence]:
    return ToyCorpus(DataSpec(toy=ToySpec(train=1, dev=60))).sentences("qaa", "dev")


def sentence(words: list[str], tags: list[str] | None = None) -> Sentence:
    n = len(words)
    tags = tags or [UPOS[i % len(UPOS)] for i in range(n)]
    return Sentence(
        tuple(words), tuple(tags), (0, *[1] * (n - 1)), ("root", *["dep"] * (n - 1)), " ".join(words), "here"
    )


def endpoint(tokenizer) -> EndpointModel:
    model = made.encoder("bert", vocabulary=len(tokenizer), positions=200)
    torch.manual_seed(1)
    return EndpointModel(model, TASK.head(16, None), dropout=0.2).eval()


def encode(examples, tokenizer, *, max_length=128, limit=200, role="dev"):
    return TASK.encode(examples, tokenizer, role=role, max_length=max_length, limit=limit)


# --- windows ---


@st.composite
def cuts(draw):
    lengths = draw(st.lists(st.integers(0, 12), max_size=40))
    max_length = draw(st.integers(2, 24))
    return lengths, draw(st.integers(1, max_length)), max_length // 2


@settings(max_examples=500)
@given(cuts())
def test_windows(cut):
    lengths, room, context = cut
    found = list(windows(lengths, room, context))
    # Every word is scored exactly once, in order.
    assert [word for window in found for word in range(window.scored, window.stop)] == list(
        range(len(lengths))
    )
    for window in found:
        used = sum(lengths[window.start : window.stop])
        # Room is exceeded by a single word at most that is longer than a whole window.
        first = lengths[window.scored]
        assert used <= room or (used == first > room)
        assert sum(lengths[window.start : window.scored]) <= context
        assert window.start <= window.scored < window.stop
    for window, following in itertools.pairwise(found):
        # A window is as full as it can be.
        assert sum(lengths[window.start : window.stop]) + lengths[following.scored] > room
        # And so is its context: one word more would be too much context, or leave no room.
        if following.start > 0:
            more = sum(lengths[following.start - 1 : following.scored])
            assert more > context or more + lengths[following.scored] > room
    if sum(lengths) <= room:
        assert found == ([Window(0, 0, len(lengths))] if lengths else [])


def test_windows_by_hand():
    assert list(windows([1] * 10, room=6, context=3)) == [Window(0, 0, 6), Window(3, 6, 9), Window(6, 9, 10)]
    # Four pieces of context would fit the half, but word 3 needs five of the six places.
    assert list(windows([2, 2, 1, 5], room=6, context=4)) == [Window(0, 0, 3), Window(2, 3, 4)]
    assert list(windows([2, 9, 2], room=6, context=3)) == [Window(0, 0, 1), Window(1, 1, 2), Window(2, 2, 3)]
    assert list(windows([], room=6, context=3)) == []


# --- examples to tensors ---


def test_labels_are_the_fixed_list():
    assert TASK.labels == UPOS
    assert len(UPOS) == 17
    assert TASK.head(16, None).out_features == 17


def test_a_short_sentence_is_one_sequence(tokenizer):
    split = encode([sentence(["ab", "c", "def"], ["NOUN", "X", "ADJ"])], tokenizer)
    (encoded,) = split.sequences
    ids = tokenizer(["ab", "c", "def"], is_split_into_words=True)["input_ids"]
    assert list(encoded.tokens.ids) == ids
    assert list(encoded.words) == [1, 3, 4]
    assert [UPOS[tag] for tag in encoded.labels["label"]] == ["NOUN", "X", "ADJ"]
    assert (split.examples, split.unscorable) == (1, 0)


@pytest.mark.parametrize("role", ["train", "dev"])
def test_a_long_sentence_is_scored_once_with_context(tokenizer, role):
    words = list(LETTERS)
    split = encode([sentence(words)], tokenizer, max_length=8, role=role)  # six words, four of context
    texts = [tokenizer.convert_ids_to_tokens(list(s.tokens.ids)) for s in split.sequences]
    assert texts == [
        ["[CLS]", *"abcdef", "[SEP]"],
        ["[CLS]", *"cdefgh", "[SEP]"],
        ["[CLS]", *"efghij", "[SEP]"],
    ]
    assert [list(s.words) for s in split.sequences] == [[1, 2, 3, 4, 5, 6], [5, 6], [5, 6]]
    assert [tag for s in split.sequences for tag in s.labels["label"]] == list(range(10))


def test_the_encoders_limit_counts_where_it_is_smaller(tokenizer):
    split = encode([sentence(list(LETTERS))], tokenizer, max_length=128, limit=6)
    assert max(len(s.tokens.ids) for s in split.sequences) == 6
    assert [tag for s in split.sequences for tag in s.labels["label"]] == list(range(10))


def test_a_word_longer_than_a_window_is_cut(tokenizer):
    split = encode([sentence(["a", "abcdefghij", "b"])], tokenizer, max_length=8)
    texts = [tokenizer.convert_ids_to_tokens(list(s.tokens.ids)) for s in split.sequences]
    assert texts[1] == ["[CLS]", "a", "##b", "##c", "##d", "##e", "##f", "[SEP]"]
    assert [list(s.labels["label"]) for s in split.sequences] == [[0], [1], [2]]
    assert list(split.sequences[1].words) == [1]


def test_a_lone_marker_is_passed_over():
    tokenizer = made.sentencepiece(["▁", "北", "▁dog"])
    (encoded,) = encode([sentence(["dog", "北", "dog"])], tokenizer).sequences
    assert list(encoded.words) == [1, 3, 4]  # <s> ▁dog ▁ 北 ▁dog </s>


def test_words_without_piece_are_left_out_and_counted(tokenizer):
    examples = [sentence(["a", NO_PIECE, "b"]), sentence([NO_PIECE, NO_PIECE]), sentence(["c"])]
    split = encode(examples, tokenizer)
    assert [list(s.labels["label"]) for s in split.sequences] == [[0, 2], [0]]
    assert (split.examples, split.unscorable) == (3, 3)


def test_a_batch_points_at_the_first_subwords(tokenizer):
    examples = [sentence(["abc", "d"], ["X", "VERB"]), sentence(["e"], ["ADJ"])]
    split = encode(examples, tokenizer)
    batch = TASK.collate(split.sequences, "cpu", training=True)
    ids = batch.packed.ids_T[batch.labels["place_W"]].tolist()
    assert tokenizer.convert_ids_to_tokens(ids) == ["e", "a", "d"]  # shortest sentence first
    assert [UPOS[tag] for tag in batch.labels["label_W"]] == ["ADJ", "X", "VERB"]
    assert batch.decisions == 3
    assert batch.packed.layout == Layout.PADDED
    assert TASK.collate(split.sequences, "cpu", training=False).packed.layout == Layout.RUNS


# --- the model ---


def plain_logits(model: EndpointModel, tokenizer, words) -> torch.Tensor:
    """Logits of one sentence's words, by transformers' own attention and word ids."""
    twin = made.plain_twin(model.encoder)
    encoding = tokenizer(list(words), is_split_into_words=True, return_tensors="pt")
    places = [encoding.word_ids(0).index(i) for i in range(len(words)) if i in encoding.word_ids(0)]
    with torch.inference_mode():
        return model.head(twin(input_ids=encoding["input_ids"]).last_hidden_state[0, places])


@pytest.mark.parametrize("training", [False, True])
def test_logits_and_loss_are_those_of_single_sentences(tokenizer, training):
    model, examples = endpoint(tokenizer), toy_sentences()[:12]
    split = encode(examples, tokenizer, limit=200, max_length=200)
    batch = TASK.collate(split.sequences, "cpu", training=training)
    with torch.inference_mode():
        logits_WC, loss = TASK.logits(model, batch), TASK.loss(model, batch)
    ordered = [examples[index] for index in batch.packed.order]
    expected_WC = torch.cat([plain_logits(model, tokenizer, s.words) for s in ordered])
    torch.testing.assert_close(logits_WC, expected_WC, atol=2e-5, rtol=0)
    gold_W = torch.tensor([UPOS.index(tag) for s in ordered for tag in s.upos])
    torch.testing.assert_close(loss.total, F.cross_entropy(expected_WC, gold_W, reduction="sum"))
    assert loss.decisions == len(gold_W) == sum(len(s.words) for s in examples)


@pytest.mark.parametrize("budget", [60, 4096])
def test_accuracy_is_scikit_learns_on_single_sentences(tokenizer, monkeypatch, budget):
    monkeypatch.setitem(packing.TOKEN_BUDGET, "cpu", budget)
    model, examples = endpoint(tokenizer).train(), toy_sentences()
    # Gold tags that the random model often hits, so that counts are not near zero.
    draw = random.Random(0)
    predicted = [
        [UPOS[i] for i in plain_logits(model.eval(), tokenizer, s.words).argmax(1)] for s in examples
    ]
    examples = [
        sentence(list(s.words), [tag if draw.random() < 0.6 else draw.choice(UPOS) for tag in tags])
        for s, tags in zip(examples, predicted, strict=True)
    ]
    split = encode(examples, tokenizer, max_length=200)
    batches = TASK.batches(split, "cpu")
    assert (len(batches) == 1) == (budget == 4096)
    found = TASK.evaluate(model.train(), split, batches)
    gold = [tag for s in examples for tag in s.upos]
    flat = [tag for tags in predicted for tag in tags]
    counts = found.counts["accuracy"]
    assert counts.value == pytest.approx(accuracy_score(gold, flat), abs=1e-12)
    assert 0.5 < counts.value < 0.8
    assert counts.predicted == counts.gold == len(gold)
    losses = [
        F.cross_entropy(
            plain_logits(model, tokenizer, s.words),
            torch.tensor([UPOS.index(tag) for tag in s.upos]),
            reduction="sum",
        )
        for s in examples
    ]
    assert found.loss == pytest.approx(float(sum(losses)) / len(gold), rel=1e-5)
    assert found.examples == len(examples)
    assert not model.training


def test_words_without_piece_count_as_wrong(tokenizer):
    model = endpoint(tokenizer)
    words = ["a", NO_PIECE, "bc", NO_PIECE]
    logits_WC = plain_logits(model, tokenizer, words)
    best = [UPOS[i] for i in logits_WC.argmax(1)]
    split = encode([sentence(words, [best[0], "X", best[1], "X"])], tokenizer)
    found = TASK.evaluate(model, split, TASK.batches(split, "cpu"))
    assert found.counts["accuracy"] == (2, 4, 4)
    # The mean over the two words that have a prediction.
    assert found.loss == pytest.approx(float(F.cross_entropy(logits_WC, logits_WC.argmax(1))), rel=1e-4)


def test_a_split_in_which_nothing_can_be_scored(tokenizer):
    split = encode([sentence([NO_PIECE])], tokenizer)
    found = TASK.evaluate(endpoint(tokenizer), split, TASK.batches(split, "cpu"))
    assert found.counts["accuracy"] == (0, 1, 1)
    assert found.loss is None
    assert found.examples == 1


def test_windows_score_as_their_sequences_do(tokenizer):
    model = endpoint(tokenizer)
    examples = toy_sentences()[:10]
    split = encode(examples, tokenizer, max_length=24)
    assert len(split.sequences) > 15
    correct = 0
    twin = made.plain_twin(model.encoder)
    for encoded in split.sequences:
        with torch.inference_mode():
            logits_WC = model.head(made.one_forward(twin, encoded.tokens)[list(encoded.words)])
        correct += int((logits_WC.argmax(1) == torch.tensor(encoded.labels["label"])).sum())
    words = sum(len(s.words) for s in examples)
    assert TASK.evaluate(model, split, TASK.batches(split, "cpu")).counts["accuracy"] == (
        correct,
        words,
        words,
    )


def test_training_lowers_the_loss(tokenizer):
    torch.manual_seed(0)
    encoder = build_encoder(made.configuration("bert", vocabulary=len(tokenizer)))
    model = EndpointModel(encoder, TASK.head(16, None), dropout=0.1).train()
    split = encode(toy_sentences()[:4], tokenizer, max_length=24, role="train")
    batch = TASK.collate(split.sequences, "cpu", training=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = TASK.loss(model, batch)
        optimizer.zero_grad()
        (loss.total / loss.decisions).backward()
        optimizer.step()
    found = TASK.evaluate(model, split, TASK.batches(split, "cpu"))
    assert found.loss < 0.3
    assert found.counts["accuracy"].value > 0.9
