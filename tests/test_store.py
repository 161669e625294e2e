"""Paths, commits and completeness, on disk and on a file system that is not local."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import made_stores
import pandas as pd
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from made_stores import TABLE, FileSystem, every_file

from xltray import files
from xltray.errors import DamagedError, StoreError
from xltray.jobs import EncoderRef, FinetuneJob, Job, LanguageData, PretrainJob, SurfaceJob
from xltray.spec import FinetuneSpec, PretrainSpec
from xltray.store import Store

# Fixtures: pytest looks for them in this module.
store, disk, elsewhere, clock = made_stores.store, made_stores.disk, made_stores.elsewhere, made_stores.clock


class Killed(BaseException):
    """Stands for the process's death."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    local = tmp_path / "made"
    (local / "tokenizer").mkdir(parents=True)
    (local / "model.safetensors").write_bytes(b"weights")
    (local / "tokenizer" / "vocab.txt").write_bytes(b"a\nb\n")
    (local / "empty").write_bytes(b"")
    return local


def endpoint(*languages: str, encoder: str = "tiny", task: str = "pos") -> FinetuneJob:
    return FinetuneJob(
        task=task,
        corpus="toy",
        languages=tuple(sorted(languages)),
        seed=0,
        encoder=EncoderRef(name=encoder, content="sha"),
        data={language: LanguageData(train="t", dev="d") for language in languages},
        recipe=FinetuneSpec(),
    )


def cell(target: str = "de", **kind: str) -> SurfaceJob:
    return SurfaceJob(
        source="en",
        target=target,
        source_endpoint=endpoint("en", **kind),
        target_endpoint=endpoint(target, **kind),
        bilingual_endpoint=endpoint("en", target, **kind),
        plane=(Fraction(0), Fraction(1)),
        alphas=(),
        scopes=("all",),
    )


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


def test_bytes_written_are_counted(store: Store, folder: Path) -> None:
    assert store.written == 0
    store.write_bytes("a/b", b"12345")
    assert store.written == 5
    store.publish_directory(folder, "endpoints/x", {})
    marker = len(store.read_bytes("endpoints/x/DONE.json"))
    assert (
        store.written == 5 + sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) + marker
    )
