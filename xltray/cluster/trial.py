"""A job as a Tune trial.

One class for all kinds of jobs. A step drives the job's generator for about two seconds and
reports how far it is; the job has committed its result when the generator ends. Tune keeps the
process of an ended trial for the next one that reserves the same resources (``reuse_actors``),
which saves the seconds of starting Python and importing torch; a surface's EndpointServers, and the
other processes of a fine-tuning that several share, live in the trial's placement group, so they stay too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from ray._raylet import setproctitle  # type: ignore[attr-defined]
from ray.tune import PlacementGroupFactory, Trainable

from xltray.cluster.capacity import reserved, strategy
from xltray.cluster.jobrunners import find_runners, make_context
from xltray.cluster.metrics import WorkMetrics, tags_of
from xltray.cluster.ranks import Ranks
from xltray.cluster.server import RayPool, server_starter
from xltray.cluster.trim import give_back_memory
from xltray.context import Progress
from xltray.errors import DamagedError, StoreError, XltrayError
from xltray.jobs import FinetuneJob, PretrainJob, SurfaceJob, load_job
from xltray.store import Store

STEP_SECONDS = 2.0
SET_ASIDE = "It counts no more: run the same command again, and it is made anew"


class JobTrial(Trainable):
    """Runs one job, and then others that need the same resources.

    Its configuration is flat and small: ``job`` (JSON), ``id``, ``kind``, what the context needs
    (``storage``, ``data``, ``device``, ``threads``, ``checkpoint_seconds``), ``servers`` of this
    surface, ``processes`` of a fine-tuning, ``points_per_chunk``, ``runners``.
    """

    _config: dict[str, Any]
    _steps: Iterator[Progress] | None
    _first: Progress | None
    _early: tuple[int, float]
    _moved: tuple[int, float] | None
    _progress: Progress
    _scores: dict[str, float]
    _since: float
    _pool: RayPool | None
    _ranks: Ranks
    _metrics: WorkMetrics
    _name: str
    _store: Store | None

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        """Reserve what the kind of job needs."""
        return PlacementGroupFactory(reserved(config), strategy=strategy(config["kind"]))

    def setup(self, config: dict[str, Any]) -> None:
        """Prepare for the first job."""
        self._pool = None
        self._ranks = Ranks()
        self._metrics = WorkMetrics()
        self._name = f"{config['kind']} {config['id']}"
        self._begin(config)

    def __repr__(self) -> str:
        # Ray asks once, so the dashboard goes on to show the first job.
        return f"JobTrial({self._name})"

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepare for the next job; servers stay."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Go on with the job for about two seconds, or until it ends."""
        begin = time.monotonic()
        # What ps, top and the dashboard's list of processes show; Ray sets it back after the step.
        setproctitle(f"ray::{self._config['kind']} {self._config['id']}")
        done, error = False, ""
        try:
            with self._counted_as_work():
                if self._steps is None:
                    self._steps = self._open()
                while time.monotonic() - begin < STEP_SECONDS and not done:
                    latest = next(self._steps, None)
                    done = latest is None
                    self._progress = latest or self._progress
                    if latest is not None:
                        self._mark(latest)
                    self._scores = dict(self._progress.scores or self._scores)
        except DamagedError as damage:
            # Whoever runs the sweep next finds it missing, and makes it.
            (self._store or Store(self._config["storage"])).set_aside(damage)
            done, error = True, f"{type(damage).__name__}: {damage.problem}. {SET_ASIDE}"
        except XltrayError as failure:
            # What is refused on purpose is refused again: no use in retrying. A store, though, may be
            # out of reach for a while; a full one stays full.
            if isinstance(failure, StoreError) and failure.may_pass:
                raise
            done, error = True, f"{type(failure).__name__}: {failure}"
        return {
            "done": done,
            "error": error,
            "job": self._config["id"],
            # A resumed job begins with what an earlier run has left in the store.
            "progress_first": self._first.done if self._first else 0,
            "progress_early": self._early[0],
            "early_seconds": time.monotonic() - self._early[1],
            "progress_done": self._progress.done,
            "progress_total": self._progress.total,
            "unit": self._progress.unit,
            "seconds": time.monotonic() - self._since,
            "scores": self._scores,
        }

    def cleanup(self) -> None:
        """End the servers, or the other processes of a fine-tuning, with the trial."""
        self._ranks.close()
        if self._pool is not None:
            self._pool.close()

    def _begin(self, config: Mapping[str, Any]) -> None:
        # Nothing here that can fail: an error in reset_config would make Tune lose the trial.
        self._config = dict(config)
        self._steps = None
        self._store = None
        self._first = self._moved = None
        self._early = 0, time.monotonic()
        self._progress = Progress(0, 0, "")
        self._scores = {}
        self._since = time.monotonic()
        give_back_memory()

    def _mark(self, latest: Progress) -> None:
        """Note when the job was at work for certain: a surface tells where it begins before it loads."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._early = latest, (latest.done, now)
        elif self._moved is None and latest.done > self._first.done:
            self._moved = latest.done, now
        elif self._moved is not None and latest.done > self._moved[0]:
            self._early = self._moved

    @contextmanager
    def _counted_as_work(self) -> Iterator[None]:
        """Count what is done inside; a surface's coordinator holds no device, its servers do."""
        job = load_job(self._config["job"])
        tags, before = tags_of(job), self._progress
        written = self._store.written if self._store else 0
        working = nullcontext() if isinstance(job, SurfaceJob) else self._metrics.busy(tags)
        try:
            with working:
                yield
        finally:
            if self._progress.unit == "steps" and self._first is not None:
                self._metrics.trained(self._progress.done - max(before.done, self._first.done), tags)
            if self._store is not None:
                self._metrics.wrote(self._store.written - written, tags)

    def _open(self) -> Iterator[Progress]:
        job = load_job(self._config["job"])
        runners = find_runners(self._config["runners"])
        context = make_context(self._config)
        self._store = context.store
        if context.store.is_done(job):
            # By an earlier attempt, which was lost only after it had committed its result.
            return iter(())
        if isinstance(job, PretrainJob):
            return runners.pretrain(job, context)
        if isinstance(job, FinetuneJob):
            if self._config["processes"] == 1:
                return runners.finetune(job, context)
            return self._ranks.finetune(job, context, self._config)
        if self._pool is None:
            self._pool = RayPool(server_starter(self._config), self._config["servers"])
        return runners.surface(job, context, self._pool, points_per_chunk=self._config["points_per_chunk"])
