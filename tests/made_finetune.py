"""Fine-tunings of the tiny sweep with changes, and their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import Tiny
from torch import Tensor, nn

import xltray.finetune as finetune_module
from xltray.context import JobContext
from xltray.endpoints import build_model, open_encoder
from xltray.jobs import FinetuneJob
from xltray.nn.model import EndpointModel
from xltray.tasks.base import Counts, EncodedSplit, Evaluation


def changed(job: FinetuneJob, **changes: Any) -> FinetuneJob:
    # Not by model_copy, which would take over the id that the job has kept.
    return FinetuneJob(**({name: getattr(job, name) for name in FinetuneJob.model_fields} | changes))


def with_recipe(job: FinetuneJob, **changes: Any) -> FinetuneJob:
    return changed(job, recipe=job.recipe.model_copy(update=changes))


def into(tiny: Tiny, root: Path) -> JobContext:
    """A context whose store has the encoder of ``tiny`` and nothing else."""
    context = tiny.moved(root).context
    folder = context.store.encoder_path(tiny.encoder().id)
    local = tiny.root / folder
    done = {key: value for key, value in tiny.done(tiny.encoder()).items() if key != "files"}
    context.store.publish_directory(local, folder, done)
    return context


def weights(context: JobContext, job: FinetuneJob) -> dict[str, Tensor]:
    return load_file(Path(context.store.uri) / "endpoints" / job.id / "model.safetensors")


def jobs(tiny: Tiny) -> list[FinetuneJob]:
    return [job for job in tiny.plan.jobs.values() if isinstance(job, FinetuneJob)]


def scripted(
    monkeypatch: pytest.MonkeyPatch, scores: Mapping[str, Sequence[float]]
) -> Callable[[], list[Tensor]]:
    """Let dev sets give these accuracies, validation by validation; returns the weights scored."""
    seen: dict[str, list[Tensor]] = {language: [] for language in scores}

    class Script:
        def __init__(self, language: str) -> None:
            self.language = language
            self.split = EncodedSplit([], 0)
            self.scores: Iterator[float] = iter(scores[language])

        def score(self, model: EndpointModel) -> Evaluation:
            seen[self.language].append(nn.utils.parameters_to_vector(model.parameters()).detach().clone())
            right = round(10000 * next(self.scores))
            return Evaluation({"accuracy": Counts(right, 10000, 10000)}, 1.0, 1)

    monkeypatch.setattr(finetune_module, "load_dev_set", lambda _, language, *__: Script(language))
    return lambda: next(iter(seen.values()))


def kept(context: JobContext, job: FinetuneJob) -> Tensor:
    found = weights(context, job)
    model = build_model(job, open_encoder(job.encoder, context), "cpu")
    return torch.cat([found[name].flatten() for name, _ in model.named_parameters()])
