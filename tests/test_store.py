"""Paths, commits and completeness, on disk and on a file system that is not local."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.fs
import pytest

from xltray import files
from xltray.errors import DamagedError, StoreError
from xltray.jobs import EncoderRef, FinetuneJob, Job, LanguageData, PretrainJob, SurfaceJob
from xltray.spec import FinetuneSpec, PretrainSpec
from xltray.store import Store

TABLE = pa.table({"x": [1, 2, 3]})


class Killed(BaseException):
    """Stands for the process's death."""


@pytest.fixture(params=["disk", "elsewhere", pytest.param("s3", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return Store(str(tmp_path / "store"))
    if request.param == "s3":
        return Store(f"{request.getfixturevalue('s3_bucket')}/{tmp_path.name}/store")
    return Store.from_filesystem(pyarrow.fs._MockFileSystem(), "bucket/store")


@pytest.fixture
def disk(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture(params=["pretence", pytest.param("s3", marks=pytest.mark.slow)])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if request.param == "s3":
        return Store(f"{request.getfixturevalue('s3_bucket')}/{tmp_path.name}/store")
    return Store.from_filesystem(pyarrow.fs._MockFileSystem(), "bucket/store")


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


def every_file(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


class TestOpening:
    def test_a_relative_path_becomes_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        store = Store("results/x")
        monkeypatch.chdir("/")
        store.write_bytes("a", b"1")
        assert store.uri == str(tmp_path / "results" / "x")
        assert (tmp_path / "results" / "x" / "a").read_bytes() == b"1"

    def test_home_and_file_uri(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        Store("~/s").write_bytes("a", b"1")
        assert Store(f"file://{tmp_path}/s").read_bytes("a") == b"1"

    @pytest.mark.parametrize("uri", ["nosuch://bucket/x", "s3:/bucket/x", "C:/x", "file:x"])
    def test_a_bad_uri_is_explained(self, uri: str) -> None:
        with pytest.raises(StoreError, match=r"Give `storage` a path, or a URI such as s3://") as caught:
            Store(uri)
        assert uri in str(caught.value)

    def test_messages_hide_passwords(self) -> None:
        with pytest.raises(StoreError) as caught:
            Store("nosuch://key:secret@bucket/x")
        assert "secret" not in str(caught.value)
        assert "bucket/x" in str(caught.value)


class TestPaths:
    def test_where_everything_lies(self, disk: Store) -> None:
        job = cell(encoder="xlmr-large", task="ner")
        assert disk.encoder_path("tiny-1234") == "encoders/tiny-1234"
        assert disk.endpoint_path("pos-en-1234") == "endpoints/pos-en-1234"
        assert disk.surface_path(job) == f"surfaces/encoder=xlmr-large/task=ner/{job.id}.parquet"
        assert disk.geometry_path(job) == f"geometry/encoder=xlmr-large/task=ner/{job.id}.parquet"
        assert disk.parts_path(job) == f"surfaces/encoder=xlmr-large/task=ner/_{job.id}.parts"
        assert disk.sweep_path("full") == "sweeps/full"


class TestWritable:
    def test_leaves_nothing_behind(self, store: Store) -> None:
        store.check_writable()
        assert store.names("") == []

    def test_leaves_nothing_behind_on_disk(self, disk: Store) -> None:
        disk.check_writable()
        assert every_file(Path(disk.uri)) == []

    def test_a_file_in_the_way_is_explained(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        for place in (tmp_path / "file", tmp_path / "file" / "deeper"):
            with pytest.raises(StoreError, match="A file lies where a folder is needed") as caught:
                Store(str(place)).check_writable()
            assert str(place) in str(caught.value)

    def test_a_refusal_is_explained(self, disk: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(disk, "_fs", FileSystem(disk._fs, create_dir=refuse))
        with pytest.raises(StoreError, match=r"Permission denied.* Ask for access"):
            disk.check_writable()


class FileSystem:
    """A file system with some methods replaced."""

    def __init__(self, inner: Any, **replaced: Any) -> None:
        self._inner, self._replaced = inner, replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced.get(name) or getattr(self._inner, name)


class TestFiles:
    def test_bytes(self, store: Store) -> None:
        assert not store.exists("a/b")
        store.write_bytes("a/b", b"old")
        store.write_bytes("a/b", b"new")
        assert store.read_bytes("a/b") == b"new"
        assert store.exists("a/b")
        assert store.exists("a")

    def test_names_that_look_compressed_are_left_alone(self, store: Store) -> None:
        store.write_bytes("a.gz", b"plain")
        assert store.read_bytes("a.gz") == b"plain"

    def test_json(self, store: Store) -> None:
        value = {"b": [1, None, "ü"], "a": 0.1}
        store.write_json("x.json", value)
        assert store.read_json("x.json") == value
        with pytest.raises(ValueError, match="not JSON compliant"):
            store.write_json("x.json", float("nan"))

    def test_broken_json_is_explained(self, store: Store) -> None:
        store.write_bytes("x.json", b"{")
        with pytest.raises(StoreError, match=r"x\.json in .* is not JSON"):
            store.read_json("x.json")

    def test_table_keeps_schema_and_gains_no_columns_from_its_path(self, store: Store) -> None:
        field = pa.field("x", pa.int32(), nullable=False, metadata={"description": "d"})
        table = pa.table({"x": [1, 2]}, schema=pa.schema([field], metadata={"k": "v"}))
        store.write_table("encoder=a/task=b/c.parquet", table)
        found = store.read_table("encoder=a/task=b/c.parquet")
        assert found.equals(table)
        assert not found.schema.field("x").nullable
        assert found.schema.field("x").metadata[b"description"] == b"d"
        assert found.schema.metadata == {b"k": b"v"}

    def test_what_is_absent_or_damaged_is_explained(self, store: Store) -> None:
        for read in (store.read_bytes, store.read_json, store.read_table, store.local_directory):
            with pytest.raises(StoreError, match=r"cannot read a/b.*Run the sweep again"):
                read("a/b")
        store.write_bytes("a/b", b"no Parquet")
        with pytest.raises(StoreError, match="The file is damaged"):
            store.read_table("a/b")

    def test_names(self, store: Store) -> None:
        assert store.names("a") == []
        for path in ("a/2", "a/1", "a/deep/3"):
            store.write_bytes(path, b"")
        assert store.names("a") == ["1", "2", "deep"]

    def test_delete(self, store: Store) -> None:
        for path in ("a/1", "a/deep/2", "b"):
            store.write_bytes(path, b"")
        store.delete("b")
        store.delete("a")
        store.delete("absent")
        assert [store.exists(path) for path in ("a", "a/1", "a/deep/2", "b")] == [False] * 4


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

    def test_a_failed_overwrite_keeps_the_old_content(
        self, disk: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        disk.write_bytes("a", b"old")
        with monkeypatch.context() as patch:
            patch.setattr(disk, "_fs", FileSystem(disk._fs, move=fail))
            with pytest.raises(StoreError, match=r"cannot write a in .*No space left.*Make room where"):
                disk.write_bytes("a", b"new")
        assert disk.read_bytes("a") == b"old"
        assert every_file(Path(disk.uri)) == ["a"]

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
    """A file system that fails, for a moment or for good."""

    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """Seconds that were waited."""
        now = [0.0]
        monkeypatch.setattr(files.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(files.time, "sleep", lambda seconds: now.append(now.pop() + seconds))
        return now

    def failing(self, store: Store, clock: list[float], until: float, error: Exception) -> None:
        """Let every call of the file system fail until so many seconds have passed."""
        inner = store._fs

        def fails(name: str) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                if clock[0] < until:
                    raise error
                return getattr(inner, name)(*arguments, **options)

            return call

        names = ("get_file_info", "open_input_file", "open_output_stream", "delete_file", "create_dir")
        store._fs = FileSystem(inner, **{name: fails(name) for name in names})

    @pytest.mark.parametrize("error", [OSError(5, "Input/output error"), OSError("AWS Error NETWORK")])
    def test_a_minute_is_borne_with(self, disk: Store, clock: list[float], error: Exception) -> None:
        disk.patience = 120.0
        for number in range(1, 6):
            self.failing(disk, clock, 60.0 * number, error)
            if number == 1:
                disk.write_table("a", TABLE)
            elif number == 2:
                assert disk.read_table("a").equals(TABLE)
            elif number == 3:
                assert disk.exists("a")
            elif number == 4:
                assert disk.names("") == ["a"]
            else:
                disk.delete("a")
            assert 60.0 * number <= clock[0] < 60.0 * number + files.LONGEST_PAUSE_SECONDS
        assert disk.names("") == []

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

    @pytest.mark.parametrize(
        ("error", "may_pass"),
        [(OSError(5, "Input/output error"), True), (OSError(28, "No space left"), False)],
    )
    def test_the_error_says_whether_it_may_pass(
        self, disk: Store, clock: list[float], error: Exception, may_pass: bool
    ) -> None:
        self.failing(disk, clock, 1e9, error)
        with pytest.raises(StoreError) as caught:
            disk.write_bytes("a", b"x")
        assert caught.value.may_pass is may_pass
        # As it comes out of a worker.
        assert pickle.loads(pickle.dumps(caught.value)).may_pass is may_pass

    def test_more_is_not(self, disk: Store, clock: list[float]) -> None:
        disk.patience = 120.0
        self.failing(disk, clock, 1e9, OSError(5, "Input/output error"))
        with pytest.raises(StoreError, match=r"cannot read a in the store .*Input/output error"):
            disk.read_bytes("a")
        assert 90.0 < clock[0] <= 120.0

    @pytest.mark.parametrize(
        "error",
        [
            OSError(28, "No space left on device"),
            PermissionError(13, "no"),
            OSError("AWS Error ACCESS_DENIED"),
        ],
    )
    def test_what_waiting_does_not_help_is_told_at_once(
        self, disk: Store, clock: list[float], error: Exception
    ) -> None:
        disk.patience = 120.0
        self.failing(disk, clock, 1e9, error)
        with pytest.raises(StoreError, match="cannot write a"):
            disk.write_bytes("a", b"x")
        assert clock[0] == 0.0

    def test_without_patience_all_is_told_at_once(self, disk: Store, clock: list[float]) -> None:
        self.failing(disk, clock, 1e9, OSError(5, "Input/output error"))
        with pytest.raises(StoreError):
            disk.exists("a")
        assert clock[0] == 0.0

    def test_a_full_disk_leaves_what_was_there_and_no_half(
        self, disk: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disk.write_bytes("a", b"whole")
        inner = disk._fs

        class Full(BytesIO):
            def __init__(self, place: str) -> None:
                super().__init__()
                self.place = Path(place)

            def write(self, data: Any) -> int:
                self.place.write_bytes(data[: len(data) // 2])
                raise OSError(28, "No space left on device")

        disk._fs = FileSystem(inner, open_output_stream=lambda place, compression: Full(place))
        with pytest.raises(StoreError, match=r"No space left on device. Make room where the store is"):
            disk.write_bytes("a", b"much longer")
        assert disk.read_bytes("a") == b"whole"
        assert [path.name for path in Path(disk.uri).iterdir()] == ["a"]


def test_bytes_written_are_counted(store: Store, folder: Path) -> None:
    assert store.written == 0
    store.write_bytes("a/b", b"12345")
    assert store.written == 5
    store.publish_directory(folder, "endpoints/x", {})
    marker = len(store.read_bytes("endpoints/x/DONE.json"))
    assert (
        store.written == 5 + sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) + marker
    )
