"""A fine-tuning that was cut short goes on from its last checkpoint and ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.fs
import pytest
import torch
from made_finetune import into, kept, scripted, with_recipe
from tiny import Tiny, run_job

import xltray.resume as resume_module
from xltray.context import JobContext
from xltray.errors import StoreError
from xltray.finetune import finetune
from xltray.jobs import FinetuneJob
from xltray.resume import Checkpoint, Checkpoints, Origin, checksum
from xltray.store import Store

VALIDATIONS = 6


def context_for(tiny: Tiny, root: Path, seconds: float = 0.0) -> JobContext:
    return replace(into(tiny, root), checkpoint_seconds=seconds)


def begin(job: FinetuneJob, context: JobContext, validations: int) -> None:
    """Fine-tune until so many validations are done, and then no more: what a killed process leaves."""
    steps = finetune(job, context)
    for _ in range(1 + validations):
        next(steps)
    steps.close()


def content(context: JobContext, job: FinetuneJob, root: Path | None = None) -> dict[str, bytes]:
    folder = Path(root or context.store.uri) / "endpoints" / job.id
    return {name: (folder / name).read_bytes() for name in ("model.safetensors", "history.parquet")}


def done_of(context: JobContext, job: FinetuneJob) -> Any:
    return context.store.read_json(f"endpoints/{job.id}/DONE.json")


def checkpoints(context: JobContext, job: FinetuneJob) -> list[str]:
    return context.store.names(context.store.checkpoints_path(job.id))


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


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("name", ["weights.safetensors", "history.parquet", "DONE.json"])
def test_a_damaged_checkpoint_is_passed_over(tiny: Tiny, tmp_path: Path, damage: Any, name: str) -> None:
    job, context = tiny.endpoint(), context_for(tiny, tmp_path)
    begin(job, context, 2)
    [last] = checkpoints(context, job)
    damage(tmp_path / "checkpoints" / job.id / last / name)
    assert len(run_job(job, context)) == 1 + VALIDATIONS, "from the beginning"
    assert content(context, job) == content(context, job, tiny.root)
    assert not context.store.exists("checkpoints/" + job.id)


def test_killed_while_it_writes_one_it_has_the_one_before(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, context = tiny.endpoint(), context_for(tiny, tmp_path)
    begin(job, context, 1)
    [first] = checkpoints(context, job)
    whole = context.store.write_json

    def die(path: str, value: Any) -> None:
        raise KeyboardInterrupt

    steps = finetune(job, context)
    next(steps)
    monkeypatch.setattr(context.store, "write_json", die)
    with pytest.raises(KeyboardInterrupt):
        next(steps)
    monkeypatch.setattr(context.store, "write_json", whole)
    assert len(checkpoints(context, job)) == 2
    assert run_job(job, context)[0].done == int(first.split("-")[0])
    assert content(context, job) == content(context, job, tiny.root)


def test_a_checkpoint_that_cannot_be_written_costs_no_result(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job, context = tiny.endpoint(), context_for(tiny, tmp_path)
    publish = context.store.publish_directory

    def full(local: Path, path: str, done: Mapping[str, Any]) -> None:
        if path.startswith("checkpoints/"):
            context.store.write_bytes(f"{path}/weights.safetensors", b"half")
            raise StoreError("no space left")
        assert not checkpoints(context, job), "half a checkpoint takes no room"
        publish(local, path, done)

    monkeypatch.setattr(context.store, "publish_directory", full)
    run_job(job, context)
    assert content(context, job) == content(context, job, tiny.root)
    assert "no checkpoint after step 2: no space left" in caplog.text


def test_a_store_that_stalls_costs_no_result(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Checkpoints("x", context_for(tiny, tmp_path))

    def stalls(path: str) -> list[str]:
        raise StoreError(f"cannot list {path}")

    monkeypatch.setattr(kept.store, "names", stalls)
    kept.write(Checkpoint({"steps": 1}, [], {}))
    assert "no checkpoint after step 1: cannot list checkpoints/x" in caplog.text


def test_a_good_checkpoint_is_not_passed_over_for_a_store_that_stalls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Checkpoints("x", JobContext(Store(str(tmp_path)), data=None, checkpoint_seconds=0.0))  # type: ignore[arg-type]
    kept.write(Checkpoint({"steps": 1, "initial": "a", "resumed": []}, [], {}))
    copy = pyarrow.fs.copy_files

    def stalls(*_: object) -> None:
        raise OSError("AWS Error NETWORK")

    monkeypatch.setattr(pyarrow.fs, "copy_files", stalls)
    with pytest.raises(StoreError, match="AWS Error NETWORK") as caught:
        kept.latest("a")
    assert caught.value.may_pass
    monkeypatch.setattr(pyarrow.fs, "copy_files", copy)
    kept.store.write_bytes(f"{kept.folder}/00000002-half/weights.safetensors", b"half")
    kept.store.write_bytes(f"{kept.folder}/00000003-file", b"")
    found = kept.latest("a")
    assert found is not None
    assert found.checkpoint.state == {"steps": 1, "initial": "a", "resumed": []}
    # What was cut off is not waited for, as other files that are not there are.
    kept.store.absence_patience = 1e9
    assert kept.latest("a") is not None


def last_marker(job: FinetuneJob, context: JobContext, *, validations: int) -> tuple[str, Any]:
    """Fine-tune until so many validations are done; return its checkpoint's marker, path and content."""
    begin(job, context, validations)
    [last] = checkpoints(context, job)
    marker = f"checkpoints/{job.id}/{last}/DONE.json"
    return marker, context.store.read_json(marker)


