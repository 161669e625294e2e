"""Span counts: by hand, against seqeval, and what must hold of any tags."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities

from xltray.nn.spans import count_spans
from xltray.tasks.base import Counts

LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
NUMBERS = {label: number for number, label in enumerate(LABELS)}

Sentences = Sequence[Sequence[str]]


def count(predicted: Sentences, gold: Sentences) -> tuple[int, int, int]:
    def numbers(sentences: Sentences) -> torch.Tensor:
        return torch.tensor([NUMBERS[tag] for tags in sentences for tag in tags], dtype=torch.long)

    sentence_N = torch.tensor([i for i, tags in enumerate(gold) for _ in tags], dtype=torch.long)
    counted = count_spans(numbers(predicted), numbers(gold), sentence_N)
    assert counted.shape == (3,)
    return tuple(counted.tolist())  # type: ignore[return-value]


def count_by_seqeval(predicted: Sentences, gold: Sentences) -> tuple[int, int, int]:
    correct = predictions = golds = 0
    for one, other in zip(predicted, gold, strict=True):
        found, expected = set(get_entities(list(one))), set(get_entities(list(other)))
        correct, predictions, golds = (
            correct + len(found & expected),
            predictions + len(found),
            golds + len(expected),
        )
    return correct, predictions, golds


def repaired(tags: Sequence[str]) -> list[str]:
    """Make every I that continues nothing a B, word by word."""
    result: list[str] = []
    for tag in tags:
        before = result[-1] if result else "O"
        broken = tag.startswith("I-") and before[1:] != tag[1:]
        result.append(f"B-{tag[2:]}" if broken else tag)
    return result


def random_sentences(number: int, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Return predicted and gold tags; half of the predictions differ from the gold by a few tags."""
    dice = random.Random(seed)
    golds, predictions = [], []
    for _ in range(number):
        gold = [dice.choice(LABELS) for _ in range(dice.randint(1, 12))]
        few = dice.random() < 0.5
        predictions.append(
            [dice.choice(LABELS) if dice.random() < (0.1 if few else 1) else tag for tag in gold]
        )
        golds.append(gold if dice.random() < 0.5 else repaired(gold))
    return predictions, golds


# One line a case: predicted tags, gold tags, (correct, predicted, gold).
CASES = {
    "the same": ("B-PER I-PER O", "B-PER I-PER O", (1, 1, 1)),
    "nothing": ("O O", "O O", (0, 0, 0)),
    "missed": ("O O", "B-PER O", (0, 0, 1)),
    "made up": ("B-LOC O", "O O", (0, 1, 0)),
    "another type": ("B-LOC I-LOC", "B-ORG I-ORG", (0, 1, 1)),
    "too short": ("B-PER O", "B-PER I-PER", (0, 1, 1)),
    "too long": ("B-PER I-PER", "B-PER O", (0, 1, 1)),
    "starts late": ("O B-PER", "B-PER I-PER", (0, 1, 1)),
    "cut in two": ("B-PER B-PER", "B-PER I-PER", (0, 2, 1)),
    "joined": ("B-PER I-PER", "B-PER B-PER", (0, 1, 2)),
    "neighbours": ("B-PER B-ORG I-ORG", "B-PER B-ORG I-ORG", (2, 2, 2)),
    "I after O opens": ("O I-PER I-PER", "O B-PER I-PER", (1, 1, 1)),
    "I at the start opens": ("I-LOC", "B-LOC", (1, 1, 1)),
    "I of another type opens": ("B-PER I-ORG I-ORG", "B-PER B-ORG I-ORG", (2, 2, 2)),
    "I of one type after I of another": ("I-PER I-ORG I-PER", "B-PER B-ORG B-PER", (3, 3, 3)),
    "broken gold too": ("O B-PER", "O I-PER", (1, 1, 1)),
    # I-LOC must not be taken for a continuation of what went before the O.
    "over an O": ("B-LOC O I-LOC", "B-LOC O B-LOC", (2, 2, 2)),
    "right type at the end, wrong at the start": ("B-ORG I-LOC", "B-LOC I-LOC", (0, 2, 1)),
}


