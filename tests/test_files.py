"""Reading and writing files, on disk and on a file system that is not local, that may fail."""

from __future__ import annotations

import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import made_stores
import pyarrow as pa
import pyarrow.fs
import pytest
from made_stores import TABLE, FileSystem, every_file

from xltray import files
from xltray.errors import StoreError
from xltray.store import Store

# Fixtures: pytest looks for them in this module.
store, disk, clock = made_stores.store, made_stores.disk, made_stores.clock


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

    def test_a_folder_that_comes_while_it_is_listed(self, disk: Store) -> None:
        """pyarrow looks a folder up, finds nothing, and is then told of a folder that it cannot have read."""
        disk.write_json("a/b.json", 1)
        inner, failures = disk._fs, [FileNotFoundError(2, "gone or not yet there")]

        def look(selector: Any) -> Any:
            if failures:
                raise failures.pop()
            return inner.get_file_info(selector)

        racing = Store.from_filesystem(FileSystem(inner, get_file_info=look), disk._root)
        assert racing.names("a") == ["b.json"]

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


@pytest.mark.usefixtures("clock")
class TestFaults:
    """A file system that fails, for a moment or for good."""

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

    def test_what_is_not_there_yet_as_this_machine_sees_it_is_waited_for(
        self, disk: Store, clock: list[float]
    ) -> None:
        disk.write_bytes("a", b"x")
        disk.patience, disk.absence_patience = 120.0, 70.0
        self.failing(disk, clock, 60.0, FileNotFoundError(2, "No such file or directory"))
        assert disk.read_bytes("a") == b"x"
        assert 60.0 <= clock[0] < 70.0
        self.failing(disk, clock, 1e9, FileNotFoundError(2, "No such file or directory"))
        begin = clock[0]
        with pytest.raises(StoreError, match=r"cannot read a in .*No such file") as caught:
            disk.read_bytes("a")
        assert 50.0 < clock[0] - begin <= 70.0
        assert caught.value.may_pass, "a job is tried again"
        # So is it where what was raised has to be hidden.
        hidden = Store(f"{disk.uri}?token=hunter2")
        hidden.absence_patience, begin = 70.0, clock[0]
        with pytest.raises(StoreError, match=r"token=\*\*\*") as caught:
            hidden.read_bytes("a")
        assert 50.0 < clock[0] - begin <= 70.0
        assert caught.value.__cause__ is None
        assert pickle.loads(pickle.dumps(caught.value)).kind is FileNotFoundError
        begin = clock[0]
        with pytest.raises(StoreError, match="cannot write a") as caught:
            disk.write_bytes("a", b"x")
        assert (clock[0], caught.value.may_pass) == (begin, False)

    def test_a_driver_does_not_wait_for_what_is_not_there(self, disk: Store, clock: list[float]) -> None:
        disk.patience = 120.0
        with pytest.raises(StoreError, match="cannot read a"):
            disk.read_bytes("a")
        assert clock[0] == 0.0

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
