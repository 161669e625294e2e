"""Whole runs on a local Ray, with fakes in the place of real jobs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import traceback
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import made_rays
import pytest
from made_fake_jobs import cell, finetune_job, jobs_of, notes, pretrain_job, run
from ray.exceptions import LocalRayletDiedError
from ray.tune import TuneError

from xltray.cluster import watch as module
from xltray.cluster.run import RunOutcome
from xltray.cluster.searcher import JobSearcher
from xltray.store import Store

pytestmark = pytest.mark.filterwarnings(*made_rays.LEFT_OVER)

# Fixtures: pytest looks for them in this module.
module_ray, local_ray = made_rays.module_ray, made_rays.local_ray


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.mark.usefixtures("local_ray")
def test_a_small_sweep_runs_in_order_and_reuses_processes(store: Store) -> None:
    encoder = pretrain_job()
    cells = [cell("pos", "aa", target, encoder) for target in ("bb", "cc", "dd")]
    jobs = {encoder.id: encoder, **jobs_of(*cells)}
    outcome, shown = run(store, jobs)
    assert not outcome.failed
    assert outcome == RunOutcome(done=tuple(jobs))
    assert all(store.is_done(job) for job in jobs.values())
    assert all(len(notes(store, id_)) == 1 for id_ in jobs), "each job ran once"

    endpoints = [notes(store, id_)[0] for id_, job in jobs.items() if job.kind == "finetune"]
    assert len(endpoints) == 7
    assert len({run["pid"] for run in endpoints}) <= 3, "fine-tunings share processes"
    assert {run["directory"] for run in endpoints} == {str(Path.cwd())}, "relative paths keep their meaning"
    assert {run["threads"] for run in endpoints} == {"1"}

    assert len({notes(store, job.id)[0]["pid"] for job in cells}) <= 2, "surfaces share processes"
    servers = [notes(store, f"servers-{job.id}")[0]["servers"] for job in cells]
    assert all(len(used) == 1 for used in servers)
    assert len({used[0] for used in servers}) <= 2, "a server lives on and loads the next cell"
    names = {
        name.partition(" server 0 ")[0]
        for job in cells
        for name in notes(store, f"servers-{job.id}")[0]["names"]
    }
    assert names
    assert names <= {job.id for job in cells}
    lines = shown.splitlines()
    assert lines[0].startswith("11 jobs to run (1 pretrain, 7 finetune, 3 surface) on the Ray in use (2 CPUs")
    assert sum(" done in " in line for line in lines) == 11
    assert lines[-1].startswith("11 of 11 jobs done, 0 running")


@pytest.mark.usefixtures("local_ray")
def test_names_for_people_and_trackers(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = finetune_job("named", "aa")
    outcome, _ = run(store, {job.id: job}, callbacks=("tensorboard",))
    assert not outcome.failed
    [ran] = notes(store, job.id)
    assert ran["title"].startswith(f"ray::finetune {job.id}"), "as ps and the dashboard show the process"
    assert list((tmp_path / "runs" / "test" / job.id).glob("events.out.tfevents.*"))


@pytest.mark.usefixtures("local_ray")
def test_a_failed_job_skips_what_needs_it_and_the_rest_goes_on(store: Store) -> None:
    bad, good = cell("broken", "aa", "bb"), finetune_job("pos", "cc")
    refused, forgetful = finetune_job("refused", "cc"), finetune_job("forgetful", "cc")
    jobs = jobs_of(bad, good, refused, forgetful)
    outcome, shown = run(store, jobs)
    assert outcome.done == (good.id,)
    assert set(outcome.failed) == {refused.id, forgetful.id, *bad.needs}
    assert set(outcome.skipped) == {bad.id}
    assert outcome.skipped[bad.id] in bad.needs
    assert not outcome.interrupted
    first, *trace = outcome.failed[bad.source_endpoint.id].splitlines()
    assert first == "ValueError: loss of ('aa',) is not finite"
    assert any("in fake_finetune" in line for line in trace)
    assert outcome.failed[refused.id] == "CornerMismatchError: counts differ"
    assert (
        f"its result is not in the store: found no complete result in {store.uri}"
        in (outcome.failed[forgetful.id])
    )
    assert "a path that all of them share, or an object store" in outcome.failed[forgetful.id]
    assert f"finetune {refused.id} failed after" in shown


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_failed_jobs_are_tried_again_but_refusals_are_not(store: Store) -> None:
    flaky, unlucky = finetune_job("flaky", "aa"), finetune_job("unlucky", "aa")
    broken, doomed, refused = (finetune_job(task, "aa") for task in ("broken", "doomed", "refused"))
    jobs = (flaky, unlucky, broken, doomed, refused)
    outcome, shown = run(store, jobs_of(*jobs), retries=1, retries_after_loss=2)
    assert set(outcome.done) == {flaky.id, unlucky.id}
    assert set(outcome.failed) == {broken.id, doomed.id, refused.id}
    runs = {job.task: len(notes(store, job.id)) for job in jobs}
    # Lost, an error, lost again: neither kind of failure uses up the other's budget.
    assert runs == {"flaky": 2, "unlucky": 4, "broken": 2, "doomed": 3, "refused": 1}
    assert f"finetune {flaky.id} failed and is tried again: ValueError: loss of ('aa',) is not" in shown
    assert f"finetune {unlucky.id} failed and is tried again: ValueError: it diverged (error 1 of 1)" in shown
    lost = "the job's process died (out of memory, killed, or its machine was lost)"
    assert f"finetune {doomed.id} failed and is tried again: {lost} (loss 2 of 2)" in shown
    assert outcome.failed[doomed.id].startswith(lost)
    assert outcome.failed[doomed.id].endswith("(tried 3 times)")


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("retries", [0, 1])
def test_a_result_that_was_committed_before_the_process_died_counts(store: Store, retries: int) -> None:
    job = finetune_job("committed", "aa")
    outcome, _ = run(store, {job.id: job}, retries=retries)
    assert outcome == RunOutcome(done=(job.id,))
    assert len(notes(store, job.id)) == 1


@pytest.mark.usefixtures("local_ray")
def test_nothing_to_do(store: Store) -> None:
    assert run(store, {}) == (RunOutcome(), "")


def test_a_surfaces_coordinator_does_not_import_torch() -> None:
    script = (
        "import sys; from xltray.cluster.jobrunners import real_runners; import xltray.cluster.trial; "
        "real_runners(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# A Ray that is lost
FOLDER = r" \(it writes to /\S+\)"


def wrapped(error: Exception) -> TuneError:
    """What Tune makes of an error that it meets, or a callback."""
    try:
        try:
            raise error
        except Exception:
            raise TuneError(traceback.format_exc())  # noqa: B904  (as Tune does it)
    except TuneError as made:
        return made


@pytest.mark.usefixtures("local_ray")
def test_a_watch_tells_a_ray_that_is_gone_from_one_that_is_there() -> None:
    watch = module.Watch(seconds=0)
    watch()
    watch._node = "another"
    with pytest.raises(module.Gone, match="no longer runs on the machine"):
        watch()
    watch._address = "127.0.0.1:1"
    for _ in range(module.WATCH_ATTEMPTS - 1):
        watch()
    with pytest.raises(module.Gone, match=r"127\.0\.0\.1:1 does not answer"):
        watch()


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (LocalRayletDiedError("x"), r"Ray was lost: LocalRayletDiedError: .*"),
        (ConnectionError("x\ny"), r"Ray was lost: ConnectionError: x"),
        (wrapped(LocalRayletDiedError("x")), r"Ray was lost: LocalRayletDiedError: .*"),
        (wrapped(ConnectionError("x\ny")), r"Ray was lost: ConnectionError: x"),
        (OSError(28, "No space left"), rf"Tune cannot go on: OSError: \[Errno 28\] No space left{FOLDER}"),
        (wrapped(OSError(28, "No space left")), rf"Tune cannot go on: OSError: .* left{FOLDER}"),
        (
            wrapped(FileNotFoundError(2, "No such file", f"{gettempdir()}/xltray-tune-a/jobs/error.pkl")),
            rf"Tune cannot go on: FileNotFoundError: .* No such file: .*{FOLDER}",
        ),
        (
            wrapped(FileNotFoundError(2, "No such file", "/etc/a")),
            r"Tune cannot go on: FileNotFoundError: .*: .*a'(\n.*)+in wrapped\n +raise error\nF.+'/etc/a'",
        ),
        (
            wrapped(KeyError("scores")),
            r"Tune cannot go on: KeyError: 'scores'(\n.*)+in wrapped\n *raise error\nKeyError: 'scores'",
        ),
        (TuneError("no trial"), r"Tune cannot go on: TuneError: no trial(\n.*)+TuneError: no trial"),
    ],
)
def test_a_lost_ray_is_an_outcome(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: BaseException, told: str
) -> None:
    first, second = finetune_job("pos", "aa"), finetune_job("pos", "bb")

    def fit(searcher: JobSearcher, *_: Any) -> None:
        searcher.suggest("trial")
        for job in (first, second):
            store.write_json(f"{store.endpoint_path(job.id)}/DONE.json", {})
        raise error

    monkeypatch.setattr("xltray.cluster.run._fit", fit)
    outcome, _ = run(store, jobs_of(first, second))
    assert re.fullmatch(told, outcome.lost or outcome.stopped)
    assert bool(outcome.lost) == told.startswith("Ray")
    assert len(outcome.done) == 1, "what was running may have committed its result"
    assert not outcome.interrupted


LOSS = """
import os, signal, sys, threading, time, made_fake_jobs as t
import ray._private.worker as worker
from xltray.store import Store
store = Store(sys.argv[1])
jobs = t.jobs_of(*(t.finetune_job("slow", language) for language in ("aa", "bb", "cc")))
def kill():
    while not any(t.notes(store, id_) for id_ in jobs):
        time.sleep(0.1)
    for process in worker._global_node.all_processes[sys.argv[2]]:
        os.kill(process.process.pid, signal.SIGKILL)
threading.Thread(target=kill, daemon=True).start()
outcome, shown = t.run(store, jobs, address="local", threads=os.cpu_count())
print("lost:", outcome.lost, outcome.done, outcome.failed)
"""


@pytest.mark.slow
@pytest.mark.parametrize("part", ["raylet", "gcs_server"])
def test_a_ray_that_is_killed_does_not_take_the_run_with_it(store: Store, part: str) -> None:
    command = [sys.executable, "-c", LOSS, store.uri, part]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=False, timeout=150
    )
    assert done.returncode == 0
    assert "lost: Ray was lost" in done.stdout
