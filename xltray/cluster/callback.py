"""Tune's events as calls of the progress display; what failed, and whether it is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray.cloudpickle
from ray.exceptions import (
    ActorPlacementGroupRemoved,
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    RuntimeEnvSetupError,
    WorkerCrashedError,
)
from ray.tune import Callback

from xltray.cluster.capacity import devices_of
from xltray.cluster.jobgraph import JobGraph, State
from xltray.cluster.metrics import RunMetrics
from xltray.cluster.progress import Board
from xltray.cluster.retries import TRACEBACK_LINES, Cause, Failure, Retries
from xltray.cluster.server import LostServersError
from xltray.jobs import Job

METRICS_SECONDS = 5.0
LOSSES = (
    ActorPlacementGroupRemoved,
    LocalRayletDiedError,
    LostServersError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RuntimeEnvSetupError,
    WorkerCrashedError,
)
"""What says that a process or machine was lost, and nothing about the job. Of Ray's other errors some
stand for the job's own: one that cannot be pickled comes as a bare RayError."""


class ProgressCallback(Callback):
    """Feeds a ``Board``, and decides whether a job that failed is tried again.

    Tune tells the searcher first, so the graph already knows which jobs are done. Tune's own retries are
    not used: they have one budget for everything, none for machines that are lost while a job starts, and
    put the job at the end of the queue.
    """

    def __init__(
        self,
        graph: JobGraph,
        jobs: Mapping[str, Job],
        retries: Retries,
        board: Board,
        watch: Callable[[], None],
        devices: Callable[[], int],
    ) -> None:
        """Follow the ``jobs`` of ``graph`` on ``board``.

        ``watch`` raises when Ray is lost; ``devices`` tells how many there are.
        """
        self._graph = graph
        self._jobs = jobs
        self._retries = retries
        self._board = board
        self._watch = watch
        self._devices = devices
        self._metrics = RunMetrics()
        self._measured = float("-inf")

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A job begins, or begins again."""
        self._board.start(trial.config["id"], devices_of(trial.config))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A job told how far it is."""
        self._board.advance(
            trial.config["id"],
            result["progress_done"],
            result["progress_total"],
            result["unit"],
            first=result["progress_first"],
            early=(result["progress_early"], result["early_seconds"]),
            validation_seconds=result["scores"].get("validation_seconds"),
        )

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A job ended by itself; the graph knows what the store says."""
        self._settle(trial.config["id"])
        _forget_metrics(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A job raised an error, or its process or machine was lost."""
        _forget_metrics(trial)
        id_ = trial.config["id"]
        if self._graph.states[id_] is State.RUNNING:
            failure = failure_of(trial)
            if self._retries.allow(id_, failure.cause):
                self._graph.retry(id_)
                told = self._retries.told(id_, failure.cause)
                first, end, rest = failure.message.partition("\n")
                self._metrics.failed(self._jobs[id_])
                self._board.retry(id_, f"{first} ({told}){end}{rest}")
                return
            tries = self._retries.tries(id_)
            self._graph.fail(
                id_, f"{failure.message}\n(tried {tries} times)" if tries > 1 else failure.message
            )
        self._settle(id_)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called some ten times a second."""
        self._watch()
        now = time.monotonic()
        if now - self._measured >= METRICS_SECONDS:
            self._measured = now
            self._board.devices = self._devices()
            self._metrics.update(self._jobs, self._graph.states, self._board.devices)
        self._board.tick()

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """The last job has ended."""
        self._metrics.update(self._jobs, self._graph.states, self._board.devices)

    def _settle(self, id_: str) -> None:
        if self._graph.states[id_] is State.DONE:
            self._board.complete(id_)
        else:
            self._metrics.failed(self._jobs[id_])
            skipped = [other for other, cause in self._graph.skipped.items() if cause == id_]
            self._board.fail(id_, self._graph.failed[id_], skipped)

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks into its experiment folder, which is thrown away.
        return {}


def _forget_metrics(trial: Any) -> None:
    """Drop the running means that Tune keeps of every number a trial reports, for ever: half its memory."""
    for kept in (trial.run_metadata.metric_analysis, trial.run_metadata.metric_n_steps):
        kept.clear()


def failure_of(trial: Any) -> Failure:
    """What a failed trial's job raised, or lost: the error, then the end of its traceback."""
    pickled = trial.pickled_error_file
    if pickled is not None and Path(pickled).is_file():
        return judge(ray.cloudpickle.loads(Path(pickled).read_bytes()))
    if trial.error_file is not None and Path(trial.error_file).is_file():
        return Failure(Cause.ERROR, Path(trial.error_file).read_text(encoding="utf-8").strip())
    return Failure(Cause.ERROR, "failed without a message")


def judge(error: Exception) -> Failure:
    """Say what an error of a worker is: the job's own, or a loss of a process or machine under it.

    It makes no difference whether Tune met the loss or the job did: a surface, when it asks its servers.
    The message names the error in one line, followed by the end of its traceback.
    """
    cause: Exception = error.cause if isinstance(error, RayTaskError) else error
    # An actor whose constructor raised counts as dead too.
    raised = isinstance(cause, RayActorError) and cause.actor_init_failed
    lost = isinstance(cause, LOSSES) and not raised
    if isinstance(error, RayTaskError):
        lines = [line for line in str(error).splitlines() if line.strip()]
        message = "\n".join([f"{type(cause).__name__}: {cause}", *lines[-TRACEBACK_LINES:]])
    elif isinstance(error, RayActorError) and lost:
        message = f"the job's process died (out of memory, killed, or its machine was lost)\n{error}"
    else:
        message = f"{type(error).__name__}: {error}"
    return Failure(Cause.LOSS if lost else Cause.ERROR, message)
