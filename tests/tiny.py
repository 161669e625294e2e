"""A sweep of synthetic languages small enough to run whole inside a test."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from transformers import PreTrainedModel

import xltray.pretrain as pretrain_module
from xltray.context import JobContext, Progress
from xltray.evaluator import LocalPool
from xltray.finetune import finetune
from xltray.inputs import FileInputs
from xltray.jobs import FinetuneJob, Job, PretrainJob, SurfaceJob
from xltray.nn.masked_training import MaskedWordTraining
from xltray.nn.masked_words import Losses, Passage
from xltray.plan import Plan, make_plan
from xltray.pretrain import pretrain
from xltray.spec import SweepSpec
from xltray.store import Store
from xltray.surface import PointPool, score_surface

PRETRAIN: dict[str, Any] = {
    "corpus": "toy",
    "languages": ["qaa", "qab", "qad"],
    "vocabulary": 300,
    "hidden_size": 16,
    "layers": 1,
    "heads": 2,
    "max_positions": 128,
    "max_length": 32,
    "steps": 8,
    "batch_size": 16,
    "learning_rate": 3e-3,
}
# Eleven points: the plane's nine, of which the lines share five, and the lines' ends beyond it.
SWEEP: dict[str, Any] = {
    "name": "tiny",
    "tasks": ["pos", "parsing"],
    "pairs": {"qaa": ["qab", "qad"]},
    "seeds": [0],
    "data": {"corpora": {"pos": "toy", "parsing": "toy"}, "toy": {"train": 40, "dev": 30}},
    "encoders": {"small": {"pretrain": PRETRAIN}},
    "finetune": {
        "learning_rate": 3e-2,
        "epochs": 3,
        "batch_size": 10,
        "max_length": 128,
        "validations_per_epoch": 2,
    },
    "parser": {"arc_dim": 12, "label_dim": 8},
    "grid": {"plane": [0, 0.5, 1], "lines": [-0.5, 0, 0.5, 1]},
    "scopes": ["all", "encoder", "head"],
}
POINTS = 11


class Tiny(NamedTuple):
    """A sweep with its plan, and where its jobs run."""

    sweep: SweepSpec
    plan: Plan
    context: JobContext

    @property
    def store(self) -> Store:
        return self.context.store

    @property
    def root(self) -> Path:
        return Path(self.store.uri)

    def run(self, jobs: Iterable[Job] | None = None) -> None:
        """Run jobs, or all, in this process."""
        pool = LocalPool(self.context)
        for job in self.plan.jobs.values() if jobs is None else jobs:
            run_job(job, self.context, pool)

    def moved(self, root: Path) -> Tiny:
        """Return the same with a store elsewhere; what is in this one stays out."""
        return make_tiny(root, **self.sweep.model_dump(exclude={"storage"}))

    def copied(self, root: Path) -> Tiny:
        """Return the same with a copy of the store."""
        shutil.copytree(self.root, root)
        return self.moved(root)

    def encoder(self) -> PretrainJob:
        """Return the only encoder."""
        (job,) = (job for job in self.plan.jobs.values() if isinstance(job, PretrainJob))
        return job

    def endpoint(self, task: str = "pos", *languages: str) -> FinetuneJob:
        """Return the endpoint of a task and languages (qaa if none are given)."""
        wanted = languages or ("qaa",)
        (job,) = (
            job
            for job in self.plan.jobs.values()
            if isinstance(job, FinetuneJob) and (job.task, job.languages) == (task, wanted)
        )
        return job

    def cell(self, task: str = "pos", target: str = "qab") -> SurfaceJob:
        """Return the cell of a task and a target."""
        (job,) = (
            job
            for job in self.plan.jobs.values()
            if isinstance(job, SurfaceJob) and (job.task, job.target) == (task, target)
        )
        return job

    def done(self, job: Job) -> Any:
        """Return what DONE.json of an encoder or endpoint says."""
        folder = "encoders" if isinstance(job, PretrainJob) else "endpoints"
        return self.store.read_json(f"{folder}/{job.id}/DONE.json")


def make_tiny(root: Path, **changes: Any) -> Tiny:
    """Return the tiny sweep, with other values in the place of some, and a store at ``root``."""
    sweep = SweepSpec.model_validate(_merged(SWEEP, changes) | {"storage": str(root)})
    plan = make_plan(sweep, FileInputs(sweep.data))
    return Tiny(sweep, plan, JobContext(Store(sweep.storage), sweep.data))


def run_job(job: Job, context: JobContext, pool: PointPool | None = None) -> list[Progress]:
    """Run a job in this process to its end."""
    if isinstance(job, PretrainJob):
        return list(pretrain(job, context))
    if isinstance(job, FinetuneJob):
        return list(finetune(job, context))
    return list(score_surface(job, context, pool or LocalPool(context), points_per_chunk=4))


def passages_of(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> list[Passage]:
    """Pretrain without training and return what it would be on."""
    seen: list[Passage] = []

    class Observed(MaskedWordTraining):
        def __init__(self, encoder: PreTrainedModel, passages: Sequence[Passage], *rest: Any) -> None:
            super().__init__(encoder, passages, *rest)
            seen.extend(passages)

        def __next__(self) -> Losses:
            raise StopIteration

    with monkeypatch.context() as patch:
        patch.setattr(pretrain_module, "MaskedWordTraining", Observed)
        run_job(tiny.encoder(), tiny.context)
    return seen


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change nested values; ``pairs``, ``encoders`` and the like are replaced whole."""
    nested = {"data", "finetune", "parser"}
    return {
        **base,
        **{
            key: {**base[key], **value} if key in nested and key in base else value
            for key, value in changes.items()
        },
    }
