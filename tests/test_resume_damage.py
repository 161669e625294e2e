"""Checkpoints of a fine-tuning that are damaged, or cannot be written or read for a while."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.fs
import pytest
from made_resume import VALIDATIONS, begin, checkpoints, content, context_for, cut, flip
from tiny import Tiny, run_job

from xltray.context import JobContext
from xltray.errors import StoreError
from xltray.finetune import finetune
from xltray.nn import weight_file
from xltray.resume import Checkpoint, Checkpoints
from xltray.store import Store


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


def test_a_temporary_disk_that_is_full_costs_no_result(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job, context = tiny.endpoint(), context_for(tiny, tmp_path)
    write, steps = weight_file.save_file, finetune(job, context)
    next(steps)

    def full(tensors: Any, path: Path) -> None:
        # What the library says of a folder that is not there; of a full disk it says the same.
        write(tensors, path.parent / "absent" / path.name)

    monkeypatch.setattr(weight_file, "save_file", full)
    next(steps)
    monkeypatch.setattr(weight_file, "save_file", write)
    for _ in steps:
        pass
    assert content(context, job) == content(context, job, tiny.root)
    assert "no checkpoint after step 2: " in caplog.text
    assert "cannot be written" in caplog.text


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
