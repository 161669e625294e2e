"""Runs the jobs that a sweep still needs, as one Tune experiment on Ray.

    JobGraph -> JobSearcher -> Tune -> JobTrial (one process a job, reused) -> the store
                                └────> ProgressCallback -> Board -> the user

Ray is the one that runs already (``runtime.address``, ``RAY_ADDRESS``, or what ``ray start`` began
on this machine), else a new one on this machine, which goes when the run ends. What is done is
asked of the store, so a run that is killed at any moment loses nothing that was committed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import Callback, Stopper
from ray.tune.stopper import CombinedStopper
from rich.console import Console

from xltray.cluster.callback import ProgressCallback
from xltray.cluster.capacity import CapacityError, count_devices
from xltray.cluster.committed import committed, take_back
from xltray.cluster.forecast import Work
from xltray.cluster.interrupt import Interrupt
from xltray.cluster.jobgraph import JobGraph, State
from xltray.cluster.jobrunners import REAL
from xltray.cluster.metrics import tags_of
from xltray.cluster.progress import Board
from xltray.cluster.retries import Retries
from xltray.cluster.room import await_room, fits
from xltray.cluster.searcher import JobSearcher
from xltray.cluster.session import Session, environment, open_session
from xltray.cluster.sharing import check_sharing
from xltray.cluster.split import Split, fixed_servers
from xltray.cluster.stranded import Stranded
from xltray.cluster.trackers import Trackers
from xltray.cluster.trial import JobTrial
from xltray.cluster.watch import LostRayError, StoppedTuneError, Watch, losses_named
from xltray.events import Emit, silent
from xltray.jobs import FinetuneJob, Job, SurfaceJob
from xltray.plan import Plan
from xltray.spec import SweepSpec
from xltray.spec_runtime import RuntimeSpec
from xltray.store import Store


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    ``failed`` holds a message for each failed job (first line: the error; then the end of its
    traceback), ``skipped`` the id of the failed job that each skipped one would have needed.
    ``lost`` says what happened if Ray itself was lost during the run; ``stopped`` why the run was given up
    though Ray is there: what is left of its machines is too small, or Tune cannot go on. Else they are empty.
    """

    done: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    interrupted: bool = False
    lost: str = ""
    stopped: str = ""


def run_plan(
    plan: Plan,
    needed: Mapping[str, Job],
    store: Store,
    *,
    console: Console,
    emit: Emit = silent,
    runners: str = REAL,
) -> RunOutcome:
    """Run the ``needed`` jobs of a plan and return how it went.

    Args:
        plan: the sweep; its runtime half says how to run.
        needed: the jobs to run by id; what else they need is in the store.
        store: where results go, and what decides whether a job is done.
        console: where progress is shown.
        emit: where events go, for machines.
        runners: "module:function" of the table of what runs the jobs.

    A Ray that is lost during the run is no error, nor are machines that are: ``lost`` and ``stopped`` of
    the outcome tell. Once a run is interrupted or has lost its Ray, the store has no patience left, so that
    the rest is quick even if the store is down.

    Raises:
        ClusterError: if Ray cannot be reached, or a machine does not see the store or the data.
        CapacityError: if the machines that are there at the start are too small for a job.
    """
    graph = JobGraph(needed)
    if not needed:
        return RunOutcome()
    board = Board(
        {id_: _work(job, plan.sweep.runtime) for id_, job in needed.items()},
        console,
        emit=emit,
    )

    def lose_patience() -> None:
        store.patience = 0.0

    interrupt = Interrupt(board.say, stop=lose_patience)
    killed, lost, stopped = False, "", ""
    try:
        with (
            losses_named(),
            open_session(plan.sweep.runtime, board.say) as session,
            interrupt,
            board.shown(session.where),
        ):
            stopped = _run_jobs(plan.sweep, graph, needed, store, board, session, interrupt, runners)
    except KeyboardInterrupt:
        killed = True
    except LostRayError as error:
        lost = str(error)
    except StoppedTuneError as error:
        stopped = str(error)
    interrupted = killed or (interrupt.asked and not graph.finished)
    if interrupted or lost:
        lose_patience()
    done = {*graph.of(State.DONE), *committed(graph, needed, store)}
    in_order = tuple(id_ for id_ in needed if id_ in done)
    return RunOutcome(in_order, graph.failed, graph.skipped, interrupted, lost, stopped)


