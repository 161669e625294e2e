"""Tune's events as calls of the progress display, and the message of what failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray.cloudpickle
from ray.exceptions import RayActorError, RayTaskError
from ray.tune import Callback

from xltray.cluster.jobgraph import JobGraph, State
from xltray.cluster.metrics import RunMetrics
from xltray.cluster.progress import Board
from xltray.jobs import Job

TRACEBACK_LINES = 8
METRICS_SECONDS = 5.0


class ProgressCallback(Callback):
    """Feeds a ``Board``, and puts the messages of failed trials into the graph.

    Tune tells the searcher first, so the graph already knows how a job ended.
    """

    def __init__(
        self,
        graph: JobGraph,
        jobs: Mapping[str, Job],
        board: Board,
        watch: Callable[[], None],
        devices: Callable[[], int],
    ) -> None:
        """Follow the ``jobs`` of ``graph`` on ``board``.

        ``watch`` raises when Ray is lost; ``devices`` tells how many there are.
        """
        self._graph = graph
        self._jobs = jobs
        self._board = board
        self._watch = watch
        self._devices = devices
        self._metrics = RunMetrics()
        self._measured = float("-inf")

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A job begins, or begins again."""
        self._board.start(trial.config["id"])

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
            validation_seconds=result["scores"].get("validation_seconds"),
        )

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A job failed and Tune is going to run it again."""
        self._metrics.failed(self._jobs[trial.config["id"]])
        self._board.retry(trial.config["id"], failure_message(trial))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A job ended by itself; the graph knows what the store says."""
        self._settle(trial.config["id"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A job failed once more than it may be tried again."""
        id_ = trial.config["id"]
        if self._graph.states[id_] is State.FAILED:
            self._graph.failed[id_] = failure_message(trial)
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


def failure_message(trial: Any) -> str:
    """What a failed trial's job raised: the error, then the end of its traceback."""
    pickled = trial.pickled_error_file
    if pickled is not None and Path(pickled).is_file():
        return describe(ray.cloudpickle.loads(Path(pickled).read_bytes()))
    if trial.error_file is not None and Path(trial.error_file).is_file():
        return Path(trial.error_file).read_text(encoding="utf-8").strip()
    return "failed without a message"


def describe(error: Exception) -> str:
    """Name an error of a worker in one line, followed by the end of its traceback."""
    if isinstance(error, RayTaskError):
        cause = error.cause
        lines = [line for line in str(error).splitlines() if line.strip()]
        return "\n".join([f"{type(cause).__name__}: {cause}", *lines[-TRACEBACK_LINES:]])
    if isinstance(error, RayActorError):
        return f"the job's process died (out of memory, killed, or its machine was lost)\n{error}"
    return f"{type(error).__name__}: {error}"
