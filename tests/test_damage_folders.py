"""Published folders that are not what was written: found, named, and set aside."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.fs
import pytest
from made_damage import cut, flip

from xltray.errors import DamagedError, StoreError
from xltray.store import Store

Damage = Callable[[Store, str], None]


def lose(store: Store, path: str) -> None:
    store.delete(path)


@pytest.fixture(params=["disk", "elsewhere"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "model.safetensors").write_bytes(b"weights of a model")
    elsewhere = Store.from_filesystem(pyarrow.fs._MockFileSystem(), "bucket/store")
    store = elsewhere if request.param == "elsewhere" else Store(str(tmp_path / "store"))
    store.publish_directory(tmp_path / "made", "endpoints/x", {})
    return store


WEIGHTS = "endpoints/x/model.safetensors"


def test_what_is_whole(store: Store) -> None:
    store.check_sizes("endpoints/x")
    assert (store.intact_directory("endpoints/x") / "model.safetensors").read_bytes() == b"weights of a model"


@pytest.mark.parametrize(
    ("damage", "found"),
    [(flip, "found SHA-256 "), (cut, "found 17 bytes, expected 18 bytes"), (lose, "model.safetensors")],
)
def test_what_is_not_is_named(store: Store, damage: Damage, found: str) -> None:
    damage(store, WEIGHTS)
    with pytest.raises(StoreError) as caught:
        store.intact_directory("endpoints/x")
    assert WEIGHTS in str(caught.value) or damage is lose
    assert found in str(caught.value)
    if damage is not lose or store.uri.startswith("/"):
        assert isinstance(caught.value, DamagedError)
        assert "Delete endpoints/x from the store and run the sweep again" in str(caught.value)
    if damage is flip:
        store.check_sizes("endpoints/x")
    else:
        with pytest.raises(DamagedError, match=f"{WEIGHTS} .*expected 18 bytes"):
            store.check_sizes("endpoints/x")


ENTRY = '{"files": {"model.safetensors": %s}}'


@pytest.mark.parametrize(
    "marker",
    ["", '{"files": {"mod', "[]", "{}", '{"files": []}', ENTRY % "18", ENTRY % '{"sha256": "0"}'],
)
def test_a_marker_that_is_not_what_was_written(store: Store, tmp_path: Path, marker: str) -> None:
    store.write_bytes("endpoints/x/DONE.json", marker.encode())
    for read in (
        store.check_sizes,
        store.intact_directory,
        lambda path: store.fetch_directory(path, tmp_path / "copy"),
        lambda path: store.recorded_hash(path, "model.safetensors"),
    ):
        with pytest.raises(DamagedError, match=r"endpoints/x/DONE.json in the store .*found no "):
            read("endpoints/x")


@pytest.mark.parametrize("store", ["elsewhere"], indirect=True)
def test_a_damaged_copy_is_fetched_again(store: Store) -> None:
    copy = store.local_directory("endpoints/x") / "model.safetensors"
    copy.write_bytes(b"weights of a modem")
    assert (store.intact_directory("endpoints/x") / "model.safetensors").read_bytes() == b"weights of a model"


@pytest.mark.parametrize("store", ["elsewhere"], indirect=True)
def test_a_damaged_copy_that_another_process_removes_is_fetched_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, compare = store.local_directory("endpoints/x"), store._compare
    (copy / "model.safetensors").write_bytes(b"weights of a modem")

    def compare_and_remove(path: str, files: Any, folder: Path) -> None:
        try:
            compare(path, files, folder)
        except DamagedError:
            shutil.rmtree(folder)
            raise

    monkeypatch.setattr(store, "_compare", compare_and_remove)
    assert store.intact_directory("endpoints/x") == copy
    assert (copy / "model.safetensors").read_bytes() == b"weights of a model"
    assert [path.name for path in copy.parent.iterdir()] == ["x"]


def test_set_aside_it_counts_no_more_until_it_is_made_anew(store: Store, tmp_path: Path) -> None:
    store.set_aside(DamagedError("endpoints/x", "bits flipped"))
    assert not store.exists("endpoints/x/DONE.json")
    assert store.read_json("endpoints/x/BROKEN.json") == {"problem": "bits flipped"}
    store.publish_directory(tmp_path / "made", "endpoints/x", {})
    assert store.exists("endpoints/x/DONE.json")
    assert not store.exists("endpoints/x/BROKEN.json")


def test_the_error_comes_whole_out_of_another_process() -> None:
    error = pickle.loads(pickle.dumps(DamagedError("endpoints/x", "bits flipped")))
    assert (error.folder, error.problem) == ("endpoints/x", "bits flipped")
    assert str(error).startswith("bits flipped. Delete endpoints/x from the store")
