"""Servers of endpoints: a pool scores every chunk once, whatever dies; actors have the names of jobs."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import made_rays
import pytest
import ray
from made_fake_jobs import FAKES, TORN, cell, jobs_of, notes, run

from xltray.cluster.server import EndpointServer, RayPool
from xltray.cluster.trial import JobTrial
from xltray.errors import CornerMismatchError
from xltray.grid import Chunk
from xltray.precision import Scoring
from xltray.results import Geometry
from xltray.spec import DataSpec
from xltray.store import Store

pytestmark = pytest.mark.filterwarnings(*made_rays.LEFT_OVER)

# Fixtures: pytest looks for them in this module.
module_ray, local_ray = made_rays.module_ray, made_rays.local_ray


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def server_config(store: Store, id_: str) -> dict[str, Any]:
    """What an actor is started with."""
    return {
        "id": id_,
        "runners": FAKES,
        "storage": store.uri,
        "data": DataSpec().model_dump_json(),
        "device": "cpu",
        "threads": 1,
        "checkpoint_seconds": 60.0,
    }


def make_pool(store: Store, servers: int, cpus: float = 0.0) -> RayPool:
    config = server_config(store, "test")
    actor = ray.remote(EndpointServer)
    return RayPool(lambda number: actor.options(num_cpus=cpus).remote(config), servers)


CHUNKS: Sequence[Chunk] = [Chunk("all", (first, first + 1)) for first in range(0, 24, 2)]


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize(("task", "loads"), [("sound", 2), ("fragile", 4)])
def test_every_chunk_is_scored_once_even_if_a_server_dies(store: Store, task: str, loads: int) -> None:
    job, pool = cell(task, "aa", "bb"), make_pool(store, 2)
    assert pool.load(job) == Scoring("abacus")
    assert pool.geometry() == [Geometry("all", 1, 1.0, 1.0, 0.0)]
    results = list(pool.score(CHUNKS))
    pool.close()
    assert Counter(chunk for chunk, _ in results) == Counter(CHUNKS)
    assert all([score.point for score in scores] == list(chunk.points) for chunk, scores in results)
    assert len({score.correct for _, scores in results for score in scores}) >= 2, "both servers worked"
    assert len(notes(store, f"load-{job.id}")) == loads, "a new server loads the cell"


@pytest.mark.usefixtures("local_ray")
def test_a_cell_is_scored_in_one_type_by_all_servers(store: Store) -> None:
    job, pool = cell("torn", "aa", "bb"), make_pool(store, 1)
    assert pool.load(job) == TORN[0]
    with pytest.raises(RuntimeError, match=r"on slide rule, may not score it in bfloat16 as .* did: may not"):
        pool._replace(0)
    assert not notes(store, f"full-{job.id}")
    pool.close()
    job, pool = cell("torn", "aa", "dd"), make_pool(store, 2)
    assert pool.load(job) == Scoring("abacus, slide rule", "float32", "may not")
    assert len(notes(store, f"full-{job.id}")) == 1
    pool._replace(0)
    assert len(notes(store, f"full-{job.id}")) == 2, "so does a server that comes later"
    pool.close()


@pytest.mark.usefixtures("local_ray")
def test_a_pool_serves_cell_after_cell_and_replaces_a_server_that_died_between(store: Store) -> None:
    first, second, third = (cell("sound", "aa", target) for target in ("bb", "cc", "dd"))
    pool = make_pool(store, 1)
    pids = []
    for job in (first, second):
        pool.load(job)
        pids += [scores[0].correct for _, scores in pool.score(CHUNKS[:2])]
    assert len(set(pids)) == 1
    os.kill(pids[0], signal.SIGKILL)
    pool.load(third)
    [(_, scores)] = pool.score(CHUNKS[:1])
    pool.close()
    assert scores[0].correct != pids[0]


@pytest.mark.usefixtures("local_ray")
def test_actors_are_named_for_the_job_that_they_started_with(store: Store) -> None:
    config = {**server_config(store, "pos-aa-bb-s0-toy-1"), "kind": "surface"}
    assert repr(EndpointServer(config)) == "EndpointServer(pos-aa-bb-s0-toy-1)"
    assert repr(JobTrial(config)) == "JobTrial(surface pos-aa-bb-s0-toy-1)"


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_a_chunk_that_kills_every_server_ends_the_job(store: Store) -> None:
    job, pool = cell("poison", "aa", "bb"), make_pool(store, 1)
    pool.load(job)
    with pytest.raises(RuntimeError, match=r"3 servers died scoring 2 points of poison.* points 4 to 5"):
        list(pool.score(CHUNKS))
    pool.close()
    assert len(notes(store, f"chunk-4-{job.id}")) == 3


@pytest.mark.usefixtures("local_ray")
def test_an_error_of_the_evaluator_is_raised_as_it_is(store: Store) -> None:
    job, pool = cell("invalid", "aa", "bb"), make_pool(store, 1)
    pool.load(job)
    with pytest.raises(CornerMismatchError) as caught:
        list(pool.score(CHUNKS))
    pool.close()
    assert type(caught.value) is CornerMismatchError
    assert str(caught.value) == "point 4 of aa differs"
    assert len(notes(store, f"chunk-4-{job.id}")) == 1


@pytest.mark.usefixtures("local_ray")
def test_servers_without_room_are_an_error_and_do_not_hang(store: Store) -> None:
    pool = make_pool(store, 1, cpus=64)
    pool._start_seconds = 1
    with pytest.raises(RuntimeError, match="1 EndpointServers did not start within 1 s"):
        pool.load(cell("sound", "aa", "bb"))
    pool.close()


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_servers_share_a_surface_and_die_with_their_trial(store: Store) -> None:
    job = cell("orphaned", "aa", "bb")
    outcome, shown = run(store, jobs_of(job), retries_after_loss=1, servers_per_surface=2)
    assert not outcome.failed
    assert f"surface {job.id} failed and is tried again" in shown
    [served] = notes(store, f"servers-{job.id}")
    assert len(served["servers"]) == 2
    loaded = {load["pid"] for load in notes(store, f"load-{job.id}")}
    assert len(loaded) == 4
    orphans = loaded - set(served["servers"])
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in orphans) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [pid for pid in orphans if Path(f"/proc/{pid}").exists()]
