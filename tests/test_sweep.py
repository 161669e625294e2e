"""The command that runs a sweep, with the cluster replaced by a function of this module."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

import xltray.cluster.run
from xltray.cluster.run import RunOutcome
from xltray.inputs import FileInputs
from xltray.jobs import FinetuneJob, Job, PretrainJob, SurfaceJob
from xltray.plan import Plan, make_plan
from xltray.store import Store
from xltray.sweep import main
from xltray.sweepfile import load_sweep

ROOT = Path(__file__).parent.parent
SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))
PRETRAIN = {"corpus": "toy", "languages": ["qaa"], "hidden_size": 16, "heads": 2, "layers": 1}
SWEEP: dict[str, Any] = {
    "tasks": ["pos"],
    "pairs": {"qaa": ["qab", "qad"]},
    "seeds": [0],
    "data": {"corpora": {"pos": "toy", "parsing": "toy"}, "toy": {"train": 4, "dev": 3}},
    "encoders": {"small": {"pretrain": PRETRAIN}},
    "grid": {"plane": [0, 1], "lines": [0, 1]},
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(changes: Mapping[str, Any] | None = None, name: str = "s.yaml") -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(yaml.safe_dump(SWEEP | dict(changes or {})), encoding="utf-8")
    return name


def store() -> Store:
    return Store("results/s")


def plan() -> Plan:
    sweep = load_sweep(Path("s.yaml"))
    return make_plan(sweep, FileInputs(sweep.data))


def cell(target: str) -> SurfaceJob:
    (job,) = (job for job in plan().jobs.values() if isinstance(job, SurfaceJob) and job.target == target)
    return job


# The cluster's stand-in: it commits what the store takes for results, and says what it was given.


def commit(job: Job, at: Store) -> None:
    if isinstance(job, PretrainJob):
        at.write_json(f"{at.encoder_path(job.id)}/DONE.json", {"files": {}})
    elif isinstance(job, FinetuneJob):
        at.write_json(f"{at.endpoint_path(job.id)}/DONE.json", {"files": {}})
    else:
        at.write_table(at.surface_path(job), pa.table({"a": [1]}))
        at.write_table(at.geometry_path(job), pa.table({"a": [1]}))


class FakeCluster:
    def __init__(self) -> None:
        self.needed: dict[str, Job] = {}
        self.outcome: Callable[[Mapping[str, Job]], RunOutcome] = lambda needed: RunOutcome(tuple(needed))

    def run_plan(
        self, _: Plan, needed: Mapping[str, Job], at: Store, *, console: Any, emit: Any
    ) -> RunOutcome:
        self.needed = dict(needed)
        console.print("for people")
        emit("note", message="for machines")
        outcome = self.outcome(needed)
        for id_ in outcome.done:
            commit(needed[id_], at)
        return outcome

    def kinds(self) -> dict[str, int]:
        return dict(Counter(job.kind for job in self.needed.values()))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()
    monkeypatch.setattr(xltray.cluster.run, "run_plan", fake.run_plan)
    return fake


# Dry runs.


def test_the_papers_sweep_in_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(ROOT / "sweeps" / "full.yaml"), "--dry-run"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Sweep full, stored in results/full" in printed
    assert "576 fine-tunings 360 surfaces 465 points per surface" in printed
    assert "334,800 evaluations: 167,400 models, each on two dev sets" in printed
    assert "Disk: about 848 GB (848 GB endpoints, 0 B encoders" in printed
    assert "without" not in printed, "both encoders say how large they are"
    assert "27 inputs are not here" in printed  # XNLI, WikiANN and a treebank for each of 9 languages
    assert "data/xnli/en: no data root data" in printed
    assert printed.count("no data root") == 8
    assert "and 19 more" in printed
    assert not list(Path().iterdir()), "a dry run writes nothing"


ALONE = """
import socket, sys
def refuse(*_): raise AssertionError("network")
socket.socket.connect = socket.getaddrinfo = refuse
from xltray.sweep import main
code = main(sys.argv[1:])
heavy = [name for name in ("ray", "torch", "transformers", "accelerate", "numba") if name in sys.modules]
sys.exit(f"imported {heavy}" if heavy else code)
"""


def alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process where a connection, or the import of what takes long, is an error."""
    paths = os.pathsep.join([str(ROOT), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", ALONE, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": paths},
    )


def test_a_dry_run_needs_neither_ray_nor_torch_nor_network() -> None:
    done = alone(str(ROOT / "sweeps" / "full.yaml"), "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "576 fine-tunings" in done.stdout


@pytest.mark.parametrize("path", SWEEPS, ids=[path.stem for path in SWEEPS])
def test_every_sweep_here_can_be_counted_without_data(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(path), "--dry-run", "data.root=nowhere"]) == 0
    printed = capsys.readouterr().out
    # Sweeps of scopes use the endpoints of the paper's sweep.
    folder = "full" if path.stem == "scopes" else path.stem
    assert f"Sweep {path.stem}, stored in results/{folder}" in printed
    assert "evaluations" in printed


