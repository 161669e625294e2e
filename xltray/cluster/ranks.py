"""The other processes of a fine-tuning that several share: actors in the bundles of its trial.

The trial is the first process and drives the job; the others only train (``xltray/group.py``). They stay for
the trial's next fine-tuning. When one of them is lost, the job ends as one that lost a process: it is tried
again and goes on from its last checkpoint.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from xltray.cluster.bundle import in_bundle
from xltray.cluster.jobrunners import find_runners, make_context
from xltray.cluster.metrics import WorkMetrics, tags_of
from xltray.cluster.server import START_SECONDS, LostServersError
from xltray.context import JobContext, Member, Progress
from xltray.errors import XltrayError
from xltray.jobs import FinetuneJob, load_job

GRACE_SECONDS = 30.0
"""A process whose partner has ended hears of it at once, through gloo. On GPUs it may wait for ever."""


class FinetuneRank:
    """Trains along with the first process of a fine-tuning."""

    def __init__(self, name: str) -> None:
        """Show a name in the dashboard: that of the first fine-tuning."""
        self._name = name
        self._metrics = WorkMetrics()

    def __repr__(self) -> str:
        return f"FinetuneRank({self._name})"

    def pid(self) -> int:
        """Return the process id; answering shows that the process is up."""
        return os.getpid()

    def run(self, config: Mapping[str, Any], member: Member) -> None:
        """Take part in a trial's fine-tuning to its end."""
        job = load_job(config["job"])
        assert isinstance(job, FinetuneJob)
        context = replace(make_context(config), member=member)
        steps, tags = find_runners(config["runners"]).finetune(job, context), tags_of(job)
        going = True
        while going:
            # Counted bit by bit, not all at the end.
            with self._metrics.busy(tags):
                going = next(steps, None) is not None


class Ranks:
    """The processes 1 to ``processes - 1`` of a trial."""

    def __init__(self) -> None:
        self._actors: list[Any] = []

    def finetune(
        self, job: FinetuneJob, context: JobContext, config: Mapping[str, Any]
    ) -> Iterator[Progress]:
        """Fine-tune together with them; ``context`` is the first process's, ``config`` the trial's.

        Raises:
            RayActorError: if one of them was lost.
            LostServersError: if they do not start.
        """
        # It imports torch, which a trial that scores a surface does without.
        from xltray.group import lead

        size = config["processes"]
        self._start(config)
        first = lead(size)
        runs = [
            actor.run.options(name=f"rank {rank} of {job.id}").remote(
                dict(config), Member(rank, size, first.port)
            )
            for rank, actor in enumerate(self._actors, 1)
        ]
        ended = threading.Event()
        threading.Thread(target=_guard, args=(runs, ended), daemon=True).start()
        try:
            yield from find_runners(config["runners"]).finetune(job, replace(context, member=first))
            ray.get(runs, timeout=GRACE_SECONDS)
        except BaseException as error:
            loss = None if isinstance(error, XltrayError | GeneratorExit) else _loss(runs)
            self.close()
            if loss is not None:
                raise loss from error
            raise
        finally:
            ended.set()

    def close(self) -> None:
        """End all of them; those that go on by themselves would wait for the first."""
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []

    def _start(self, config: Mapping[str, Any]) -> None:
        actor = ray.remote(FinetuneRank)
        for rank in range(len(self._actors) + 1, config["processes"]):
            placed = in_bundle(config, f"rank {rank}", rank)
            self._actors.append(actor.options(**placed).remote(str(config["id"])))
        try:
            ray.get([actor.pid.remote() for actor in self._actors], timeout=START_SECONDS)
        except (GetTimeoutError, RayActorError) as error:
            self.close()
            if isinstance(error, RayActorError):
                raise
            raise LostServersError(
                f"{config['processes'] - 1} processes of a fine-tuning did not start within "
                f"{START_SECONDS:g} s: their machine is overloaded, or lost"
            ) from error


def _loss(runs: list[Any]) -> Exception | None:
    """Return what ended another process: its loss, or an error of xltray's own; None if neither did.

    Of several others, those that only lost a connection to the one that ended may be known to have failed
    before that one is.
    """
    waiting, deadline = list(runs), time.monotonic() + GRACE_SECONDS
    while waiting and (left := deadline - time.monotonic()) > 0:
        ready, waiting = ray.wait(waiting, num_returns=1, timeout=left)
        for run in ready:
            try:
                ray.get(run)
            except RayTaskError as error:
                # It says more than that a connection was closed.
                if isinstance(error.cause, XltrayError):
                    return error.cause
            except RayError as error:
                return error
    return None


def _guard(runs: list[Any], ended: threading.Event) -> None:
    """End this process if another one is lost and it waits for that one for ever.

    What it waits in cannot be interrupted. That it was ended counts as a loss, like what it was ended for.
    """
    waiting = list(runs)
    while waiting and not ended.is_set():
        ready, waiting = ray.wait(waiting, num_returns=1, timeout=1.0)
        if any(_has_failed(run) for run in ready):
            if not ended.wait(GRACE_SECONDS + 15.0):
                os.kill(os.getpid(), signal.SIGKILL)
            return


def _has_failed(run: Any) -> bool:
    try:
        ray.get(run)
    except Exception:
        return True
    return False
