"""A fine-tuning that two processes share, through Ray: the numbers of one, and what a lost process costs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import made_fake_jobs
import made_rays
import pytest
import ray
import torch
from made_fake_jobs import fake_pretrain, fake_surface, notes, run
from made_finetune import into, weights
from made_group import still
from made_resume import content, done_of
from ray.exceptions import RayActorError
from tiny import Tiny, run_job

from xltray.cluster import ranks
from xltray.cluster.capacity import CapacityError, bundles, check_room
from xltray.cluster.jobrunners import JobRunners
from xltray.cluster.trial import JobTrial
from xltray.context import JobContext, Progress
from xltray.errors import CornerMismatchError
from xltray.jobs import FinetuneJob

pytestmark = pytest.mark.filterwarnings(*made_rays.LEFT_OVER)

# Fixtures: pytest looks for them in this module.
module_ray, local_ray = made_rays.module_ray, made_rays.local_ray
__all__ = ["still"]

KILLED_AFTER = 7


def short_lived(job: FinetuneJob, context: JobContext) -> Iterator[Progress]:
    """Fine-tune; the second process is killed the first time, at a step after the third validation."""
    import xltray.finetune

    xltray.finetune.PROGRESS_STEPS = 1
    made_fake_jobs.note(context.store, f"rank-{context.member.rank}-{job.id}", size=context.member.size)
    for progress in xltray.finetune.finetune(job, context):
        due = context.member.rank == 1 and progress.done == KILLED_AFTER
        if due and not context.store.exists("killed.json"):
            context.store.write_json("killed.json", {})
            os.kill(os.getpid(), signal.SIGKILL)
        yield progress


def short_lived_runners() -> JobRunners:
    return JobRunners(fake_pretrain, short_lived, fake_surface, made_fake_jobs.FakeEvaluator)


def test_a_shared_finetuning_reserves_one_machine_for_all_of_it() -> None:
    config = {"threads": 2, "device": "cuda", "servers": 1, "processes": 3}
    group = JobTrial.default_resource_request({**config, "kind": "finetune"})
    assert (group.bundles, group.strategy) == ([{"CPU": 2.0, "GPU": 1.0}] * 3, "STRICT_PACK")
    for kind in ("pretrain", "surface"):
        alone = JobTrial.default_resource_request({**config, "kind": kind})
        assert sum(bundle.get("GPU", 0.0) for bundle in alone.bundles) == 1
    machines = [{"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}} for _ in range(4)]
    reserved = bundles("finetune", threads=2, device="cuda", processes=2)
    check_room("finetune", reserved, machines)
    with pytest.raises(CapacityError, match=r"3 GPU on one machine.*Lower runtime.processes_per_finetune"):
        check_room("finetune", bundles("finetune", threads=2, device="cuda", processes=3), machines)


class Partner:
    """A process that a connection to another one was closed to, that was lost, or that refuses its job."""

    def disconnected(self) -> None:
        raise RuntimeError("Connection closed by peer")

    def lost(self) -> None:
        time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGKILL)

    def refuses(self) -> None:
        time.sleep(1.0)
        raise CornerMismatchError("counts differ")


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_of_several_the_one_that_was_lost_counts_and_not_the_first_that_is_known_to_have_failed() -> None:
    actor = ray.remote(Partner)
    partners = [actor.options(num_cpus=0).remote() for _ in range(4)]
    disconnected = partners[0].disconnected.remote()
    assert isinstance(ranks._loss([disconnected, partners[1].lost.remote()]), RayActorError)
    assert isinstance(ranks._loss([disconnected, partners[2].refuses.remote()]), CornerMismatchError)
    assert ranks._loss([disconnected, partners[3].disconnected.remote()]) is None


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_two_processes_share_finetunings_and_outlive_a_loss(
    still: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_fake_jobs, "FAKES", "test_ranks:short_lived_runners")
    first, second = still.endpoint("pos", "qaa"), still.endpoint("pos", "qab")
    one, two, cut = (into(still, tmp_path / name) for name in ("one", "two", "cut"))
    two.store.write_json("killed.json", {})
    run_job(first, one)
    shared = {"processes_per_finetune": 2, "checkpoint_seconds": 0, "data": still.sweep.data}
    outcome, shown = run(two.store, {job.id: job for job in (first, second)}, **shared)
    assert set(outcome.done) == {first.id, second.id}, (shown, outcome)
    for name, tensor in weights(one, first).items():
        torch.testing.assert_close(weights(two, first)[name], tensor, atol=1e-5, rtol=0, msg=name)
    assert done_of(two, first)["provenance"]["processes"] == "2"
    ran = [notes(two.store, f"rank-{rank}-{job.id}")[0] for rank in (0, 1) for job in (first, second)]
    assert {run["size"] for run in ran} == {2}
    assert len({run["pid"] for run in ran}) == 2, "the processes stay for the next fine-tuning"

    outcome, shown = run(cut.store, {first.id: first}, **shared, retries_after_loss=1)
    assert outcome.done == (first.id,), (shown, outcome)
    assert "failed and is tried again" in shown
    assert "(loss 1 of 1)" in shown
    [resumed] = done_of(cut, first)["resumed"]
    assert resumed["step"] == KILLED_AFTER - 1
    assert resumed["exact"]
    assert content(cut, first) == content(two, first)
