"""Folders that are published in a store and fetched from it, on disk and elsewhere."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.fs
import pytest
from made_stores import FileSystem, Killed, clock, disk, elsewhere, endpoint, every_file, folder, store

from xltray import files
from xltray.errors import DamagedError, StoreError
from xltray.store import Store

# Fixtures: pytest looks for them in this module.
__all__ = ["clock", "disk", "elsewhere", "folder", "store"]


class TestPublishing:
    def test_everything_arrives_and_the_marker_lists_it(self, store: Store, folder: Path) -> None:
        job = endpoint("en")
        path = store.endpoint_path(job.id)
        store.publish_directory(folder, path, {"step": 3})
        assert store.read_bytes(f"{path}/tokenizer/vocab.txt") == b"a\nb\n"
        assert store.read_bytes(f"{path}/empty") == b""
        done = store.read_json(f"{path}/DONE.json")
        assert done["step"] == 3
        assert {name: file["size"] for name, file in done["files"].items()} == {
            "model.safetensors": 7,
            "tokenizer/vocab.txt": 4,
            "empty": 0,
        }
        assert done["files"]["empty"]["sha256"].startswith("e3b0c44298fc1c14")
        assert store.is_done(job)

    def test_a_marker_from_another_store_is_not_carried_along(self, store: Store, folder: Path) -> None:
        (folder / "DONE.json").write_text('{"step": 99}')
        store.publish_directory(folder, "endpoints/x", {"step": 3})
        done = store.read_json("endpoints/x/DONE.json")
        assert done["step"] == 3
        assert "DONE.json" not in done["files"]

    @pytest.mark.parametrize("again", [False, True])
    def test_cut_short_it_does_not_count(
        self, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, again: bool
    ) -> None:
        job = endpoint("en")
        path = store.endpoint_path(job.id)
        if again:
            store.publish_directory(folder, path, {})
            assert store.is_done(job)
        copied: Iterator[int] = iter(range(9))
        whole = store._copy_in

        def die_at_the_second(source: Path, place: str) -> None:
            if next(copied) == 1:
                raise Killed
            whole(source, place)

        monkeypatch.setattr(store, "_copy_in", die_at_the_second)
        with pytest.raises(Killed):
            store.publish_directory(folder, path, {})
        assert next(copied) == 2
        assert not store.is_done(job)

    def test_an_empty_folder_is_refused(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="found no files"):
            store.publish_directory(tmp_path / "absent", "endpoints/x", {})
        assert not store.exists("endpoints/x")


class TestLocalDirectory:
    def test_on_disk_it_is_the_folder_itself(self, disk: Store, folder: Path) -> None:
        disk.publish_directory(folder, "endpoints/x", {})
        assert disk.local_directory("endpoints/x") == Path(disk.uri) / "endpoints" / "x"

    def test_from_elsewhere_it_is_downloaded_once(
        self, elsewhere: Store, folder: Path, tmp_path: Path
    ) -> None:
        elsewhere.publish_directory(folder, "endpoints/x", {"step": 3})
        found = elsewhere.local_directory("endpoints/x")
        assert found.is_relative_to(tmp_path / "cache" / "xltray")
        assert found.name == "x"
        assert every_file(found) == ["DONE.json", *every_file(folder)]
        assert (found / "model.safetensors").read_bytes() == b"weights"
        assert json.loads((found / "DONE.json").read_bytes())["step"] == 3
        elsewhere.delete("endpoints/x/model.safetensors")
        assert elsewhere.local_directory("endpoints/x") == found

    def test_made_again_with_other_content_it_is_fetched_again(self, elsewhere: Store, folder: Path) -> None:
        elsewhere.publish_directory(folder, "endpoints/x", {})
        elsewhere.local_directory("endpoints/x")
        (folder / "model.safetensors").write_bytes(b"other weights")
        elsewhere.publish_directory(folder, "endpoints/x", {})
        assert (
            elsewhere.local_directory("endpoints/x") / "model.safetensors"
        ).read_bytes() == b"other weights"

    def test_a_damaged_file_is_refused(self, elsewhere: Store, folder: Path, tmp_path: Path) -> None:
        elsewhere.publish_directory(folder, "endpoints/x", {})
        elsewhere.write_bytes("endpoints/x/model.safetensors", b"damaged")
        with pytest.raises(StoreError, match="has changed since it was written"):
            elsewhere.local_directory("endpoints/x")
        assert every_file(tmp_path / "cache") == []

    def test_cut_short_it_is_absent(
        self, elsewhere: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere.publish_directory(folder, "endpoints/x", {})
        elsewhere.delete("endpoints/x/tokenizer/vocab.txt")
        with pytest.raises(StoreError, match="cannot download endpoints/x"):
            elsewhere.local_directory("endpoints/x")
        elsewhere.write_bytes("endpoints/x/tokenizer/vocab.txt", b"a\nb\n")
        assert (elsewhere.local_directory("endpoints/x") / "tokenizer" / "vocab.txt").exists()

    def test_two_processes_may_fetch_at_once(
        self, elsewhere: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere.publish_directory(folder, "endpoints/x", {})
        rename = Path.rename

        def other_was_faster(self: Path, target: Path) -> Path:
            monkeypatch.setattr(Path, "rename", rename)
            elsewhere.local_directory("endpoints/x")
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", other_was_faster)
        found = elsewhere.local_directory("endpoints/x")
        assert every_file(found) == ["DONE.json", *every_file(folder)]
        assert list(found.parent.iterdir()) == [found]


class TestFaults:
    """A file system that fails for a moment, and folders that are damaged."""

    @pytest.mark.parametrize("elsewhere", ["pretence"], indirect=True)
    def test_a_minute_is_borne_with_by_folders(
        self, elsewhere: Store, folder: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere.publish_directory(folder, "endpoints/x", {})
        elsewhere.patience = 120.0
        copy = pyarrow.fs.copy_files
        tries = []

        def fails(*arguments: Any) -> None:
            tries.append(arguments)
            if clock[0] < 60.0 and len(tries) > 1:
                raise OSError("AWS Error NETWORK")
            copy(*arguments)

        monkeypatch.setattr(pyarrow.fs, "copy_files", fails)
        found = elsewhere.local_directory("endpoints/x")
        assert every_file(found) == ["DONE.json", *every_file(folder)]
        assert [path.name for path in found.parent.iterdir()] == ["x"]
        assert 60.0 <= clock[0] < 60.0 + files.LONGEST_PAUSE_SECONDS
        inner = elsewhere._fs
        calls = iter([*[OSError("AWS Error NETWORK")] * 3])

        def get_file_info(places: Any) -> Any:
            if isinstance(places, list) and (error := next(calls, None)):
                raise error
            return inner.get_file_info(places)

        elsewhere._fs = FileSystem(inner, get_file_info=get_file_info)
        elsewhere.check_sizes("endpoints/x")
        assert next(calls, None) is None

    @pytest.mark.parametrize("elsewhere", ["pretence"], indirect=True)
    def test_damage_is_told_at_once(self, elsewhere: Store, folder: Path, clock: list[float]) -> None:
        elsewhere.publish_directory(folder, "endpoints/x", {})
        elsewhere.patience = 120.0
        elsewhere.write_bytes("endpoints/x/model.safetensors", b"damaged")
        with pytest.raises(DamagedError):
            elsewhere.local_directory("endpoints/x")
        assert clock[0] == 0.0

    @pytest.mark.parametrize("elsewhere", ["pretence"], indirect=True)
    def test_a_full_disk_here_is_told_apart_from_one_where_the_store_is(
        self, elsewhere: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere.publish_directory(folder, "endpoints/x", {})

        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(pyarrow.fs, "copy_files", full)
        with pytest.raises(StoreError, match=r"Make room on this machine, in .*XDG_CACHE_HOME") as caught:
            elsewhere.local_directory("endpoints/x")
        assert not caught.value.may_pass
