"""Three endpoints of a task: an encoder of BERT's architecture and a head, at three times of one training.

Endpoints are thus trained models, and so is what lies between them. Their sizes are for speed: a small
default for slow machines, and mBERT's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import BertConfig

from xltray.nn.encoder import build_encoder
from xltray.nn.flat import FlatModel
from xltray.nn.model import EndpointModel
from xltray.nn.optimisation import adamw
from xltray.spec import ParserSpec
from xltray.tasks.base import Encoded, EncodedSplit, Task
from xltray.tasks.registry import get_task

DROPOUT = 0.2
BATCH = 32
LEARNING_RATE = 1e-3


class Size(NamedTuple):
    """An encoder's sizes, and the parser's on top of it."""

    hidden: int
    layers: int
    heads: int
    vocabulary: int
    parser: ParserSpec

    def config(self) -> BertConfig:
        """Return the encoder's configuration; a new one each time, because models write into it."""
        return BertConfig(
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=4 * self.hidden,
            vocab_size=self.vocabulary,
            max_position_embeddings=512,
            pad_token_id=0,
        )


SIZES: Mapping[str, Size] = {
    "tiny": Size(32, 2, 2, 500, ParserSpec(arc_dim=32, label_dim=16)),
    "small": Size(128, 4, 4, 8_000, ParserSpec()),
    "medium": Size(384, 6, 6, 30_000, ParserSpec()),
    "mbert": Size(768, 12, 12, 119_547, ParserSpec()),
}


@dataclass(frozen=True)
class Endpoints:
    """Three weight vectors of P parameters by corner, and the working model that they are set into."""

    task: str
    size: Size
    device: str
    model: FlatModel
    weights: Mapping[str, Tensor]

    @property
    def endpoint_model(self) -> EndpointModel:
        """The working model."""
        model: EndpointModel = self.model.model  # type: ignore[assignment]
        return model

    def states(self) -> dict[str, dict[str, Tensor]]:
        """Return a state dict of each corner, of its own memory."""
        return {corner: self.state(flat_P) for corner, flat_P in self.weights.items()}

    def state(self, flat_P: Tensor) -> dict[str, Tensor]:
        """Return a weight vector as a state dict."""
        layout = self.model.layout
        return {name: flat_P[place].view(layout.shapes[name]).clone() for name, place in layout.slices()}


def untrained(task: str, size: Size, device: str, seed: int = 0) -> EndpointModel:
    """Return a randomly initialised model of a task; the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = build_encoder(size.config())
        head = get_task(task).head(size.hidden, size.parser)
    return EndpointModel(encoder, head, DROPOUT).to(device)


def trained(task: str, size: Size, split: EncodedSplit, *, device: str, steps: int) -> Endpoints:
    """Train for a few steps; the target endpoint is from a third of the way, the source from two thirds."""
    flat = FlatModel(untrained(task, size, device))
    weights = {}
    corners = {max(1, steps // 3): "target", max(1, 2 * steps // 3): "source", steps: "bilingual"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for step in _steps(get_task(task), flat, split.sequences, steps, device):
            if step in corners:
                weights[corners[step]] = flat.flat_P.clone()
    return Endpoints(task, size, device, flat, weights)


def _steps(
    task: Task, flat: FlatModel, sequences: Sequence[Encoded], steps: int, device: str
) -> Iterator[int]:
    """Train, and say after each step how many there were."""
    model: EndpointModel = flat.model  # type: ignore[assignment]
    model.train()
    optimizer = adamw(model.parameters(), learning_rate=LEARNING_RATE)
    for step in range(1, steps + 1):
        some = [sequences[(step * BATCH + offset) % len(sequences)] for offset in range(BATCH)]
        loss = task.loss(model, task.collate(some, device, training=True))
        optimizer.zero_grad(set_to_none=True)
        (loss.total / loss.decisions).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield step
    model.eval()
