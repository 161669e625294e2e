"""A fine-tuning that was cut short goes on from its last checkpoint and ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.fs
import pytest
import torch
from made_finetune import into, kept, scripted, with_recipe
from made_resume import VALIDATIONS, begin, checkpoints, content, context_for, done_of
from tiny import Tiny, run_job

import xltray.resume as resume_module
from xltray.context import JobContext
from xltray.resume import Checkpoint, Checkpoints
from xltray.store import Store


@pytest.mark.parametrize(
    ("task", "languages", "validations"),
    [
        *(("pos", ("qaa",), validations) for validations in range(1, VALIDATIONS)),
        ("parsing", ("qaa", "qab"), 3),
    ],
)
def test_it_ends_with_the_bits_of_an_undisturbed_one(
    tiny: Tiny, tmp_path: Path, task: str, languages: tuple[str, ...], validations: int
) -> None:
    job = tiny.endpoint(task, *languages)
    context = context_for(tiny, tmp_path)
    begin(job, context, validations)
    [name] = checkpoints(context, job)
    torch.manual_seed(999)  # another process has other random numbers
    progress = run_job(job, context)
    assert progress[0].done == int(name.split("-")[0]) > 0, "it does not begin again"
    assert len(progress) == 1 + VALIDATIONS - validations
    assert content(context, job) == content(context, job, tiny.root)
    undisturbed, done = tiny.done(job), done_of(context, job)
    [resumed] = done.pop("resumed")
    assert (resumed["step"], resumed["exact"]) == (progress[0].done, True)
    assert resumed["from"]["device"] == "cpu"
    assert resumed["from"]["versions"]["torch"] == torch.__version__
    for record in (undisturbed, done):
        record.pop("seconds")
    assert done == undisturbed
    assert not context.store.exists("checkpoints/" + job.id), "a finished one needs no checkpoint"


@pytest.mark.parametrize(
    "recipe",
    [
        {"clip_norm": 0.05, "weight_decay": 0.1},
        {"mixed_precision": "bf16"},
        {"patience": 2},
        {"keep": "last"},
    ],
)
def test_whatever_the_recipe_and_however_often(tiny: Tiny, tmp_path: Path, recipe: dict[str, Any]) -> None:
    job = with_recipe(tiny.endpoint(), **recipe)
    plain, context = into(tiny, tmp_path / "plain"), context_for(tiny, tmp_path / "cut")
    run_job(job, plain)
    begin(job, context, 1)
    for _ in range(2):
        begin(job, context, 1)
    run_job(job, context)
    assert content(context, job) == content(plain, job)
    assert len(done_of(context, job)["resumed"]) == (3 if done_of(plain, job)["steps"] > 6 else 2)


def test_the_best_model_is_kept_across_it(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, context = tiny.endpoint(), context_for(tiny, tmp_path)
    models = scripted(monkeypatch, {"qaa": [0.1, 0.9, 0.3]})
    begin(job, context, 3)
    scripted(monkeypatch, {"qaa": [0.2, 0.8, 0.1]})
    run_job(job, context)
    assert torch.equal(kept(context, job), models()[1])
    assert (done_of(context, job)["best_step"], done_of(context, job)["score"]) == (4, 0.9)


def test_patience_counts_on(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, context = with_recipe(tiny.endpoint(), patience=3), context_for(tiny, tmp_path)
    scripted(monkeypatch, {"qaa": [0.5, 0.4, 0.4]})
    begin(job, context, 3)
    scripted(monkeypatch, {"qaa": [0.4, 0.4, 0.4]})
    run_job(job, context)
    assert done_of(context, job)["steps"] == 8


def test_a_short_one_writes_none(tiny: Tiny, tmp_path: Path) -> None:
    context = context_for(tiny, tmp_path, seconds=60.0)
    begin(tiny.endpoint(), context, VALIDATIONS - 1)
    assert not checkpoints(context, tiny.endpoint())
    run_job(tiny.endpoint(), context)
    assert "resumed" not in done_of(context, tiny.endpoint())


def test_large_ones_are_written_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(resume_module.time, "monotonic", lambda: now[0])
    kept = Checkpoints("x", JobContext(Store(str(tmp_path)), data=None, checkpoint_seconds=60.0))  # type: ignore[arg-type]

    def slow(*_: object) -> None:
        now[0] += 30.0

    monkeypatch.setattr(kept.store, "publish_directory", slow)
    dues = []
    for passed in (59.0, 1.0):
        now[0] += passed
        dues.append(kept.is_due)
    kept.write(Checkpoint({"steps": 1}, [], {}))
    for passed in (599.0, 1.0):
        now[0] += passed
        dues.append(kept.is_due)
    assert dues == [False, True, False, True], "30 s of writing are a twentieth of 600 s"


def test_in_an_object_store(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    job = tiny.endpoint()
    local = into(tiny, tmp_path / "local")
    store = Store.from_filesystem(pyarrow.fs._MockFileSystem(), "bucket/store")
    encoder = store.encoder_path(tiny.encoder().id)
    store.publish_directory(Path(local.store.uri) / encoder, encoder, {})
    context = replace(local, store=store, checkpoint_seconds=0.0)
    begin(job, context, 3)
    cached = set((tmp_path / "cache").rglob("*"))
    run_job(job, context)
    for name, expected in content(local, job, tiny.root).items():
        assert store.read_bytes(f"endpoints/{job.id}/{name}") == expected
    assert set((tmp_path / "cache").rglob("*")) == cached, "checkpoints are not kept in the cache"


def test_what_a_finished_one_left_is_removed_and_no_other(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.drop_checkpoints({"finished"})
    for name in ("finished", "under-way"):
        store.write_json(f"{store.checkpoints_path(name)}/00000001-aa/DONE.json", {})
    store.drop_checkpoints({"finished", "without"})
    assert store.names("checkpoints") == ["under-way"]


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from tiny import make_tiny
from xltray.finetune import finetune
tiny = make_tiny(Path(sys.argv[1]))
context = replace(tiny.context, checkpoint_seconds=0.0)
for number, _ in enumerate(finetune(tiny.endpoint(), context), 1):
    print(number, flush=True)
"""


@pytest.mark.slow
def test_killed_with_a_real_signal(tiny: Tiny, tmp_path: Path) -> None:
    job, context = tiny.endpoint(), context_for(tiny, tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 3:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    begin_time = time.monotonic()
    progress = run_job(job, context)
    assert 1 < len(progress) < VALIDATIONS
    assert content(context, job) == content(context, job, tiny.root)
    assert done_of(context, job)["seconds"] > time.monotonic() - begin_time, "of both processes"