@pytest.mark.parametrize("case", CASES)
def test_by_hand(case):
    predicted, gold, expected = CASES[case]
    assert count([predicted.split()], [gold.split()]) == expected


def test_spans_end_with_their_sentence():
    gold = [["O", "B-PER"], ["B-PER", "O"]]
    assert count([["O", "B-PER"], ["I-PER", "O"]], gold) == (2, 2, 2)
    whole = torch.tensor([[0, 1, 2, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
    assert count_spans(*whole).tolist() == [0, 1, 2], "in one sentence the I would continue"


def test_no_words():
    assert count([], []) == (0, 0, 0)


def test_ten_thousand_sentences_as_seqeval():
    predicted, gold = random_sentences(10_000, seed=0)
    found = count(predicted, gold)
    assert found == count_by_seqeval(predicted, gold)
    assert Counts(*found).value == pytest.approx(f1_score(gold, predicted), abs=1e-10)
    correct, predictions, golds = found
    assert 0 < correct < min(predictions, golds)
    assert sum(tags != repaired(tags) for tags in predicted) > 5000
    assert sum(tags != repaired(tags) for tags in gold) > 2000
    # The repair of the authors changes nothing that is counted.
    assert count([repaired(tags) for tags in predicted], gold) == found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sentence_by_sentence_as_seqeval(seed):
    predicted, gold = random_sentences(200, seed)
    for one, other in zip(predicted, gold, strict=True):
        assert count([one], [other]) == count_by_seqeval([one], [other])


SENTENCES = st.lists(
    st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=8), max_size=6
)


def both(sentences: list[list[tuple[str, str]]]) -> tuple[list[list[str]], list[list[str]]]:
    return [[p for p, _ in tags] for tags in sentences], [[g for _, g in tags] for tags in sentences]


@given(SENTENCES)
def test_counts_are_seqevals(sentences):
    predicted, gold = both(sentences)
    assert count(predicted, gold) == count_by_seqeval(predicted, gold)


@given(SENTENCES)
def test_the_roles_may_be_swapped(sentences):
    predicted, gold = both(sentences)
    correct, predictions, golds = count(predicted, gold)
    assert count(gold, predicted) == (correct, golds, predictions)
    assert correct <= min(predictions, golds)
    assert count(gold, gold) == (golds, golds, golds)


@given(SENTENCES, st.randoms())
def test_sentences_add_up_in_any_order(sentences, dice):
    predicted, gold = both(sentences)
    alone = [count([p], [g]) for p, g in zip(predicted, gold, strict=True)]
    total = tuple(sum(column) for column in zip(*alone, strict=True)) or (0, 0, 0)
    assert count(predicted, gold) == total
    shuffled = list(zip(predicted, gold, strict=True))
    dice.shuffle(shuffled)
    assert count([p for p, _ in shuffled], [g for _, g in shuffled]) == total


@given(SENTENCES)
def test_types_are_only_names(sentences):
    predicted, gold = both(sentences)

    def renamed(all_tags: list[list[str]]) -> list[list[str]]:
        names = {"PER": "LOC", "LOC": "ORG", "ORG": "PER"}
        return [[tag if tag == "O" else tag[:2] + names[tag[2:]] for tag in tags] for tags in all_tags]

    assert count(renamed(predicted), renamed(gold)) == count(predicted, gold)


def test_the_inputs_are_left_alone():
    tensors = [torch.tensor([1, 2, 2, 3]), torch.tensor([1, 2, 0, 3]), torch.tensor([0, 0, 0, 1])]
    copies = [tensor.clone() for tensor in tensors]
    count_spans(*tensors)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(tensors, copies, strict=True))
