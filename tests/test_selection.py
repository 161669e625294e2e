"""``--only``, ``--limit`` and ``--retry-failed``: part of what is missing, with what it needs."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import made_commands
import pytest
from made_commands import FakeCluster, failing, write

import xltray.cluster.run
from xltray.cluster.run import RunOutcome
from xltray.errors import StoreError, SweepFileError
from xltray.inputs import FileInputs
from xltray.jobs import Job
from xltray.plan import Plan, make_plan
from xltray.selection import Selection, choose, matching, with_prerequisites
from xltray.store import Store
from xltray.sweep import main
from xltray.sweepfile import load_sweep


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    monkeypatch.chdir(tmp_path)
    fake = FakeCluster()
    monkeypatch.setattr(xltray.cluster.run, "run_plan", fake.run_plan)
    return fake


def names(jobs: Mapping[str, Job]) -> list[str]:
    """Ids without their hashes."""
    return [id_.rpartition("-")[0] for id_ in jobs]


@pytest.fixture
def plan(cluster: FakeCluster) -> Plan:
    """Two tasks, two cells each, which share their source."""
    sweep = load_sweep(Path(write({"tasks": ["pos", "parsing"]})))
    return make_plan(sweep, FileInputs(sweep.data))


CELL = ["small", "pos-qaa-s0-small", "pos-qab-s0-small", "pos-qaa+qab-s0-small", "pos-qaa-qab-s0-small"]


def test_a_cell_comes_with_what_it_needs_and_is_missing(plan: Plan) -> None:
    only = Selection(only=["pos-qaa-qab-*"])
    chosen = choose(plan, (), only)
    assert names(chosen) == CELL
    # What is done is not needed; neither is what only a finished cell would read.
    encoder, source, *_, surface = chosen
    assert names(choose(plan, {encoder, source}, only)) == CELL[2:]
    assert choose(plan, {surface}, only) == {}


def test_patterns_are_of_all_kinds_of_jobs_and_add_up(plan: Plan) -> None:
    assert names(choose(plan, (), Selection(only=["pos-qaa+qad-*"]))) == ["small", "pos-qaa+qad-s0-small"]
    both = choose(plan, (), Selection(only=["pos-qaa-qab-*", "pos-qaa+qad-*"]))
    assert set(names(both)) == {*CELL, "pos-qaa+qad-s0-small"}
    assert list(both) == [id_ for id_ in plan.jobs if id_ in both], "prerequisites come first"
    assert len(choose(plan, (), Selection(only=["pos-*"]))) == 1 + 5 + 2


def test_a_limit_gives_whole_cells(plan: Plan) -> None:
    assert names(choose(plan, (), Selection(limit=1))) == ["small"]
    assert names(choose(plan, (), Selection(limit=5))) == CELL
    eight = choose(plan, (), Selection(limit=8))
    assert Counter(job.kind for job in eight.values()) == {"pretrain": 1, "finetune": 5, "surface": 2}
    assert {job.task for job in eight.values() if job.kind == "surface"} == {"pos"}
    for limit in range(1, 16):
        chosen = choose(plan, (), Selection(limit=limit))
        assert len(chosen) == limit
        assert all(need in chosen for job in chosen.values() for need in job.needs)
    assert choose(plan, (), Selection(limit=99)) == dict(plan.jobs) == choose(plan, (), Selection())
    # Jobs without a cell count too.
    assert len(choose(plan, (), Selection(only=["pos-qaa+*"], limit=2))) == 2


def test_a_limit_begins_with_the_cells_that_lack_least(plan: Plan) -> None:
    """The first cell lacks its endpoints, a later one only its surface."""
    whole = choose(plan, (), Selection())
    last = [job for job in whole.values() if job.kind == "surface"][-1]
    done = set(with_prerequisites(whole, {last.id})) - {last.id}
    assert list(choose(plan, done, Selection(limit=1))) == [last.id]


def test_what_a_cell_brings_along_counts_for_the_next(cluster: FakeCluster) -> None:
    """From qab to qaa takes the endpoints of the other way round; from qad takes two more."""
    pairs = {"qaa": ["qab"], "qad": ["qab"], "qab": ["qaa"]}
    sweep = load_sweep(Path(write({"tasks": ["pos"], "pairs": pairs})))
    chosen = choose(make_plan(sweep, FileInputs(sweep.data)), (), Selection(limit=6))
    assert {(job.source, job.target) for job in chosen.values() if job.kind == "surface"} == {
        ("qaa", "qab"),
        ("qab", "qaa"),
    }


def test_a_pattern_that_matches_nothing_is_told_what_comes_near(plan: Plan) -> None:
    with pytest.raises(SweepFileError) as caught:
        choose(plan, (), Selection(only=["pos-qaa-qac*", "pos-*", "pos-qaa-qab", "zzz"]))
    assert caught.value.exit_code == 2
    near, exact, far = map(str, caught.value.problems)
    assert near.startswith(
        "--only: found 'pos-qaa-qac*'; expected a pattern of job ids. Did you mean 'pos-qaa-qa"
    )
    assert "Did you mean 'pos-qaa-qab*'? Jobs: small-" in exact
    assert "Did you mean" not in far
    assert far.endswith(" and 7 more.")


def test_a_pattern_may_match_what_is_done(plan: Plan) -> None:
    assert choose(plan, set(plan.jobs), Selection(only=["pos-*"])) == {}
    assert matching(["a-1", "b-1", "a-2"], ["a-*", "b-?"], "--only", "job") == {"a-1", "b-1", "a-2"}


# The command.


def test_one_cell_and_then_the_rest(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write()
    arguments = [sweep, "seeds=[0]", "--only", "pos-qaa-qab-*"]
    assert main([*arguments, "--dry-run"]) == 0
    dry = capsys.readouterr().out
    assert main(arguments) == 0
    assert names(cluster.needed) == CELL
    printed = capsys.readouterr().out
    for said in (dry, printed):
        assert "To run: 1 of 1 pretraining, 3 of 5 fine-tunings, 1 of 2 surfaces.\n" in said
        assert "Not chosen, and left for later: 2 fine-tunings, 1 surface.\n" in said
    *_, told, command = printed.splitlines()
    assert told == "Not chosen, and still missing: 2 fine-tunings, 1 surface. The whole sweep:"
    assert shlex.split(command)[1:] == ["-m", "xltray.sweep", sweep, "seeds=[0]"]
    assert len(made_commands.store().read_json("sweeps/s/plan.json")["jobs"]) == 8, "the plan is the sweep's"

    cluster.needed = {}
    assert main(arguments) == 0
    assert not cluster.needed
    assert "Nothing to do: no job that is chosen is missing.\n" in capsys.readouterr().out
    assert main([sweep, "--limit", "2"]) == 0
    assert names(cluster.needed) == ["pos-qad-s0-small", "pos-qaa+qad-s0-small"]
    assert "still missing: 1 surface. The" in capsys.readouterr().out
    assert main([sweep, "--limit", "2"]) == 0
    assert names(cluster.needed) == ["pos-qaa-qad-s0-small"]
    assert "still missing" not in capsys.readouterr().out


def test_a_wrong_choice_is_refused_before_anything_is_written(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = write()
    for dry in ([], ["--dry-run"]):
        assert main([sweep, "--only", "poss-*", *dry]) == 2
        assert "--only: found 'poss-*'" in capsys.readouterr().err
    for limit in ("0", "x"):
        with pytest.raises(SystemExit):
            main([sweep, "--limit", limit])
    assert not cluster.needed


def test_a_dry_run_without_data_counts_what_is_chosen(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    full = str(made_commands.ROOT / "sweeps" / "full.yaml")
    assert main([full, "--dry-run", "--only", "pos-en-vi-s0-*", "--only", "ner-en-vi-s0-mbert-*"]) == 0
    printed = capsys.readouterr().out
    assert "Were nothing done yet:\nTo run: 9 of 576 fine-tunings, 3 of 360 surfaces.\n" in printed


def test_what_failed_is_tried_again_with_the_rest_or_alone(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = write({"seeds": [0, 1]})

    def fail(needed: Mapping[str, Job]) -> RunOutcome:
        of_one_seed = {id_: job for id_, job in needed.items() if "-s1-" not in id_}
        return failing(of_one_seed)

    cluster.outcome = fail
    assert main([sweep]) == 1
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("To try only what failed, and what waits for it:")
    again, alone = lines[place - 1], lines[place + 1]
    assert shlex.split(alone) == [*shlex.split(again), "--retry-failed"]
    stored = made_commands.store().read_json("sweeps/s/failures.json")
    of_failure = {*stored["failed"], *stored["skipped"]}
    assert names(dict.fromkeys(sorted(of_failure))) == ["pos-qaa-qad-s0-small", "pos-qad-s0-small"]

    # Another part of the sweep does not forget it.
    cluster.outcome = lambda needed: RunOutcome(tuple(needed))
    assert main([sweep, "--only", "pos-qaa-qab-s1-*"]) == 0
    assert made_commands.store().read_json("sweeps/s/failures.json") == stored

    # Alone; interrupted before it came to an end, it still counts as failed.
    retry = shlex.split(alone)[3:]
    cluster.outcome = lambda needed: RunOutcome(interrupted=True)
    assert main(retry) == 130
    assert set(cluster.needed) == of_failure
    assert made_commands.store().read_json("sweeps/s/failures.json") == stored
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1].strip() == alone.strip(), "what goes on is the same again"
    cluster.outcome = lambda needed: RunOutcome(tuple(needed))
    assert main(retry) == 0
    assert set(cluster.needed) == of_failure
    assert made_commands.store().read_json("sweeps/s/failures.json") == {"failed": {}, "skipped": {}}

    cluster.needed = {}
    assert main(retry) == 0
    assert not cluster.needed, "nothing failed"
    assert "no job that is chosen is missing" in capsys.readouterr().out
    # Without it, all that is missing runs.
    assert main([sweep]) == 0
    assert {id_.split("-s1-")[0] for id_ in cluster.needed} == {"pos-qad", "pos-qaa+qad", "pos-qaa-qad"}


def test_what_waited_for_a_failed_job_is_still_tried_after_an_interrupt(cluster: FakeCluster) -> None:
    sweep = write()
    cluster.outcome = failing
    assert main([sweep]) == 1
    stored = made_commands.store().read_json("sweeps/s/failures.json")
    assert stored["skipped"]
    cluster.outcome = lambda needed: RunOutcome(tuple(stored["failed"]), interrupted=True)
    assert main([sweep, "--retry-failed"]) == 130
    cluster.outcome = lambda needed: RunOutcome(tuple(needed))
    assert main([sweep, "--retry-failed"]) == 0
    assert set(stored["skipped"]) <= set(cluster.needed)


@pytest.mark.parametrize("content", [[], {"failed": 1}, {"failed": {}, "skipped": 1}])
def test_broken_failures_stop_only_who_asks_for_them(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], content: Any
) -> None:
    sweep = write()
    Store("results/s").write_json("sweeps/s/failures.json", content)
    assert main([sweep, "--retry-failed"]) == 2
    assert "sweeps/s/failures.json in" in capsys.readouterr().err
    assert main([sweep]) == 0
    assert Store("results/s").read_json("sweeps/s/failures.json") == {"failed": {}, "skipped": {}}


def test_a_store_that_takes_nothing_more_does_not_hide_how_a_run_ended(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise StoreError("No space left on device")

    for name in ("write_failures", "write_unlearned"):
        monkeypatch.setattr(f"xltray.sweep_report.{name}", refuse)
    cluster.outcome = failing
    assert main([write()]) == 1
    printed = capsys.readouterr().out
    assert printed.count("No space left on device") == 2
    assert "failed   " in printed
    assert "To go on:" in printed