def _run_jobs(
    sweep: SweepSpec,
    graph: JobGraph,
    needed: Mapping[str, Job],
    store: Store,
    board: Board,
    session: Session,
    interrupt: Interrupt,
    runners: str,
) -> str:
    """Run them; returns why that was given up, if it was."""
    watch = Watch()

    def wait_for_room() -> None:
        kinds: set[str] = {needed[id_].kind for id_ in graph.of(State.WAITING)}
        await_room(kinds, sweep.runtime, session, interrupt, watch, board.say)

    wait_for_room()
    root = os.path.abspath(Path(sweep.data.root).expanduser())  # noqa: PTH100  (links are kept)
    if not interrupt.asked:
        check_sharing(store, root)
    settings = _trial_settings(sweep, store, root, session.device, runners)
    retries = Retries(sweep.runtime.retries, sweep.runtime.retries_after_loss)

    def devices() -> int:
        return count_devices(sweep.runtime.threads, session.device, watch.nodes)

    while not interrupt.asked:
        searcher = JobSearcher(graph, needed, store, settings, Split(sweep.runtime, devices))
        progress = ProgressCallback(graph, needed, retries, board, watch, devices)
        trackers = Trackers(sweep.runtime.callbacks, sweep.name, board.say)
        stranded = Stranded(
            lambda config: fits(config, watch.nodes), lambda: watch.nodes, session.device, board.say
        )
        _fit(searcher, [progress, trackers, stranded], CombinedStopper(interrupt, stranded), session)
        if not stranded.asked:
            break
        board.say("Machines were lost for which jobs wait: these are started anew on what is left.")
        take_back(graph, needed, store)
        if graph.finished:
            break
        try:
            wait_for_room()
        except CapacityError as error:
            return f"machines were lost, and what is left is too small: {error}"
    return ""


def _work(job: Job, runtime: RuntimeSpec) -> Work:
    """Return what the forecast must know of a job."""
    tags = tags_of(job)
    work = Work(job.kind, job.cost, job.needs, tags["task"], tags["encoder"])
    if isinstance(job, FinetuneJob):
        return work._replace(devices=runtime.processes_per_finetune)
    if not isinstance(job, SurfaceJob):
        return work
    passes, like = len(job.grid) * len(job.scopes), job.bilingual_endpoint.id
    return work._replace(passes=passes, like=like, devices=fixed_servers(runtime) or 1)


def _trial_settings(sweep: SweepSpec, store: Store, root: str, device: str, runners: str) -> dict[str, Any]:
    """Return what all trials are told; plain values only, for Tune copies and pickles them."""
    return {
        "storage": store.uri,
        "data": sweep.data.model_copy(update={"root": root}).model_dump_json(),
        "device": device,
        "threads": sweep.runtime.threads,
        "checkpoint_seconds": sweep.runtime.checkpoint_seconds,
        "processes": sweep.runtime.processes_per_finetune,
        "points_per_chunk": sweep.runtime.points_per_chunk,
        "runners": runners,
    }


def _fit(
    searcher: JobSearcher,
    callbacks: list[Callback],
    stop: Stopper,
    session: Session,
) -> None:
    pending = {"TUNE_MAX_PENDING_TRIALS_PG": str(session.pending)}
    with tempfile.TemporaryDirectory(prefix="xltray-tune-") as folder, environment(pending):
        tune.Tuner(
            JobTrial,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_folder,
            ),
            run_config=tune.RunConfig(
                name="jobs",
                storage_path=folder,
                verbose=0,
                stop=stop,
                callbacks=callbacks,
                # Jobs are tried again by their searcher (retries.py).
                failure_config=tune.FailureConfig(max_failures=0),
                # The result is in the store. A checkpoint that fails would count as a failed job.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()


def _trial_name(trial: Any) -> str:
    return str(trial.config["id"])


def _trial_folder(trial: Any) -> str:
    return str(trial.trial_id)
