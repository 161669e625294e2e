"""On how many servers a surface's points are split, and that scores do not depend on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import made_fake_jobs
import pandas as pd
import pytest
import ray
from made_fake_jobs import cell, finetune_job, jobs_of, notes, run
from made_rays import LEFT_OVER
from ray.cluster_utils import Cluster
from tiny import Tiny

from xltray.cluster.capacity import bundles, check_room
from xltray.cluster.jobgraph import JobGraph
from xltray.cluster.session import worker_environment
from xltray.cluster.split import LARGE, Room, Split, most_servers, share
from xltray.jobs import Job, SurfaceJob
from xltray.spec_runtime import RuntimeSpec
from xltray.store import Store

pytestmark = pytest.mark.filterwarnings(*LEFT_OVER)


# The decision.


@pytest.mark.parametrize(
    ("devices", "idle", "cells", "servers"),
    [
        (1, 1, 1, 1),
        (4, 4, 1, 4),
        (4, 4, 2, 2),
        (4, 4, 3, 1),
        (4, 2, 1, 2),
        (4, 0, 1, 1),
        (4, -3, 1, 1),
        (64, 64, 1, 64),
        (64, 64, 5, 12),
        (64, 64, 64, 2),
        (64, 64, 65, 1),
        (64, 0, 64, 2),
        (64, -200, 3, 2),
        (LARGE - 1, 0, 1, 1),
        (LARGE, 0, 1, 2),
    ],
)
def test_idle_devices_are_shared_among_the_cells_to_be_started(
    devices: int, idle: int, cells: int, servers: int
) -> None:
    assert share(Room(devices, idle, cells)) == servers


def test_no_more_servers_than_there_is_work_for() -> None:
    surface = cell("pos", "aa", "bb")
    points = len(surface.grid)
    assert points > 4
    assert most_servers(surface, 1) == points // 2
    assert most_servers(surface, 2) == -(-points // 2) // 2
    assert most_servers(surface, points) == 1
    assert handed_out({surface.id: surface}, [], 64) == [points // 2]
    # Chunks are of one scope.
    scopes = surface.model_copy(update={"scopes": ("all", "encoder", "head")})
    assert most_servers(scopes, points) == 1
    assert most_servers(scopes, 2) == 3 * -(-points // 2) // 2


def wide(source: str, target: str) -> SurfaceJob:
    """A cell with many points."""
    narrow = cell("pos", source, target)
    # Not by model_copy, which would take over the id that the job has kept.
    fields = {name: getattr(narrow, name) for name in SurfaceJob.model_fields}
    return SurfaceJob(**fields | {"alphas": tuple(range(40))})


def handed_out(jobs: dict[str, Job], done: list[str], devices: int, **runtime: int) -> list[int]:
    """Take all jobs that are ready once ``done`` are, and return how many servers each surface gets."""
    spec = RuntimeSpec(points_per_chunk=1, **runtime)  # type: ignore[arg-type]
    graph, split = JobGraph(jobs), Split(spec, lambda: devices)
    given = []
    while id_ := graph.take():
        servers = split.servers(id_, jobs, graph.states)
        if isinstance(jobs[id_], SurfaceJob):
            given.append(servers)
        else:
            assert servers == 1
        if id_ in done:
            graph.complete(id_)
    return given


def test_a_few_cells_on_many_devices_take_them_all() -> None:
    cells = [wide("aa", target) for target in ("bb", "cc", "dd")]
    jobs: dict[str, Job] = {job.id: job for job in cells}
    assert handed_out(jobs, [], 4) == [1, 1, 2]
    assert handed_out(jobs, [], 7) == [2, 2, 3]
    assert handed_out(jobs, [], 3) == handed_out(jobs, [], 2) == handed_out(jobs, [], 0) == [1, 1, 1]
    assert handed_out(jobs, [], 7, servers_per_surface=5) == [5, 5, 5]
    assert handed_out(jobs, [], 7, servers_per_surface=1) == [1, 1, 1]


def test_devices_of_other_jobs_are_not_idle() -> None:
    surface = wide("aa", "bb")
    ends = [endpoint.id for endpoint in surface.endpoints.values()]
    others = [finetune_job("ner", language) for language in ("aa", "bb")]
    jobs = jobs_of(surface, *others)
    assert handed_out(jobs, ends, 7) == [5], "two fine-tunings run"
    assert handed_out(jobs, ends, 7, processes_per_finetune=3) == [1]
    assert handed_out(jobs_of(surface), ends, 7) == [7]


@pytest.mark.parametrize(("devices", "given"), [(7, [7, 1, 1]), (LARGE, [LARGE, 2, 2])])
def test_one_that_is_tried_again_does_not_count_on_devices_that_may_be_lost(
    devices: int, given: list[int]
) -> None:
    surface = wide("aa", "bb")
    jobs: dict[str, Job] = {surface.id: surface}
    graph, split = JobGraph(jobs), Split(RuntimeSpec(points_per_chunk=1), lambda: devices)
    for expected in given:
        assert graph.take() == surface.id
        assert split.servers(surface.id, jobs, graph.states) == expected
        graph.retry(surface.id)


@pytest.mark.parametrize("shape", [{"CPU": 4.0}, {"CPU": 1.0}, {"CPU": 9.0, "GPU": 2.0}])
def test_what_is_decided_fits_on_the_machines(shape: dict[str, float]) -> None:
    machines = [{"Alive": True, "Resources": shape} for _ in range(4)]
    device = "cuda" if "GPU" in shape else "cpu"
    devices = int(4 * shape.get("GPU", shape["CPU"]))
    check_room("surface", bundles("surface", threads=1, device=device, servers=devices), machines)


# On Ray.


@pytest.fixture(scope="module")
def two_machines() -> Iterator[None]:
    """A cluster of two machines with two CPUs each."""
    ray.shutdown()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster()
        for _ in range(2):
            cluster.add_node(num_cpus=2, include_dashboard=False)
        environment = {**worker_environment(1), "PYTHONPATH": str(Path(__file__).parent)}
        ray.init(cluster.address, runtime_env={"env_vars": environment}, log_to_driver=False)
        yield
        ray.shutdown()
        cluster.shutdown()


def scored_by(store: Store, job: SurfaceJob) -> set[int]:
    """Return the process ids of the servers that scored points of a cell."""
    [noted] = notes(store, f"servers-{job.id}")
    return set(noted["servers"])


@pytest.mark.slow
@pytest.mark.usefixtures("two_machines")
def test_one_cell_is_scored_by_several_servers_and_many_by_one_each(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    cells = [wide("aa", f"b{letter}") for letter in "abcdef"]
    for job in jobs_of(*cells).values():
        if not isinstance(job, SurfaceJob):
            store.write_json(f"{store.endpoint_path(job.id)}/DONE.json", {})
    outcome, shown = run(store, {job.id: job for job in cells[:5]}, servers_per_surface="auto")
    assert len(outcome.done) == 5, shown
    used = [scored_by(store, job) for job in cells[:5]]
    assert {len(servers) for servers in used} == {1}
    assert len(set.union(*used)) < 5, "a server lives on and loads the next cell"
    outcome, shown = run(store, {cells[5].id: cells[5]}, servers_per_surface="auto")
    assert len(outcome.done) == 1, shown
    assert len(scored_by(store, cells[5])) == 4


@pytest.mark.slow
@pytest.mark.usefixtures("two_machines")
def test_scores_are_the_same_on_any_number_of_servers(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made_fake_jobs, "FAKES", "xltray.cluster.jobrunners:real_runners")
    job = tiny.cell()
    expected = pd.read_parquet(tiny.root / tiny.store.surface_path(job))
    keys = ["scope", "point", "eval_language", "metric"]
    for servers in (1, "auto"):
        root = tmp_path / str(servers)
        shutil.copytree(tiny.root, root)
        store = Store(str(root))
        store.delete(store.surface_path(job))
        outcome, shown = run(store, {job.id: job}, servers_per_surface=servers, data=tiny.sweep.data)
        assert outcome.done == (job.id,), (shown, outcome)
        found = pd.read_parquet(root / store.surface_path(job))
        pd.testing.assert_frame_equal(
            found.set_index(keys).sort_index(), expected.set_index(keys).sort_index(), check_exact=True
        )
