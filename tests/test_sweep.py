"""The command that runs a sweep: what runs, how it ends, and what it says."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import made_commands
import pytest
from made_commands import PRETRAIN, ROOT, SWEEP, FakeCluster, alone, cell, failing, refused, store, write

from xltray.cluster.run import RunOutcome
from xltray.jobs import FinetuneJob, Job
from xltray.status import main as status
from xltray.store import Store
from xltray.sweep import main
from xltray.sweepfile import load_sweep

# Fixtures: pytest looks for them in this module.
here, cluster = made_commands.here, made_commands.cluster


# What runs.


def test_everything_runs_once_and_then_nothing(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = write()
    assert main([sweep]) == 0
    assert cluster.kinds() == {"pretrain": 1, "finetune": 5, "surface": 2}
    printed = capsys.readouterr().out
    assert "Done: 8 jobs. Results in results/s" in printed
    assert "python -m analysis results/s --sweep s\n" in printed

    cluster.needed = {}
    assert main([sweep]) == 0
    assert not cluster.needed
    assert "Nothing to do: all 2 surfaces of s are in results/s." in capsys.readouterr().out


def test_nothing_to_do_is_said_soon_and_without_ray(cluster: FakeCluster) -> None:
    sweep = write()
    main([sweep])
    started = time.monotonic()
    done = alone(sweep)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Nothing to do: all 2 surfaces")
    assert time.monotonic() - started < 15


def test_after_deleting_a_cell_exactly_its_surface_runs(cluster: FakeCluster) -> None:
    sweep = write()
    main([sweep])
    job = cell("qab")
    for path in (store().surface_path(job), store().geometry_path(job)):
        store().delete(path)
        assert main([sweep]) == 0
        assert list(cluster.needed) == [job.id]
    store().delete(f"endpoints/{job.target_endpoint.id}")
    cluster.needed = {}
    assert main([sweep]) == 0
    assert not cluster.needed, "an endpoint that only finished surfaces read may be deleted"
    store().delete(store().surface_path(job))
    assert main([sweep]) == 0
    assert set(cluster.needed) == {job.id, job.target_endpoint.id}


@pytest.mark.parametrize("kind", ["surface", "geometry"])
def test_a_cell_with_a_damaged_file_runs_again(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    sweep = write()
    main([sweep])
    job = cell("qab")
    path = store().surface_path(job) if kind == "surface" else store().geometry_path(job)
    store().write_bytes(path, store().read_bytes(path)[:100])
    capsys.readouterr()
    assert status([sweep, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["jobs"][job.id] == "missing"
    assert list(told["damaged"]) == [path]
    assert status([sweep]) == 0
    counts_no_more = "It counts no more; a run that takes its cell makes it anew."
    assert f"{told['damaged'][path]}. {counts_no_more}" in capsys.readouterr().out
    other = cell("qad").id
    assert status([sweep, "--json", "--only", other]) == 0
    assert json.loads(capsys.readouterr().out)["damaged"] == {}
    assert status([sweep, "--json", "--only", job.id]) == 0
    assert list(json.loads(capsys.readouterr().out)["damaged"]) == [path]
    assert main([sweep, "--only", other]) == 0
    said = capsys.readouterr().out
    assert counts_no_more in said
    assert "Nothing to do: no job that is chosen is missing." in said
    assert main([sweep, "--dry-run"]) == 0
    assert "1 of 2 surfaces" in capsys.readouterr().out
    assert main([sweep]) == 0
    assert list(cluster.needed) == [job.id]
    said = capsys.readouterr().out
    assert f"{path} in the store" in said
    assert "is damaged: " in said
    assert counts_no_more in said
    assert main([sweep]) == 0
    assert capsys.readouterr().out.startswith("Nothing to do")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seeds": [0, 1]}, {"finetune": 5, "surface": 2}),
        ({"pairs": {"qaa": ["qab", "qac", "qad"]}}, {"finetune": 2, "surface": 1}),
        ({"tasks": ["pos", "parsing"]}, {"finetune": 5, "surface": 2}),
        (
            {"encoders": {**SWEEP["encoders"], "random": {"pretrain": PRETRAIN | {"steps": 0}}}},
            {"pretrain": 1, "finetune": 5, "surface": 2},
        ),
        ({"grid": {"plane": [0, 0.5, 1], "lines": [0, 1]}}, {"surface": 2}),
        # A bilingual model is both directions'.
        ({"pairs": {"qaa": ["qab", "qad"], "qab": ["qaa"]}}, {"surface": 1}),
        ({"runtime": {"retries": 4}}, {}),
        ({"finetune": {"epochs": 5}}, {}),
        ({"finetune": {"epochs": 4}}, {"finetune": 5, "surface": 2}),
    ],
    ids=["seed", "language", "task", "encoder", "grid", "direction", "runtime", "default", "recipe"],
)
def test_only_what_was_added_runs(
    cluster: FakeCluster, changes: dict[str, Any], expected: dict[str, int]
) -> None:
    main([write()])
    before = set(cluster.needed)
    cluster.needed = {}
    assert main([write(changes)]) == 0
    assert cluster.kinds() == expected
    assert not before & set(cluster.needed)


def test_plan_and_sweep_are_stored(cluster: FakeCluster) -> None:
    main([write(), "seeds=[3]"])
    stored = store().read_json("sweeps/s/plan.json")
    assert stored["surfaces"] == [job.id for job in cluster.needed.values() if job.kind == "surface"]
    assert len(stored["jobs"]) == 8
    Path("again.yaml").write_bytes(store().read_bytes("sweeps/s/sweep.yaml"))
    assert load_sweep(Path("again.yaml")) == load_sweep(Path("s.yaml"), ["seeds=[3]"])


# How it ends.


def test_failures_are_told_and_stored(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.outcome = failing
    sweep = write()
    assert main([sweep]) == 1
    (bad,) = failing(cluster.needed).failed
    printed = capsys.readouterr().out
    assert f"failed   {bad}: EndpointError: it diverged [/at once]\n" in printed
    assert f"skipped  {cell('qad').id}: needs {bad}" in printed
    assert "Not all jobs are done: 6 of 8 jobs done, 2 left. To go on:" in printed
    assert "sweeps/s/failures.json in results/s" in printed
    stored = store().read_json("sweeps/s/failures.json")
    assert stored["failed"][bad].endswith("the last line")
    assert stored["skipped"] == {cell("qad").id: bad}

    cluster.outcome = lambda needed: RunOutcome(tuple(needed))
    assert main([sweep]) == 0
    assert set(cluster.needed) == {bad, cell("qad").id}
    assert store().read_json("sweeps/s/failures.json") == {"failed": {}, "skipped": {}}


def test_what_is_broken_is_told_with_what_is_missing(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster
) -> None:
    for language, content in (("English-EWT", "broken"), ("German-GSD", "broken too")):
        for role in ("train", "dev"):
            path = Path("data", f"UD_{language}", f"x-ud-{role}.conllu")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    Path("data", "UD_German-GSD", "x-ud-dev.conllu").unlink()
    Path("model").mkdir()
    encoders = {"path": {"checkpoint": "./nowhere"}, "folder": {"checkpoint": "model"}}
    sweep = write({"pairs": {"en": ["de"]}, "data": {}, "encoders": encoders})
    said = refused([sweep], 3, capsys, cluster)
    assert said.count("*-ud-dev.conllu: found x-ud-train.conllu") == 1
    assert said.count("'./nowhere': found no such folder") == 1
    for path in ("English-EWT/x-ud-train", "English-EWT/x-ud-dev", "German-GSD/x-ud-train"):
        assert said.count(f"UD_{path}.conllu:1: found ") == 1
    assert "a folder without config.json" in said


def test_a_failure_of_several_problems_is_told_with_the_first(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    message = "MissingInputError: An encoder cannot be loaded.\n  - x: found 1; expected 2\n  - y: found 3"
    cluster.outcome = lambda needed: RunOutcome(tuple(needed)[1:], {next(iter(needed)): message})
    assert main([write()]) == 1
    printed = capsys.readouterr().out
    assert ": MissingInputError: An encoder cannot be loaded. x: found 1; expected 2\n" in printed
    assert "found 3" not in printed


def test_a_job_that_says_nothing_when_it_fails(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.outcome = lambda needed: RunOutcome(tuple(needed)[1:], {next(iter(needed)): ""})
    assert main([write()]) == 1
    assert "failed   small-" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        ({"lost": "Ray was lost: the raylet died"}, "Ray was lost: the raylet died"),
        ({"stopped": "what is left is too small"}, "Given up: what is left is too small"),
    ],
)
def test_a_run_that_could_not_go_on_says_why_and_goes_on_later(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str], ended: dict[str, str], said: str
) -> None:
    cluster.outcome = lambda needed: RunOutcome(tuple(needed)[:3], **ended)  # type: ignore[arg-type]
    assert main([write()]) == 1
    printed = capsys.readouterr().out
    assert f"\n{said}\n" in printed
    assert "Not all jobs are done: 3 of 8 jobs done, 5 left. To go on:" in printed
    assert store().read_json("sweeps/s/failures.json")


def test_an_interrupted_run_says_how_to_go_on(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.outcome = lambda needed: RunOutcome(tuple(needed)[:3], interrupted=True)
    sweep = write(name="my sweeps/s [x].yaml")
    arguments = [sweep, "name=s", "seeds=[0, 1]", "storage=results/s [y]"]
    assert main(arguments) == 130
    printed = capsys.readouterr().out.splitlines()
    (place,) = (n for n, line in enumerate(printed) if "To go on:" in line)
    assert printed[place].startswith("Interrupted: 3 of 15 jobs done, 12 left.")
    command = printed[place + 1].strip()
    assert shlex.split(command) == [sys.orig_argv[0], "-m", "xltray.sweep", *arguments]
    first = set(cluster.needed)
    cluster.outcome = lambda needed: RunOutcome(tuple(needed))
    assert main(shlex.split(command)[3:]) == 0
    assert len(cluster.needed) == 12
    assert set(cluster.needed) < first


def test_failures_of_an_interrupted_run_still_count_as_interrupted(cluster: FakeCluster) -> None:
    def both(needed: Mapping[str, Job]) -> RunOutcome:
        found = failing(needed)
        return RunOutcome(found.done[:2], found.failed, found.skipped, interrupted=True)

    cluster.outcome = both
    assert main([write()]) == 130


def test_an_interruption_after_the_last_job_is_none(cluster: FakeCluster) -> None:
    cluster.outcome = lambda needed: RunOutcome(tuple(needed), interrupted=True)
    assert main([write()]) == 0


def test_the_module_is_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "xltray.sweep", "absent.yaml"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    assert done.returncode == 2
    assert "absent.yaml" in done.stderr
    assert "Traceback" not in done.stderr


# Endpoints that did not learn.


def judged(at: Store, job: Job, learned: bool) -> None:
    assert isinstance(job, FinetuneJob)
    said = {"metric": "accuracy", "score": 0.333, "value": 1 / 3, "learned": learned}
    done = {"learned": learned, "baselines": dict.fromkeys(job.languages, said)}
    at.write_json(f"{at.endpoint_path(job.id)}/DONE.json", {"files": {}} | done)


def test_endpoints_that_did_not_learn_are_named_at_the_end(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = write()
    assert main([sweep]) == 0
    assert "not learn" not in capsys.readouterr().out
    assert store().read_json("sweeps/s/unlearned.json") == {"unlearned": {}}
    bad, good = cell("qad").target_endpoint, cell("qad").source_endpoint
    judged(store(), bad, False)
    judged(store(), good, True)
    line = f"did not learn  {bad.id}: accuracy 0.333 on qad (a constant answer: 0.333)"

    # Nothing to do, and still named.
    assert main([sweep]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("Nothing to do")
    assert printed[1] == "1 endpoint did not learn; cells with it are kept:"
    assert printed[2] == line
    assert "finetune.learning_rate" in printed[3]
    assert shlex.split(printed[4])[1:] == ["-m", "analysis", "results/s", "--sweep", "s", "--learned-only"]
    stored = store().read_json("sweeps/s/unlearned.json")["unlearned"]
    assert list(stored) == [bad.id]
    assert stored[bad.id]["cells"] == [cell("qad").id]

    # A run that makes something else.
    store().delete(store().surface_path(cell("qab")))
    assert main([sweep]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed.index(line) > next(n for n, said in enumerate(printed) if said.startswith("Done: 1 jobs"))


def test_a_run_that_did_not_finish_still_ends_with_the_command(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = write()
    main([sweep])
    judged(store(), cell("qad").target_endpoint, False)
    store().delete(store().surface_path(cell("qab")))
    cluster.outcome = lambda needed: RunOutcome((), dict.fromkeys(needed, "EndpointError: no"))
    capsys.readouterr()
    assert main([sweep]) == 1
    printed = capsys.readouterr().out
    assert printed.index("did not learn  ") < printed.index("failed   ") < printed.index("To go on:")
