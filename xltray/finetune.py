"""Fine-tune one endpoint: the recipe of the paper and its authors' code (DEVIATIONS.md).

Adam with linear warm-up and decay; validation several times an epoch on the dev sets of the
training languages; the best validation is kept (mean of the primary metric over those dev sets);
training stops early when it has not risen for ``patience`` validations; ``keep: last`` does neither.
A bilingual batch is of one language, languages are drawn in proportion to size, ragged last batches
are dropped.

What is stored: weights (safetensors), the job, the history of validations, and in DONE.json the
dev counts of the kept model, whether it learned anything (``learned.py``), and the hash of the weights
that it started from. Every now and then a checkpoint (``resume.py``), so that a lost machine costs
minutes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from xltray.context import JobContext, Progress
from xltray.endpoints import DevSet, build_model, load_dev_set, load_split, open_encoder
from xltray.epochs import epoch_batches, validation_steps
from xltray.errors import CorpusError, EndpointError, Problem
from xltray.group import joined
from xltray.jobs import FinetuneJob
from xltray.learned import judge
from xltray.nn.device import device_name, set_threads
from xltray.nn.flat import FlatModel, weights_hash
from xltray.nn.model import EndpointModel, seed_of
from xltray.results import provenance
from xltray.resume import Checkpoint, Checkpoints
from xltray.schemas import HISTORY_SCHEMA
from xltray.store import WEIGHTS
from xltray.tasks.base import Counts, EncodedSplit, Evaluation, Task
from xltray.tasks.registry import get_task
from xltray.training import Training
from xltray.validations import Validations

# Progress is told that often, besides after every validation.
PROGRESS_STEPS = 50


def finetune(job: FinetuneJob, context: JobContext) -> Iterator[Progress]:
    """Fine-tune an endpoint and publish it; yields every now and then.

    Raises:
        CorpusError: if a training set has nothing to train on.
        EndpointError: if the weights are not finite at the end.
    """
    begun = time.monotonic()
    set_threads(context.threads)
    encoder = open_encoder(job.encoder, context)
    trains = {language: load_split(job, language, "train", encoder, context) for language in job.languages}
    languages = job.languages if context.member.leads else ()
    devs = {language: load_dev_set(job, language, encoder, context) for language in languages}
    for language, split in trains.items():
        if not split.sequences:
            problem = Problem(f"{job.corpus} {language}", "no word to train on", "at least one")
            raise CorpusError("A training set is empty.", [problem])
    run = _Run(job, context, FlatModel(build_model(job, encoder, context.device)), devs, begun)
    with joined(context.member, context.device):
        yield from run.train(trains)
    if context.member.leads:
        run.publish()


@dataclass
class _Run:
    """The state of one fine-tuning."""

    job: FinetuneJob
    context: JobContext
    flat: FlatModel
    devs: Mapping[str, DevSet]
    begun: float
    trained_on: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    resumed: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.task: Task = get_task(self.job.task)
        self.model: EndpointModel = self.flat.model  # type: ignore[assignment]
        self.validations = Validations(self.task.primary, self.job.recipe)
        self.checkpoints = Checkpoints(self.job.id, self.context)
        self.initial = weights_hash(self.flat.flat_P)
        self.best_P: Tensor = self.flat.flat_P.clone() if self.context.member.leads else self.flat.flat_P

    def train(self, trains: Mapping[str, EncodedSplit]) -> Iterator[Progress]:
        """Train until the last epoch or the end of patience, from the last checkpoint if there is one."""
        recipe = self.job.recipe
        self.trained_on = {language: split.examples for language, split in trains.items()}
        # Data order and dropout depend on the seed alone, so that a run can be repeated exactly.
        generator = torch.Generator().manual_seed(seed_of("order", self.job.seed))
        torch.manual_seed(seed_of("dropout", self.job.seed))
        epoch_steps = len(epoch_batches(trains, recipe.batch_size, torch.Generator()))
        total = epoch_steps * recipe.epochs
        validate_after = validation_steps(epoch_steps, recipe.validations_per_epoch)
        training = Training(
            self.task, self.flat, recipe, device=self.context.device, steps=total, seed=self.job.seed
        )
        if self.context.member.leads:
            self._resume(training)
        self.steps = training.align(self.steps)
        self.model.train()
        yield Progress(self.steps, total, "steps")
        for epoch in range(recipe.epochs):
            losses: list[Tensor] = []
            # What is trained on already is drawn too: each epoch's order follows from the one before.
            batches = epoch_batches(trains, recipe.batch_size, generator)
            before = self.steps - epoch * epoch_steps
            for step, sequences in enumerate(batches[max(0, before) :], max(0, before) + 1):
                losses.append(training.step(sequences))
                self.steps += 1
                scores, over = None, False
                if step in validate_after:
                    if self.context.member.leads:
                        scores = self._validate(epoch + step / epoch_steps, losses)
                        if not self.validations.exhausted and self.steps < total and self.checkpoints.is_due:
                            self._write_checkpoint(training, total)
                    losses.clear()
                    over = training.agree(self.validations.exhausted)
                if scores or self.steps % PROGRESS_STEPS == 0:
                    yield Progress(self.steps, total, "steps", scores)
                if over:
                    return

    def _validate(self, epoch: float, losses: Sequence[Tensor]) -> dict[str, float]:
        """Validate; returns what trackers are told."""
        train_loss = float(torch.stack(list(losses)).mean())
        begin = time.monotonic()
        if self.validations.add(self.steps, epoch, train_loss, self._evaluate()):
            self.best_P.copy_(self.flat.flat_P)
        return {**self.validations.latest(), "validation_seconds": time.monotonic() - begin}

    def _evaluate(self) -> dict[str, Evaluation]:
        evaluations = {language: dev.score(self.model) for language, dev in self.devs.items()}
        # Scoring leaves the model in evaluation mode; setting it back at every step would cost 3%.
        self.model.train()
        return evaluations

    def _write_checkpoint(self, training: Training, total: int) -> None:
        values, tensors = training.state()
        tensors["weights"] = self.flat.flat_P.detach().cpu()
        if self.validations.best_step != self.steps:
            tensors["best"] = self.best_P.cpu()
        state = {
            "steps": self.steps,
            "total": total,
            "initial": self.initial,
            "training": values,
            "validations": self.validations.state(),
            "resumed": self.resumed,
            "seconds": time.monotonic() - self.begun,
        }
        self.checkpoints.write(Checkpoint(state, self.validations.rows, tensors))

    def _resume(self, training: Training) -> None:
        """Go on from the last checkpoint, if there is one of a training from these weights."""
        found = self.checkpoints.latest(self.initial)
        if found is None:
            return
        (state, rows, tensors), exact, self.resumed = found
        self.steps = state["steps"]
        self.begun -= state["seconds"]
        self.validations.restore(state["validations"], rows)
        self.best_P.copy_(tensors.get("best", tensors["weights"]))
        if not exact:
            # Its counts must be those that a surface finds at this corner, on the kind of device used now.
            self.flat.assign(self.best_P)
            self.validations.rescore(self._evaluate())
        self.flat.assign(tensors["weights"])
        training.restore(state["training"], tensors)

    def publish(self) -> None:
        """Write the kept model, the job, the history and, last, DONE.json; then no checkpoint is needed.

        What is there already stays: others may be reading it. It was made beside this run, by another sweep
        on the same store or on a machine that was taken for lost.
        """
        if self.context.store.is_done(self.job):
            self.checkpoints.clear()
            return
        self.flat.assign(self.best_P)
        if not bool(torch.isfinite(self.best_P).all()):
            raise EndpointError(
                f"endpoint {self.job.id}: found weights that are not finite in its best model; expected "
                "finite ones. It diverged: lower finetune.learning_rate, or set finetune.clip_norm."
            )
        rows = self.validations.history()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.flat.save(folder / WEIGHTS)
            (folder / "spec.json").write_text(self.job.model_dump_json(indent=1) + "\n", encoding="utf-8")
            pq.write_table(pa.Table.from_pylist(rows, schema=HISTORY_SCHEMA), folder / "history.parquet")
            path = self.context.store.endpoint_path(self.job.id)
            self.context.store.publish_directory(folder, path, self._done())
        self.checkpoints.clear()

    def _done(self) -> dict[str, Any]:
        """Return what DONE.json says."""
        baselines = {language: self._compare(language, dev) for language, dev in self.devs.items()}
        return {
            "counts": self.validations.best_counts,
            "score": self.validations.best_score,
            "learned": all(said["learned"] for said in baselines.values()),
            "baselines": baselines,
            "examples": {
                language: {"train": self.trained_on[language], "dev": dev.split.examples}
                for language, dev in self.devs.items()
            },
            "unscorable": {language: dev.split.unscorable for language, dev in self.devs.items()},
            "best_step": self.validations.best_step,
            "steps": self.steps,
            "initial_weights": self.initial,
            "parameters": self.flat.layout.size,
            "seconds": round(time.monotonic() - self.begun, 3),
            "provenance": provenance(
                device=device_name(self.context.device), processes=str(self.context.member.size)
            ),
            **({"resumed": self.resumed} if self.resumed else {}),
        }

    def _compare(self, language: str, dev: DevSet) -> dict[str, Any]:
        """Compare the kept model's score on a dev set with the best constant answer's."""
        metric, baseline = self.task.primary, self.task.baseline(dev.split)
        score = Counts(*self.validations.best_counts[language][metric]).value
        verdict = judge(score, baseline.value, (baseline.predicted + baseline.gold) / 2)
        return {
            "metric": metric,
            "counts": list(baseline),
            "value": verdict.baseline,
            "margin": verdict.margin,
            "score": verdict.score,
            "learned": verdict.learned,
        }
