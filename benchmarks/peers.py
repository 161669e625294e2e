"""Two users' ways to score a point: the naive one, and the one of somebody who looked for speed.

Both are written for the same models and give the same counts as ours.

* ``Naive``: interpolated state dict (the paper's Eq. 3 as printed), ``load_state_dict``, a DataLoader of 32
  sentences in file order padded as they come, metric and trees item by item in Python.
* ``Strong``: parameters set in place, batches of 32 made once and sorted by length, metric on arrays. For
  parsing, label scores by einsum, and search only where the greedy heads are no tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.models import Endpoints
from benchmarks.ours import POINT
from benchmarks.padded import IGNORED, PaddedModel, collate, item
from benchmarks.python_counts import (
    label_counts,
    label_counts_of_arrays,
    span_counts,
    span_counts_of_arrays,
)
from xltray.grid import Point
from xltray.tasks.base import Counts, EncodedSplit

BATCH = 32
States = Mapping[str, Mapping[str, Tensor]]
Scores = Mapping[str, Counts]
METRIC = {"pos": "accuracy", "ner": "f1", "xnli": "accuracy"}


def interpolated(states: States, point: Point) -> dict[str, Tensor]:
    """Return a state dict at a point: B + a_src (S - B) + a_tgt (T - B)."""
    a_src, a_tgt = float(point.a_src), float(point.a_tgt)
    source, target = states["source"], states["target"]
    return {
        name: weight + a_src * (source[name] - weight) + a_tgt * (target[name] - weight)
        for name, weight in states["bilingual"].items()
    }


def on_device(batch: Mapping[str, Tensor], device: str) -> dict[str, Tensor]:
    """Return a batch on a device."""
    return {name: tensor.to(device) for name, tensor in batch.items()}


class Naive:
    """Scores points as most scripts would."""

    def __init__(self, endpoints: Endpoints, split: EncodedSplit) -> None:
        self.task, self.device = endpoints.task, endpoints.device
        self.states = endpoints.states()
        self.model = PaddedModel(self.task, endpoints.size, pairwise=True).to(self.device).eval()
        items = [item(self.task, sequence) for sequence in split.sequences]
        self.loader: Iterable[dict[str, Tensor]] = DataLoader(items, BATCH, collate_fn=collate)  # type: ignore[arg-type]

    def score(self, point: Point = POINT) -> Scores:
        """Set a point and score it."""
        self.model.load_state_dict(interpolated(self.states, point))
        with torch.no_grad():
            return self._parsed() if self.task == "parsing" else self._labelled()

    def _labelled(self) -> Scores:
        predicted: list[list[int]] = []
        gold: list[list[int]] = []
        for batch in self.loader:
            guesses = self.model.logits(on_device(batch, self.device)).argmax(2).tolist()
            for guess_row, label_row in zip(guesses, batch["labels"].tolist(), strict=True):
                scored = [place for place, label in enumerate(label_row) if label != IGNORED]
                predicted.append([guess_row[place] for place in scored])
                gold.append([label_row[place] for place in scored])
        count = span_counts if self.task == "ner" else label_counts
        return {METRIC[self.task]: count(predicted, gold)}

    def _parsed(self) -> Scores:
        las = uas = total = 0
        for batch in self.loader:
            trees = self.model.trees(on_device(batch, self.device))
            columns = (*trees, batch["head"], batch["relation"], batch["scored"])
            for rows in zip(*(column.tolist() for column in columns), strict=True):
                for head, label, gold_head, gold_label, scored in zip(*rows, strict=True):
                    if scored:
                        total += 1
                        uas += head == gold_head
                        las += head == gold_head and label == gold_label
        return {"las": Counts(las, total, total), "uas": Counts(uas, total, total)}


class Strong:
    """Scores points as somebody would who has looked for speed, without leaving padded batches."""

    def __init__(self, endpoints: Endpoints, split: EncodedSplit) -> None:
        self.task = endpoints.task
        self.states = endpoints.states()
        self.model = PaddedModel(self.task, endpoints.size).to(endpoints.device).eval()
        order = sorted(split.sequences, key=lambda sequence: len(sequence.tokens.ids))
        items = [item(self.task, sequence) for sequence in order]
        self.batches = [
            on_device(collate(items[start : start + BATCH]), endpoints.device)
            for start in range(0, len(items), BATCH)
        ]

    def score(self, point: Point = POINT) -> Scores:
        """Set a point and score it."""
        self._set(point)
        with torch.inference_mode():
            return self._parsed() if self.task == "parsing" else self._labelled()

    def _set(self, point: Point) -> None:
        weights = [(self.states[corner], float(w)) for corner, w in point.weights._asdict().items()]
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                (first, weight), *others = weights
                torch.mul(first[name], weight, out=parameter.data)
                for state, weight in others:
                    parameter.data.add_(state[name], alpha=weight)

    def _labelled(self) -> Scores:
        predicted, gold, sentence = [], [], []
        sentences = 0
        for batch in self.batches:
            guess_BL, label_BL = self.model.logits(batch).argmax(2), batch["labels"]
            scored_BL = label_BL != IGNORED
            predicted.append(guess_BL[scored_BL])
            gold.append(label_BL[scored_BL])
            sentence.append(scored_BL.nonzero()[:, 0] + sentences)
            sentences += len(label_BL)
        count = span_counts_of_arrays if self.task == "ner" else label_counts_of_arrays
        return {METRIC[self.task]: count(*(torch.cat(c).cpu().numpy() for c in (predicted, gold, sentence)))}

    def _parsed(self) -> Scores:
        right = np.zeros(3, dtype=np.int64)
        for batch in self.batches:
            heads_BN, labels_BN = self.model.trees(batch)
            scored_BN = batch["scored"].bool()
            head_BN = (heads_BN == batch["head"]) & scored_BN
            both_BN = head_BN & (labels_BN == batch["relation"])
            right += torch.stack([both_BN.sum(), head_BN.sum(), scored_BN.sum()]).cpu().numpy()
        las, uas, total = (int(number) for number in right)
        return {"las": Counts(las, total, total), "uas": Counts(uas, total, total)}
