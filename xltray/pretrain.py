"""Pretrain an encoder of our own: a WordPiece tokenizer and a small BERT, from raw text.

The result is an ordinary transformers checkpoint (configuration, safetensors, fast tokenizer).
With ``steps: 0`` it is the control that every conclusion about transfer needs: the same tokenizer
and architecture, with random weights (those that the pretrained encoder of the same seed started
from).

Every now and then a checkpoint is written (``resume.py``), so that a lost machine costs a minute.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import BertConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from xltray.context import JobContext, Progress
from xltray.errors import EndpointError
from xltray.jobs import PretrainJob
from xltray.nn.device import set_threads
from xltray.nn.encoder import build_encoder
from xltray.nn.masked_training import MaskedWordTraining
from xltray.nn.masked_words import PAD, Passage
from xltray.nn.model import seed_of
from xltray.nn.wordpiece import train_tokenizer
from xltray.passages import make_passages, read_text, read_translations
from xltray.results import provenance
from xltray.resume import Checkpoint, Checkpoints
from xltray.spec import PretrainSpec

PROGRESS_STEPS = 50

POSITIONS_START = 0.6
"""How large position embeddings are at a similar start, beside BERT's own initialisation. At 0.1, encoders
trained briefly hardly learned which word comes before another; names of several words take that."""

LOSSES_KEPT = 100
"""Steps whose mean losses are recorded."""


def pretrain(job: PretrainJob, context: JobContext) -> Iterator[Progress]:
    """Train tokenizer and encoder and publish them.

    Raises:
        CorpusError: if the text is not what the plan saw, or broken.
        MissingInputError: if it is not there.
        EndpointError: if training diverges.
    """
    begun = time.monotonic()
    set_threads(context.threads)
    text = read_text(job, context)
    tokenizer = train_tokenizer(text, job.encoder)
    pairs = read_translations(job.encoder, context, len(text))
    torch.manual_seed(seed_of("pretrain", job.encoder.seed))
    encoder = build_encoder(_configuration(job.encoder, len(tokenizer))).to(context.device)
    if job.encoder.similar_start:
        start_similar(encoder, job.encoder.similar_start)
    run = _Run(job, context, encoder, begun)
    passages: list[Passage] = []
    if job.encoder.steps:
        passages = make_passages(text, pairs, job.encoder, context, tokenizer)
        yield from run.train(passages)
    counts = {
        "sentences": len(text),
        "translations": len(pairs),
        "vocabulary": len(tokenizer),
        "parameters": encoder.num_parameters(),
        "asked_what_follows": sum(passage.follows is not None for passage in passages),
    }
    run.publish(tokenizer, counts)


@dataclass
class _Run:
    """The state of one pretraining."""

    job: PretrainJob
    context: JobContext
    encoder: PreTrainedModel
    begun: float
    resumed: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.checkpoints = Checkpoints(self.job.id, self.context)
        self.words: deque[float] = deque(maxlen=LOSSES_KEPT)
        self.following: deque[float] = deque(maxlen=LOSSES_KEPT)

    def train(self, passages: Sequence[Passage]) -> Iterator[Progress]:
        """Train to the last step, from the last checkpoint if there is one."""
        spec = self.job.encoder
        training = MaskedWordTraining(self.encoder, passages, spec, self.context.device)
        initial = training.weights_hash
        self._resume(training, initial)
        yield Progress(training.steps, spec.steps, "steps")
        for loss in training:
            for kept, value in zip((self.words, self.following), loss, strict=True):
                if value is not None:
                    self._check(value, training.steps)
                    kept.append(value)
            if saved := training.steps < spec.steps and self.checkpoints.is_due:
                self._write_checkpoint(training, initial)
            if saved or training.steps % PROGRESS_STEPS == 0:
                yield Progress(training.steps, spec.steps, "steps")

    def _check(self, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            raise EndpointError(
                f"encoder {self.job.id}: found a loss of {loss} at step {step} of its pretraining; expected "
                "a finite one. It diverged: lower encoders.<name>.pretrain.learning_rate."
            )

    def _write_checkpoint(self, training: MaskedWordTraining, initial: str) -> None:
        values, tensors = training.state()
        state = {
            **values,
            "total": self.job.encoder.steps,
            "initial": initial,
            "losses": [list(self.words), list(self.following)],
            "resumed": self.resumed,
            "seconds": time.monotonic() - self.begun,
        }
        self.checkpoints.write(Checkpoint(state, [], tensors))

    def _resume(self, training: MaskedWordTraining, initial: str) -> None:
        """Go on from the last checkpoint, if there is one of a training from these weights."""
        found = self.checkpoints.latest(initial)
        if found is None:
            return
        state = found.checkpoint.state
        training.restore(state, found.checkpoint.tensors)
        self.begun -= state["seconds"]
        for kept, values in zip((self.words, self.following), state["losses"], strict=True):
            kept.extend(values)
        self.resumed = found.resumed

    def publish(self, tokenizer: PreTrainedTokenizerFast, counts: Mapping[str, int]) -> None:
        """Write tokenizer, encoder and, last, DONE.json; then no checkpoint is needed."""
        store = self.context.store
        # What was made beside this run, others may be reading.
        if not store.is_done(self.job):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                transformers_logging.disable_progress_bar()
                tokenizer.save_pretrained(folder)
                self.encoder.save_pretrained(folder)
                (folder / "spec.json").write_text(self.job.model_dump_json(indent=1) + "\n", encoding="utf-8")
                store.publish_directory(folder, store.encoder_path(self.job.id), self._done(counts))
        self.checkpoints.clear()

    def _done(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """Return what DONE.json says."""
        return {
            **counts,
            "loss": _mean(self.words),
            "loss_following": _mean(self.following),
            "seconds": round(time.monotonic() - self.begun, 3),
            "provenance": provenance(),
            **({"resumed": self.resumed} if self.resumed else {}),
        }


def start_similar(encoder: PreTrainedModel, scale: float) -> None:
    """Let each layer's queries and keys start with the same weights, so that like attends to like.

    One orthogonal matrix, scaled, serves for both. Small encoders otherwise spend most of a short
    training on finding out that attention can compare words. A simplification of the mimetic
    initialisation of Trockman and Kolter (2023), https://arxiv.org/abs/2305.09828. Positions start
    smaller than words, so that it is words that are alike.
    """
    for layer in encoder.encoder.layer:
        attention = layer.attention.self
        with torch.no_grad():
            nn.init.orthogonal_(attention.query.weight, gain=scale)
            attention.key.weight.copy_(attention.query.weight)
    with torch.no_grad():
        encoder.embeddings.position_embeddings.weight.mul_(POSITIONS_START)


def _configuration(spec: PretrainSpec, vocabulary: int) -> BertConfig:
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=spec.hidden_size,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        intermediate_size=4 * spec.hidden_size,
        max_position_embeddings=spec.max_positions,
        hidden_dropout_prob=spec.dropout,
        attention_probs_dropout_prob=spec.dropout,
        pad_token_id=PAD,
    )


def _mean(losses: Collection[float]) -> float | None:
    return sum(losses) / len(losses) if losses else None