def test_one_from_other_weights_is_not_gone_on_from(tiny: Tiny, tmp_path: Path) -> None:
    job, context = tiny.endpoint(), context_for(tiny, tmp_path)
    marker, done = last_marker(job, context, validations=2)
    done["state"]["initial"] = "0" * 64
    context.store.write_json(marker, done | {"sum": checksum(done)})
    assert len(run_job(job, context)) == 1 + VALIDATIONS
    assert content(context, job) == content(context, job, tiny.root)


def test_one_of_another_job_is_not_gone_on_from(
    tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = context_for(tiny, tmp_path)
    other, job = with_recipe(tiny.endpoint(), learning_rate=1e-3), tiny.endpoint()
    begin(other, context, 2)
    (tmp_path / "checkpoints" / other.id).rename(tmp_path / "checkpoints" / job.id)
    assert len(run_job(job, context)) == 1 + VALIDATIONS
    assert content(context, job) == content(context, job, tiny.root)
    assert f"found one of job {other.id}, expected one of {job.id}" in caplog.text


def test_one_from_another_device_says_so_and_scores_its_best_again(tiny: Tiny, tmp_path: Path) -> None:
    job, context = tiny.endpoint(), context_for(tiny, tmp_path)
    marker, done = last_marker(job, context, validations=4)
    done["origin"]["device"] = "cuda: another"
    best = done["state"]["validations"]
    # A count that only the other device finds.
    best["best_counts"]["qaa"]["accuracy"][0] += 1000
    context.store.write_json(marker, done | {"sum": checksum(done)})
    run_job(job, context)
    found, undisturbed = done_of(context, job), tiny.done(job)
    [resumed] = found["resumed"]
    assert (resumed["exact"], resumed["from"]["device"]) == (False, "cuda: another")
    assert found["counts"] == undisturbed["counts"]
    # Here the other device is a pretence, so even the bits are the same.
    assert content(context, job) == content(context, job, tiny.root)


def test_where_equal_bits_can_be_expected() -> None:
    here = Origin("cpu", 1, "AVX2", {"torch": "2.13"})
    assert here.repeats(Origin("cpu", 1, "AVX2", {"torch": "2.13"}))
    for other in (
        Origin("cuda: A", 1, "AVX2", {"torch": "2.13"}),
        Origin("cpu", 2, "AVX2", {"torch": "2.13"}),
        Origin("cpu", 1, "AVX512", {"torch": "2.13"}),
        Origin("cpu", 1, "AVX2", {"torch": "2.14"}),
    ):
        assert not here.repeats(other)
    gpu = replace(here, device="cuda: A")
    assert not gpu.repeats(gpu), "sums on a GPU have no fixed order"


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
