"""Paths, commits and completeness, on disk and on a file system that is not local."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_stores import TABLE, FileSystem, Killed, cell, disk, endpoint, every_file, folder, store

from xltray.jobs import Job, PretrainJob, SurfaceJob
from xltray.spec import PretrainSpec
from xltray.store import Store

# Fixtures: pytest looks for them in this module.
__all__ = ["disk", "folder", "store"]


def pretraining(seed: int = 0) -> PretrainJob:
    return PretrainJob(name="tiny", encoder=PretrainSpec(languages=("en",), seed=seed), text={"en": "sha"})


class TestPaths:
    def test_where_everything_lies(self, disk: Store) -> None:
        job = cell(encoder="xlmr-large", task="ner")
        assert disk.encoder_path("tiny-1234") == "encoders/tiny-1234"
        assert disk.endpoint_path("pos-en-1234") == "endpoints/pos-en-1234"
        assert disk.surface_path(job) == f"surfaces/encoder=xlmr-large/task=ner/{job.id}.parquet"
        assert disk.geometry_path(job) == f"geometry/encoder=xlmr-large/task=ner/{job.id}.parquet"
        assert disk.parts_path(job) == f"surfaces/encoder=xlmr-large/task=ner/_{job.id}.parts"
        assert disk.sweep_path("full") == "sweeps/full"


class TestAtomicity:
    def test_a_writer_killed_before_the_rename_leaves_nothing_visible(
        self, disk: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(*_: Any, **__: Any) -> None:
            raise Killed

        job = cell()
        with monkeypatch.context() as patch:
            patch.setattr(disk, "_fs", FileSystem(disk._fs, move=die))
            # A process that dies does not tidy up either.
            patch.setattr(Path, "unlink", die)
            with pytest.raises(Killed):
                disk.write_table(disk.surface_path(job), TABLE)
        folder = disk.surface_path(job).rpartition("/")[0]
        assert len(every_file(Path(disk.uri))) == 1
        assert disk.names(folder) == []
        assert not disk.exists(disk.surface_path(job))
        assert disk.done_ids([job]) == set()

        # Readers of the whole table do not see it either.
        disk.write_table(disk.surface_path(cell("fr")), TABLE)
        assert len(pd.read_parquet(f"{disk.uri}/surfaces")) == len(TABLE)

    def test_parts_are_invisible_to_pandas(self, disk: Store) -> None:
        job = cell()
        disk.write_table(disk.surface_path(cell("fr")), TABLE)
        disk.write_table(f"{disk.parts_path(job)}/0.parquet", TABLE)
        assert len(pd.read_parquet(f"{disk.uri}/surfaces")) == len(TABLE)
        # The same rows under a name without the underscore would show.
        disk.write_table(f"{disk.parts_path(job).replace('/_', '/')}/0.parquet", TABLE)
        assert len(pd.read_parquet(f"{disk.uri}/surfaces")) == 2 * len(TABLE)

    def test_deleting_a_folder_starts_with_its_marker(
        self, disk: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(*_: Any, **__: Any) -> None:
            raise Killed

        job = endpoint("en")
        disk.publish_directory(folder, disk.endpoint_path(job.id), {})
        with monkeypatch.context() as patch:
            patch.setattr(disk, "_fs", FileSystem(disk._fs, delete_dir=die))
            with pytest.raises(Killed):
                disk.delete(disk.endpoint_path(job.id))
        assert disk.exists(f"{disk.endpoint_path(job.id)}/model.safetensors")
        assert not disk.is_done(job)


class TestDone:
    def test_a_surface_needs_its_geometry(self, store: Store) -> None:
        job = cell()
        assert not store.is_done(job)
        store.write_table(store.surface_path(job), TABLE)
        assert not store.is_done(job)
        store.write_table(store.geometry_path(job), TABLE)
        assert store.is_done(job)

    @pytest.mark.parametrize("seed", range(5))
    def test_many_at_once_is_the_same_as_one_by_one(self, store: Store, seed: int) -> None:
        jobs: list[Job] = [pretraining(number) for number in range(3)]
        jobs += [cell(target, encoder=encoder) for target in ("de", "fr", "hi") for encoder in ("a", "b")]
        jobs += [endpoint(language, task=task) for language in ("en", "de") for task in ("pos", "ner")]
        chance = random.Random(seed)
        expected = set()
        for job in jobs:
            wanted = list(store._results(job))
            there = chance.sample(wanted, chance.randint(0, len(wanted)))
            for path in there:
                if path.endswith(".parquet"):
                    store.write_table(path, TABLE)
                else:
                    store.write_bytes(path, b"")
            # What must not count: parts, an endpoint without its marker.
            if isinstance(job, SurfaceJob):
                store.write_bytes(f"{store.parts_path(job)}/0.parquet", b"")
            else:
                store.write_bytes(wanted[0].replace("DONE.json", "model.safetensors"), b"")
            if len(there) == len(wanted):
                expected.add(job.id)
        assert store.done_ids(jobs) == expected
        assert {job.id for job in jobs if store.is_done(job)} == expected

    @pytest.mark.parametrize("which", ["surface", "geometry"])
    @pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
    def test_what_is_damaged_does_not_count(self, store: Store, which: str, damage: str) -> None:
        jobs = [cell(), cell("fr")]
        for job in jobs:
            store.write_table(store.surface_path(job), TABLE)
            store.write_table(store.geometry_path(job), TABLE)
        assert store.look_up(jobs) == ({job.id for job in jobs}, {})
        path = store.surface_path(jobs[0]) if which == "surface" else store.geometry_path(jobs[0])
        data = store.read_bytes(path)
        flipped = data[:20] + bytes([data[20] ^ 1]) + data[21:]
        store.write_bytes(path, {"cut": data[:100], "flip": flipped, "empty": b""}[damage])
        anew = Store.from_filesystem(store._fs, store._root)
        # This store has seen the file whole. Of the same size and second (a bucket's times) it stays so.
        for other in (anew,) if damage == "flip" else (anew, store):
            done, damaged = other.look_up(jobs)
            assert done == {jobs[1].id}
            assert [other.is_done(job) for job in jobs] == [False, True]
            assert list(damaged) == [path]
            assert damaged[path].startswith(f"{path} in the store ")
            assert " is damaged: " in damaged[path]
        store.write_bytes(path, data)
        assert store.look_up(jobs) == ({job.id for job in jobs}, {})

    def test_files_without_checksums_count(self, disk: Store) -> None:
        job = cell()
        for path in (disk.surface_path(job), disk.geometry_path(job)):
            sink = pa.BufferOutputStream()
            pq.write_table(TABLE, sink)
            disk.write_bytes(path, sink.getvalue().to_pybytes())
        assert disk.is_done(job)
        assert disk.done_ids([job]) == {job.id}

    def test_each_file_is_read_once(self, disk: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        jobs, paths = [cell(), cell("fr")], []
        for job in jobs:
            disk.write_table(disk.surface_path(job), TABLE)
            disk.write_table(disk.geometry_path(job), TABLE)
        read = disk.read_bytes
        monkeypatch.setattr(disk, "read_bytes", lambda path: paths.append(path) or read(path))
        for _ in range(3):
            assert len(disk.done_ids(jobs)) == 2
        assert sorted(paths) == sorted(path for job in jobs for path in disk._results(job))

    @pytest.mark.parametrize("name", ["store", "store?token=hunter2"])
    def test_a_file_that_goes_meanwhile_is_not_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        disk, job = Store(str(tmp_path / name)), cell()
        disk.write_table(disk.surface_path(job), TABLE)
        disk.write_table(disk.geometry_path(job), TABLE)
        listing = disk._listing

        def look(path: str, recursive: bool) -> Any:
            found = list(listing(path, recursive))
            if path.startswith("geometry/"):
                disk.delete(disk.geometry_path(job))
            return found

        monkeypatch.setattr(disk, "_listing", look)
        assert disk.done_ids([job]) == set()

    def test_one_listing_a_folder(self, disk: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = []

        def count(selector: Any) -> Any:
            calls.append(selector)
            return inner.get_file_info(selector)

        inner = disk._fs
        monkeypatch.setattr(disk, "_fs", FileSystem(inner, get_file_info=count))
        targets = ("de", "fr", "hi", "ru")
        disk.done_ids([*(cell(target) for target in targets), *(endpoint(target) for target in targets)])
        assert len(calls) == 3

    def test_no_jobs(self, store: Store) -> None:
        assert store.done_ids([]) == set()


def test_bytes_written_are_counted(store: Store, folder: Path) -> None:
    assert store.written == 0
    store.write_bytes("a/b", b"12345")
    assert store.written == 5
    store.publish_directory(folder, "endpoints/x", {})
    marker = len(store.read_bytes("endpoints/x/DONE.json"))
    assert (
        store.written == 5 + sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) + marker
    )
