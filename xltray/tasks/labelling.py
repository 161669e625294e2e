"""Tasks that put one label on places of a sequence: a linear layer, and cross-entropy.

For taggers the places are the first subwords of words (``tagging.py``); for the classification of
pairs it is the first token (``nli.py``). Scored by accuracy unless a task says otherwise.

Shapes: W labelled places of a batch, C labels.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xltray.nn.device import begin_transfer, upload
from xltray.nn.model import EndpointModel
from xltray.nn.packing import Layout, batches_by_tokens, pack, scoring_layout
from xltray.spec import ParserSpec
from xltray.tasks.base import (
    Batch,
    Counts,
    Encoded,
    EncodedSplit,
    Evaluation,
    Loss,
    Pending,
    Predicted,
    Task,
)
from xltray.tasks.baseline import most_frequent_label

_NONE = -1


class Decided(NamedTuple):
    """A batch's logits, and the number of the label that each place gets."""

    logits_WC: Tensor
    predicted_W: Tensor


class LabellingTask(Task):
    """A task with one label a place; its sequences have an array ``label``, and may have more."""

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """The fixed label set; never read off the data, which may lack some."""

    def head(self, hidden_size: int, parser: ParserSpec | None) -> nn.Module:
        """Build a linear layer."""
        return nn.Linear(hidden_size, len(self.labels))

    def collate(self, sequences: Sequence[Encoded], device: str, *, training: bool) -> Batch:
        """Make a batch: the flat place of each label (``place_W``), and the sequences' arrays."""
        packed = pack(
            [sequence.tokens for sequence in sequences],
            layout=Layout.PADDED if training else scoring_layout(device),
            device=device,
        )
        ordered = [sequences[index] for index in packed.order]
        columns = {
            "place": [
                start + place for start, s in zip(packed.starts, ordered, strict=True) for place in s.words
            ],
            **{name: [value for s in ordered for value in s.labels[name]] for name in ordered[0].labels},
        }
        labels = {f"{name}_W": upload(torch.tensor(column), device) for name, column in columns.items()}
        return Batch(packed, labels, len(columns["place"]), [sequence.example for sequence in ordered])

    def batches(self, split: EncodedSplit, device: str) -> list[Batch]:
        """Make the batches for scoring, by length."""
        lengths = [len(sequence.tokens.ids) for sequence in split.sequences]
        return [
            self.collate([split.sequences[i] for i in members], device, training=False)
            for members in batches_by_tokens(lengths, device)
        ]

    def loss(self, model: EndpointModel, batch: Batch) -> Loss:
        """Return the cross-entropy over the batch's labels."""
        logits_WC = self.logits(model, batch)
        return Loss(F.cross_entropy(logits_WC, batch.labels["label_W"], reduction="sum"), batch.decisions)

    def logits(self, model: EndpointModel, batch: Batch) -> Tensor:
        """Return logits_WC at the batch's places."""
        logits_WC: Tensor = model.head(model(batch.packed, batch.labels["place_W"]))
        return logits_WC

    def baseline(self, split: EncodedSplit) -> Counts:
        """Return the score of the most frequent label, given to every place."""
        return most_frequent_label(split)

    def decide(self, model: EndpointModel, batch: Batch) -> Decided:
        """Label a batch's places: the one way to a decision, for scores and predictions alike."""
        logits_WC = self.logits(model, batch)
        return Decided(logits_WC, logits_WC.argmax(1))

    def sizes(self, split: EncodedSplit) -> Sequence[int]:
        """Return how many labels each example has, words without any subword included."""
        return [1] * split.examples

    def indices(self, batch: Batch) -> Sequence[int]:
        """Return the index of each place of a batch among all labels of the split."""
        return batch.examples

    def predict(self, model: EndpointModel, split: EncodedSplit, batches: Sequence[Batch]) -> list[Predicted]:
        """Return the label of each word, or of each pair; None for words without any subword."""
        model.eval()
        sizes = self.sizes(split)
        numbers = [_NONE] * sum(sizes)
        with torch.inference_mode():
            for batch in batches:
                predicted = self.decide(model, batch).predicted_W.tolist()
                for index, number in zip(self.indices(batch), predicted, strict=True):
                    numbers[index] = number
        labels = [None if number == _NONE else self.labels[number] for number in numbers]
        return [tuple(labels[end - size : end]) for size, end in zip(sizes, accumulate(sizes), strict=True)]

    def queue(self, model: EndpointModel, split: EncodedSplit, batches: Sequence[Batch]) -> Pending:
        """Count correct labels on the device."""
        model.eval()
        sums = []
        with torch.inference_mode():
            for batch in batches:
                decided, label_W = self.decide(model, batch), batch.labels["label_W"]
                loss = F.cross_entropy(decided.logits_WC, label_W, reduction="sum")
                correct = (decided.predicted_W == label_W).sum()
                sums.append(torch.stack([correct.double(), loss.double()]))
            arrived = begin_transfer(torch.stack(sums).sum(0) if sums else torch.zeros(2))

        def read() -> Evaluation:
            correct_sum, loss_sum = arrived()[0].tolist()
            scored = sum(batch.decisions for batch in batches)
            gold = scored + split.unscorable
            counts = {self.primary: Counts(int(correct_sum), gold, gold)}
            return Evaluation(counts, loss_sum / scored if scored else None, split.examples)

        return read