def test_a_dry_run_says_what_is_left(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write()
    main([sweep, "--dry-run"])
    before = capsys.readouterr().out
    assert "To run: 1 of 1 pretraining, 5 of 5 fine-tunings, 2 of 2 surfaces." in before
    assert main([sweep]) == 0
    store().delete(store().surface_path(cell("qad")))
    capsys.readouterr()
    main([sweep, "--dry-run"])
    assert "To run: 0 of 1 pretraining, 0 of 5 fine-tunings, 1 of 2 surfaces." in capsys.readouterr().out


def test_a_dry_run_counts_scopes_and_names_encoders_of_unknown_size(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = write({"scopes": ["all", "head"], "encoders": {"big": {"checkpoint": "some/model"}}})
    assert main([sweep, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "4 points per surface x 2 scopes" in printed
    assert "32 evaluations: 16 models, each on two dev sets" in printed
    assert "without big: give encoders.<name>.parameters" in printed


@pytest.mark.parametrize(
    ("third", "said"),
    [
        ("[qac]", "24 evaluations: 8 models, each on 3 dev sets"),
        # The target of the second cell.
        ("[qad]", "20 evaluations: 8 models, each on 2 to 3 dev sets"),
    ],
)
def test_a_dry_run_counts_third_languages(third: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(), f"third_languages={third}", "--dry-run"]) == 0
    assert said in capsys.readouterr().out


def test_overrides_change_what_is_planned(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write()
    assert main([sweep, "seeds=[0,1]", "tasks=[pos, parsing]", "storage=elsewhere", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "stored in elsewhere" in printed
    assert "20 of 20 fine-tunings, 8 of 8 surfaces" in printed


# Wrong input: everything that is wrong, at once, and the right exit code.


def refused(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> str:
    assert main(arguments) == code
    assert not cluster.needed, "nothing was run"
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.err


def test_mistakes_of_form_come_together(capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> None:
    sweep = write({"sedes": [0], "seeds": ["zero"], "grid": {"plane": None, "lines": None}})
    said = refused([sweep], 2, capsys, cluster)
    assert "3 to mend" in said
    assert "s.yaml" in said
    for part in ("sedes", "Did you mean 'seeds'", "seeds[0]", "'zero'", "grid", "neither plane nor lines"):
        assert part in said
    assert not Path("results").exists()


def test_unknown_names_come_together(capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> None:
    pretrain = PRETRAIN | {"corpus": "wikipedia"}
    changes = {
        "tasks": ["pos", "parsin"],
        "pairs": {"qaa": ["qab", "qxx"]},
        "encoders": {"own": {"pretrain": pretrain}},
        "data": SWEEP["data"] | {"corpora": {"pos": "toy", "nerr": "toy"}},
    }
    said = refused([write(changes)], 2, capsys, cluster)
    for part in (
        "tasks[1]: found 'parsin'",
        "Did you mean 'parsing'",
        "'qxx'",
        "a language of the toy corpus",
        "'wikipedia'",
        "data.corpora.nerr",
        "4 to mend",
    ):
        assert part in said
    assert "s.yaml:" in said


@pytest.mark.parametrize("path", ["absent.yaml", "."])
def test_a_sweep_file_that_is_not_there(
    path: str, capsys: pytest.CaptureFixture[str], cluster: FakeCluster
) -> None:
    assert path in refused([path], 2, capsys, cluster)


def ud_sweep(**changes: Any) -> str:
    encoders = {"own": {"pretrain": PRETRAIN}} | changes.pop("encoders", {})
    return write({"pairs": {"en": ["de", "vi"]}, "data": {"root": "ud"}, "encoders": encoders} | changes)


def treebank(folder: str, *, train: str | None = None, dev: str | None = None) -> None:
    Path("ud", folder).mkdir(parents=True, exist_ok=True)
    good = "1\tDogs\t_\tNOUN\t_\t_\t2\tnsubj\t_\t_\n2\tbark\t_\tVERB\t_\t_\t0\troot\t_\t_\n\n"
    for split, content in {"train": train, "dev": dev}.items():
        name = f"xx-ud-{split}.conllu"
        Path("ud", folder, name).write_text(good if content is None else content, encoding="utf-8")


def test_all_missing_treebanks_and_checkpoints_are_named(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster
) -> None:
    treebank("UD_English-EWT")
    said = refused([ud_sweep(encoders={"local": {"checkpoint": "./nowhere"}})], 3, capsys, cluster)
    assert "ud/UD_German-GSD: found no such folder" in said
    assert "ud/UD_Vietnamese-VTB: found no such folder" in said
    assert "encoder checkpoint './nowhere': found no such folder" in said
    assert "UD_English-EWT: found" not in said
    assert not Path("results").exists()


def test_every_broken_line_is_named(capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> None:
    for folder in ("UD_English-EWT", "UD_German-GSD", "UD_Vietnamese-VTB"):
        treebank(folder)
    treebank("UD_German-GSD", train="1\tHund\t_\tNOUN\t_\t_\t7\troot\t_\t_\n\n")
    treebank("UD_Vietnamese-VTB", dev="# sent_id = 1\n1\tchó\t_\tDOG\t_\t_\t0\troot\t_\t_\n\n")
    said = refused([ud_sweep()], 3, capsys, cluster)
    assert "ud/UD_German-GSD/xx-ud-train.conllu:1" in said
    assert "ud/UD_Vietnamese-VTB/xx-ud-dev.conllu:2" in said
    assert "'DOG'" in said


def test_a_broken_line_and_a_folder_without_a_model_come_together(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster
) -> None:
    for folder in ("UD_English-EWT", "UD_German-GSD", "UD_Vietnamese-VTB"):
        treebank(folder)
    treebank("UD_German-GSD", train="1\tHund\t_\tNOUN\t_\t_\t7\troot\t_\t_\n\n")
    Path("model").mkdir()
    said = refused([ud_sweep(encoders={"local": {"checkpoint": "./model"}})], 3, capsys, cluster)
    assert "UD_German-GSD/xx-ud-train.conllu:1" in said
    assert f"encoder checkpoint '{Path('model').resolve()}': found a folder without config.json" in said


def test_only_what_will_be_read_must_be_there(cluster: FakeCluster) -> None:
    for folder in ("UD_English-EWT", "UD_German-GSD", "UD_Vietnamese-VTB"):
        treebank(folder)
    assert main([ud_sweep()]) == 0
    assert main([ud_sweep(pairs={"en": ["de"]})]) == 0


def test_mistakes_of_form_do_not_hide_unknown_names(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster
) -> None:
    changes = {"tasks": ["poss"], "pairs": {"qaa": ["xx"]}, "finetune": {"epochs": "many"}, "sedes": [1]}
    said = refused([write(changes)], 2, capsys, cluster)
    for found in ("'poss'", "'xx'", "finetune.epochs", "sedes"):
        assert found in said


def test_a_store_that_cannot_be_written(capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> None:
    Path("results").write_text("a file in the way", encoding="utf-8")
    said = refused([write()], 2, capsys, cluster)
    assert str(Path.cwd() / "results" / "s") in said
    assert "change `storage`" in said


def test_a_store_of_an_unknown_kind(capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> None:
    assert "nope://x" in refused([write(), "storage=nope://x"], 2, capsys, cluster)


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


def failing(needed: Mapping[str, Job]) -> RunOutcome:
    (bad,) = (id_ for id_ in needed if id_.startswith("pos-qad-"))
    skipped = {job.id: bad for job in needed.values() if bad in job.needs}
    message = "EndpointError: it diverged [/at once]\nTraceback (most recent call last):\n  the last line"
    done = tuple(id_ for id_ in needed if id_ != bad and id_ not in skipped)
    return RunOutcome(done, {bad: message}, skipped)


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


def test_a_lost_ray_is_said_and_the_run_goes_on_later(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.outcome = lambda needed: RunOutcome(tuple(needed)[:3], lost="the raylet died")
    assert main([write()]) == 1
    printed = capsys.readouterr().out
    assert "Ray was lost: the raylet died" in printed
    assert "Not all jobs are done: 3 of 8 jobs done, 5 left. To go on:" in printed


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


# For machines.


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(event.pop("time") for event in told)
    return told


def test_json_alone_is_on_standard_output(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write()
    fails, waits = plan().of_kind("finetune"), cell("qad").id
    failed = next(fails).id
    cluster.outcome = lambda needed: RunOutcome(
        tuple(id_ for id_ in needed if id_ not in (failed, waits)),
        failed={failed: "ValueError: no\n  trace"},
        skipped={waits: failed},
    )
    assert main([sweep, "--json"]) == 1
    told = events(capsys)
    kinds = {"pretrain": 1, "finetune": 5, "surface": 2}
    assert told[0] == {"event": "start", "sweep": "s", "storage": "results/s", "jobs": kinds}
    assert told[1] == {"event": "note", "message": "for machines"}
    assert told[-1] == {
        "event": "end",
        "exit_code": 1,
        "done": 6,
        "left": 2,
        "failed": {failed: "ValueError: no\n  trace"},
        "skipped": {waits: failed},
        "interrupted": False,
        "lost": "",
    }
    cluster.outcome = lambda needed: RunOutcome(tuple(needed))
    assert main([sweep, "--json"]) == 0
    assert events(capsys)[-1]["exit_code"] == 0
    assert main([sweep, "--json"]) == 0
    started, *_, ended = events(capsys)
    assert (started["jobs"], ended["done"], ended["left"]) == ({}, 0, 0)


def test_json_leaves_what_people_read_on_standard_error(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([write(), "--json"]) == 0
    shown = capsys.readouterr().err
    assert "To run: 1 of 1 pretraining" in shown
    assert "for people" in shown
    assert "Done: 8 jobs." in shown


def test_json_ends_with_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write({"tasks": ["poss"]}), "--json"]) == 2
    (told,) = events(capsys)
    assert (told["event"], told["exit_code"]) == ("error", 2)
    assert "Did you mean 'pos'" in told["message"]


def test_json_of_a_dry_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([write(), "--json", "--dry-run"])
    assert caught.value.code == 2
    assert "found it with --dry-run, which runs nothing" in capsys.readouterr().err
