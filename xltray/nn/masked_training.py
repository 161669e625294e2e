"""Training a BERT by masked words (``masked_words.py``), so that it can be cut short and go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from xltray.nn.flat import weights_hash
from xltray.nn.masked_words import Heads, Losses, Passage
from xltray.nn.model import seed_of
from xltray.nn.optimisation import adamw, restore_training, training_state, warmup_then_linear
from xltray.spec import PretrainSpec

ASKED_FIRST = 2
"""Passes over the texts that are asked about, before any word is masked. A small encoder finds out in
them what texts share; asked amid masks from the start, it takes four times the steps, or never does.
A quarter of all steps at most."""


class MaskedWordTraining(Iterator[Losses]):
    """Trains a BERT; each step's losses come from ``next``."""

    def __init__(
        self, encoder: PreTrainedModel, passages: Sequence[Passage], spec: PretrainSpec, device: str
    ) -> None:
        """Prepare to train ``encoder``, which is on ``device``; the heads are drawn at random."""
        self.steps = 0
        self._encoder, self._passages, self._spec, self._device = encoder, passages, spec, device
        self._heads = Heads(encoder, passages).to(device)
        # A list: walking through the modules at every step takes as long as the optimizer.
        self._parameters = [*encoder.parameters(), *self._heads.parameters()]
        self._optimizer = adamw(
            self._parameters, learning_rate=spec.learning_rate, weight_decay=spec.weight_decay
        )
        self._scheduler = warmup_then_linear(self._optimizer, steps=spec.steps, warmup=spec.warmup)
        self._generator = torch.Generator().manual_seed(seed_of("masks", spec.seed))
        self._batches = Batches(passages, spec, self._generator)
        encoder.train()

    @property
    def weights_hash(self) -> str:
        """A hash of all weights, as they are now."""
        return weights_hash(torch.cat([parameter.detach().flatten() for parameter in self._parameters]))

    def __next__(self) -> Losses:
        """Take a step."""
        if self.steps == self._spec.steps:
            raise StopIteration
        members = [self._passages[i] for i in self._batches.take()]
        words, following = self._heads(self._encoder, members, self._spec.mask_rate, self._generator)
        self._optimizer.zero_grad(set_to_none=True)
        torch.stack([loss for loss in (words, following) if loss is not None]).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._scheduler.step()
        self.steps += 1
        return Losses(*(None if loss is None else float(loss.detach()) for loss in (words, following)))

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return all that the next step depends on: plain values, and tensors by name."""
        training, tensors = training_state(self._optimizer, self._scheduler, self._device)
        tensors |= {f"weights.{i}": weights.detach().cpu() for i, weights in enumerate(self._parameters)}
        tensors["masks"] = self._generator.get_state()
        tensors["order"] = torch.tensor(self._batches.order)
        return {"steps": self.steps, "training": training, "place": self._batches.place._asdict()}, tensors

    def restore(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go on where ``state`` was taken."""
        with torch.no_grad():
            for i, weights in enumerate(self._parameters):
                weights.copy_(tensors[f"weights.{i}"])
        restore_training(self._optimizer, self._scheduler, self._device, values["training"], tensors)
        self._generator.set_state(tensors["masks"])
        self._batches.order = tensors["order"].tolist()
        self._batches.place = Place(**values["place"])
        self.steps = values["steps"]


class Place(NamedTuple):
    """How far training has come in its data: the pass (from 1), and batches taken from it and in all."""

    passes: int = 0
    of_pass: int = 0
    taken: int = 0


class Batches:
    """Batches of sequences of similar length, pass after pass, each pass in an order of its own.

    ``place`` and ``order`` (the batches of the pass under way, by number) say which batch is next.
    """

    def __init__(self, passages: Sequence[Passage], spec: PretrainSpec, generator: torch.Generator) -> None:
        """Draw orders from ``generator`` when a pass begins."""
        lengths = [len(passage.tokens.ids) for passage in passages]
        everything = sorted(range(len(passages)), key=lambda i: lengths[i])
        asked = [index for index in everything if passages[index].follows is not None]
        self._asked, self._all = _cut(asked, spec.batch_size), _cut(everything, spec.batch_size)
        self._alone = spec.steps // 4 if asked else 0
        self._generator = generator
        self.place = Place()
        self.order: list[int] = []

    def take(self) -> Sequence[int]:
        """Return the next batch: indices of passages."""
        passes, of_pass, taken = self.place
        # What is asked about comes alone at first: a pass of that may end early.
        at_end = of_pass == len(self.order) or (0 < passes <= ASKED_FIRST and taken == self._alone)
        if at_end:
            passes, of_pass = passes + 1, 0
            if taken >= self._alone:
                passes = max(passes, ASKED_FIRST + 1)
        batches = self._asked if passes <= ASKED_FIRST else self._all
        if at_end:
            self.order = torch.randperm(len(batches), generator=self._generator).tolist()
        self.place = Place(passes, of_pass + 1, taken + 1)
        return batches[self.order[of_pass]]


def _cut(order: Sequence[int], size: int) -> list[Sequence[int]]:
    return [order[start : start + size] for start in range(0, len(order), size)]
