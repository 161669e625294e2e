"""TensorBoard, MLflow and Weights & Biases, by Tune's own loggers.

A logger is given one run a job: what the job is, and then how far it is with the scores of its last
validation. It sees a stand-in for the trial, because a trial's own configuration is a job as JSON, for
which trackers have no room, and says where the store and the data are, which is none of their business.
A logger that fails is left out from there on; no sweep ends for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.logger import LoggerCallback

from xltray.cluster.metrics import tags_of
from xltray.credentials import redacted
from xltray.errors import summary
from xltray.jobs import FinetuneJob, Job, SurfaceJob, load_job

_WITH_FOLDERS = frozenset({"tensorboard", "wandb"})
"""Loggers that write files, or whose process runs in the folder of a job."""


def make_logger(name: str, sweep: str) -> LoggerCallback:
    """Return Tune's logger for a tracker; where it logs to and with which key is for its environment."""
    # Each imports its tracker.
    if name == "tensorboard":
        from ray.tune.logger import TBXLoggerCallback

        return TBXLoggerCallback()  # type: ignore[no-untyped-call]
    if name == "mlflow":
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        return MLflowLoggerCallback(experiment_name=sweep)
    from ray.air.integrations.wandb import WandbLoggerCallback

    return WandbLoggerCallback(project=sweep, group="jobs")


def description(job: Job) -> dict[str, Any]:
    """Return what tells a job from others of its sweep."""
    about: dict[str, Any] = {"job": job.id, "kind": job.kind, **tags_of(job)}
    if isinstance(job, FinetuneJob):
        about |= {"seed": job.seed, "languages": "+".join(job.languages)}
    elif isinstance(job, SurfaceJob):
        about |= {"seed": job.seed, "source": job.source, "target": job.target}
    return about


class StandIn:
    """What loggers see of a trial."""

    def __init__(self, trial: Any, folder: Path) -> None:
        """Stand in for ``trial``; loggers that write files do so below ``folder``."""
        self._trial = trial
        self.config = description(load_job(trial.config["job"]))
        self.evaluated_params = self.config
        self.local_path = str(folder / self.config["job"])

    def init_local_path(self) -> None:
        """Make the folder for files."""
        Path(self.local_path).mkdir(parents=True, exist_ok=True)

    def __str__(self) -> str:
        return str(self.config["job"])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)


class Trackers(Callback):
    """Hands Tune's events to loggers."""

    def __init__(self, names: Sequence[str], sweep: str, say: Callable[[str], None]) -> None:
        """Log a sweep to these trackers; what is wrong with one of them is told to ``say``."""
        self._say = say
        self._folder = Path("runs", sweep).absolute()
        self._stand_ins: dict[str, StandIn] = {}
        self._loggers = {name: make_logger(name, sweep) for name in names}

    def setup(self, *args: Any, **info: Any) -> None:
        """Connect to the trackers."""
        self._each("setup", *args, **info)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A job begins, or begins again."""
        if trial.trial_id not in self._stand_ins:
            self._stand_ins[trial.trial_id] = StandIn(trial, self._folder)
        stand_in = self._stand_ins[trial.trial_id]
        for name in sorted(_WITH_FOLDERS & self._loggers.keys()):
            self._guard(name, stand_in.init_local_path)
        self._each("log_trial_start", stand_in)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A job told how far it is."""
        told = {key: result[key] for key in ("training_iteration", "seconds", "scores")}
        told |= {"progress": result["progress_done"], "timesteps_total": result["progress_done"]}
        self._each("log_trial_result", iteration, self._stand_ins[trial.trial_id], told)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A job ended by itself."""
        self._each("log_trial_end", self._stand_ins.pop(trial.trial_id), failed=False)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """An attempt at a job failed; the next one is a run of its own."""
        if stand_in := self._stand_ins.pop(trial.trial_id, None):
            self._each("log_trial_end", stand_in, failed=True)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """The run ended."""
        self._each("on_experiment_end", trials, **info)

    def _each(self, method: str, *args: Any, **options: Any) -> None:
        call = methodcaller(method, *args, **options)
        for name, logger in list(self._loggers.items()):
            self._guard(name, partial(call, logger))

    def _guard(self, name: str, action: Callable[[], object]) -> None:
        """Do something for a logger, which is left out from there on if that fails."""
        try:
            action()
        except Exception as error:
            del self._loggers[name]
            message = redacted(summary(str(error)))
            self._say(f"{name} is left out from here on: {type(error).__name__}: {message}")

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks into its experiment folder, which is thrown away.
        return {}
