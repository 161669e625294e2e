"""Devices are kept busy: the real searcher in simulated time, on the paper's sweep."""

from __future__ import annotations

import heapq
from itertools import pairwise
from pathlib import Path

import pytest
from made_fake_jobs import cell, finetune_job, jobs_of

from benchmarks.schedule import Sizes, durations, main, measure
from benchmarks.simulation import Machines, Span, Timeline, critical_path, lower_bound, simulate
from xltray.cluster.jobgraph import JobGraph
from xltray.cluster.session import MOST_PENDING
from xltray.plan import Plan, make_plan
from xltray.spec_runtime import RuntimeSpec
from xltray.sweepfile import load_sweep

FULL = Path(__file__).parent.parent / "sweeps" / "full.yaml"
NOISE, START = 0.3, 10.0


@pytest.fixture(scope="module")
def plan() -> Plan:
    sweep = load_sweep(FULL, ["data.root=nowhere"])
    return make_plan(sweep, Sizes(sweep))


def test_the_papers_sweep_keeps_64_devices_busy_until_the_tail(plan: Plan) -> None:
    for seed in range(3):
        outcome = measure(plan, Machines(64, START, MOST_PENDING), NOISE, seed)
        assert len(outcome.timeline.spans) == 576 + 360
        assert 0.97 <= outcome.busy < 1
        # The bound is all work by all devices: the longest chain is shorter.
        assert outcome.path < outcome.bound == pytest.approx(outcome.work / 64)
        assert 1 < outcome.to_bound < 1.1
        assert outcome.timeline.tail_begin > 0.85 * outcome.timeline.makespan


def test_a_thousand_devices_take_as_long_as_the_longest_chain(plan: Plan) -> None:
    outcome = measure(plan, Machines(1000, START, MOST_PENDING), NOISE, seed=0)
    assert outcome.bound == outcome.path
    assert 1 < outcome.to_bound < 1.01
    assert outcome.timeline.tail_begin == 0, "there are fewer jobs that can run than devices"


def test_splitting_the_last_surfaces_shortens_the_end(plan: Plan) -> None:
    whole = Plan(plan.sweep.model_copy(update={"runtime": RuntimeSpec(servers_per_surface=1)}), plan.jobs)
    machines = Machines(64, START, MOST_PENDING)
    one, split = ([measure(p, machines, NOISE, seed).timeline for seed in range(3)] for p in (whole, plan))
    assert {span.devices for timeline in one for span in timeline.spans.values()} == {1}
    assert {span.devices for timeline in split for span in timeline.spans.values()} >= {1, 2}
    for before, after in zip(one, split, strict=True):
        assert after.makespan < 0.99 * before.makespan
        assert after.makespan - after.tail_begin < 0.7 * (before.makespan - before.tail_begin)


def test_the_shortest_job_first_would_be_worse(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def push(graph: JobGraph, id_: str) -> None:
        heapq.heappush(graph._ready, (graph.critical_path[id_], id_))

    machines = Machines(64, START, MOST_PENDING)
    # With its last surfaces split, a bad order costs less.
    whole = plan.sweep.model_copy(update={"runtime": RuntimeSpec(servers_per_surface=1)})
    plan = Plan(whole, plan.jobs)
    good = measure(plan, machines, NOISE, seed=0)
    monkeypatch.setattr(JobGraph, "_push", push)
    bad = measure(plan, machines, NOISE, seed=0)
    assert bad.bound == good.bound
    assert bad.to_bound > good.to_bound + 0.15


def test_a_schedule_by_hand() -> None:
    surface = cell("pos", "aa", "bb")
    jobs = jobs_of(surface, finetune_job("ner", "aa"))
    source, target, both, other = (id_ for id_ in jobs if id_ != surface.id)
    # Three endpoints of which the surface waits for the last, and one job beside them.
    seconds = {source: 1.0, target: 2.0, both: 4.0, surface.id: 3.0, other: 5.0}
    assert critical_path(jobs, seconds) == 7
    assert lower_bound(jobs, seconds, devices=3) == 7
    assert lower_bound(jobs, seconds, devices=2) == 7.5
    spans = simulate(jobs, seconds, Machines(devices=5, overhead=0.5, pending=1)).spans
    assert spans[both] == Span(0, 0.5, 4.5)
    assert spans[other] == Span(0, 0.5, 5.5)
    assert spans[surface.id] == Span(4.5, 5.0, 8.0)
    # One device: one after the other, the surface after its endpoints.
    alone = simulate(jobs, seconds, Machines(devices=1, overhead=0.0, pending=1))
    assert alone.makespan == 15
    assert alone.spans[surface.id].begin >= 7
    ends = sorted((span.begin, span.end) for span in alone.spans.values())
    assert all(before[1] == after[0] for before, after in pairwise(ends))


def test_shares_of_a_timeline() -> None:
    spans = {"a": Span(0, 1, 4), "b": Span(0, 0, 2), "c": Span(2, 3, 10)}
    timeline = Timeline(spans, devices=2, driver_seconds=0)
    assert (timeline.makespan, timeline.tail_begin) == (10, 4)
    assert timeline.busy_share(4) == (3 + 2 + 1) / 8
    assert timeline.busy_share(10) == (3 + 2 + 7) / 20
    assert Timeline(spans, devices=3, driver_seconds=0).tail_begin == 0


def test_what_is_not_handed_out_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = jobs_of(cell("pos", "aa", "bb"))
    monkeypatch.setattr(JobGraph, "complete", lambda graph, id_: graph.fail(id_, "no"))
    with pytest.raises(RuntimeError, match="and 1 jobs were not among them"):
        simulate(jobs, dict.fromkeys(jobs, 1.0), Machines(2, 0.0, 2))


def test_durations_vary_about_the_plans_costs(plan: Plan) -> None:
    exact, noisy = durations(plan.jobs, 0.0, seed=0), durations(plan.jobs, NOISE, seed=0)
    assert {round(seconds / plan.jobs[id_].cost, 12) for id_, seconds in exact.items()} == {1e-6}
    assert len({noisy[id_] / exact[id_] for id_ in exact}) == len(exact)
    assert noisy == durations(plan.jobs, NOISE, seed=0)
    assert sum(noisy.values()) == pytest.approx(sum(exact.values()), rel=0.5)


def test_the_command_reports(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(FULL.parent / "quickstart.yaml"), "seeds=[0]", "--gpus", "2"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("quickstart: ")
    for word in ("on 2 devices", "x its lower bound", "until the tail", "ms a job"):
        assert word in printed
