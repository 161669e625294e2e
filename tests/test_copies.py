"""Copies of a store's folders make room for new ones."""

from __future__ import annotations

import os
import shutil
import time
from collections import namedtuple
from pathlib import Path

import made_stores
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xltray import copies
from xltray.copies import IN_USE_SECONDS, UNFINISHED_SECONDS, make_room, mark_used
from xltray.store import Store

# Fixtures: pytest looks for them in this module.
elsewhere = made_stores.elsewhere

DONE = "DONE.json"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of copies, on a disk of 1,000 bytes that holds nothing else."""
    folder = tmp_path / "cache" / "xltray"

    fill(folder, 0, monkeypatch)
    return folder


def fill(cache: Path, others: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let others have so many bytes of the disk."""

    def usage(path: Path) -> Usage:
        used = others + sum(file.stat().st_size for file in cache.rglob("weights"))
        return Usage(1000, used, 1000 - used)

    monkeypatch.setattr(shutil, "disk_usage", usage)


def add(cache: Path, name: str, size: int, *, age: float, whole: bool = True) -> Path:
    """Make a copy that was last used ``age`` seconds ago."""
    copy = cache / "store" / "content" / "endpoints" / name
    copy.mkdir(parents=True)
    (copy / "weights").write_bytes(b"x" * size)
    if whole:
        (copy / DONE).touch()
    when = time.time() - age
    os.utime(copy / DONE if whole else copy, (when, when))
    return copy


def names(cache: Path) -> list[str]:
    return sorted(copy.name for copy in cache.glob("*/*/*/*"))


def test_the_longest_unused_goes_first_and_no_more_than_needed(cache: Path) -> None:
    for name, age in (("b", 3000.0), ("c", 5000.0), ("a", 1000.0)):
        add(cache, name, 250, age=age)
    make_room(cache, 150, DONE)
    assert names(cache) == ["a", "b", "c"]
    make_room(cache, 160, DONE)
    assert names(cache) == ["a", "b"]
    make_room(cache, 800, DONE)
    assert names(cache) == []


def test_what_is_in_use_stays_whatever_the_room(cache: Path) -> None:
    add(cache, "used", 500, age=IN_USE_SECONDS - 60)
    used_again = add(cache, "used again", 400, age=IN_USE_SECONDS + 60)
    mark_used(used_again / DONE)
    add(cache, "unused", 50, age=IN_USE_SECONDS + 60)
    make_room(cache, 500, DONE)
    assert names(cache) == ["used", "used again"]


def test_downloads_of_killed_processes_go_and_those_under_way_stay(cache: Path) -> None:
    add(cache, ".x.1.tmp", 400, age=UNFINISHED_SECONDS + 60, whole=False)
    add(cache, ".x.2.tmp", 400, age=UNFINISHED_SECONDS - 60, whole=False)
    make_room(cache, 500, DONE)
    assert names(cache) == [".x.2.tmp"]


def test_a_copy_that_another_process_removes_is_no_error(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(cache, "b", 600, age=2000)
    gone = add(cache, "a", 300, age=3000)
    rename = Path.rename

    def too_late(self: Path, target: Path) -> Path:
        if self == gone:
            shutil.rmtree(gone)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", too_late)
    make_room(cache, 800, DONE)
    assert names(cache) == []
    mark_used(gone / DONE)
    assert not gone.exists()


def test_a_copy_that_is_used_while_others_go_stays(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(cache, "a", 300, age=3000)
    second = add(cache, "b", 300, age=2000)
    remove = shutil.rmtree

    def used_meanwhile(path: Path, ignore_errors: bool = False) -> None:
        mark_used(second / DONE)
        remove(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", used_meanwhile)
    make_room(cache, 900, DONE)
    assert names(cache) == ["b"]


def test_where_others_fill_the_disk_copies_go_only_for_the_download_itself(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, age in (("a", 3000.0), ("b", 2000.0)):
        add(cache, name, 5, age=age)
    fill(cache, 940, monkeypatch)
    make_room(cache, 20, DONE)
    assert names(cache) == ["a", "b"]
    make_room(cache, 54, DONE)
    assert names(cache) == ["b"]


def test_large_disks_keep_no_tenth_free(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(cache, "a", 500, age=3000)
    monkeypatch.setattr(copies, "KEPT_FREE_BYTES", 50)
    make_room(cache, 450, DONE)
    assert names(cache) == ["a"]
    make_room(cache, 451, DONE)
    assert names(cache) == []


def test_what_may_not_be_touched_is_passed_over(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = add(cache, "a", 300, age=3000)
    add(cache, "b", 300, age=2000)
    rename = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self == foreign:
            raise PermissionError(13, "not yours")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    make_room(cache, 500, DONE)
    assert names(cache) == ["a"]

    def read_only(path: Path) -> None:
        raise OSError(30, "read-only file system")

    monkeypatch.setattr(copies.os, "utime", read_only)
    mark_used(foreign / DONE)


def test_without_any_copy_nothing_happens(cache: Path) -> None:
    make_room(cache, 10_000, DONE)
    assert not cache.exists()


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 5000)), max_size=8), st.integers(0, 1200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_room_is_made_if_that_can_be(cache: Path, held: list[tuple[int, int]], size: int) -> None:
    shutil.rmtree(cache, ignore_errors=True)
    for number, (bytes_, age) in enumerate(held):
        add(cache, str(number), bytes_, age=age)
    make_room(cache, size, DONE)
    left = [held[int(name)] for name in names(cache)]
    in_use = sum(bytes_ for bytes_, age in held if age <= IN_USE_SECONDS)
    room = 900 if in_use + size <= 900 else 1000
    fits = sum(bytes_ for bytes_, _ in left) + size <= room
    assert fits or all(age <= IN_USE_SECONDS + 5 for _, age in left)
    removed = [one for number, one in enumerate(held) if str(number) not in names(cache)]
    assert all(age >= IN_USE_SECONDS - 5 for _, age in removed)
    if removed:
        # Without the one that went last there was no room. Of equal ages, the one made last is the youngest.
        last, _ = min(reversed(removed), key=lambda one: one[1])
        assert sum(bytes_ for bytes_, _ in left) + last + size > room


def test_a_store_makes_room_before_it_downloads(
    elsewhere: Store, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    for name in ("x", "y", "z"):
        (made / "weights").write_bytes(name.encode() * 400)
        elsewhere.publish_directory(made, f"endpoints/{name}", {})
    elsewhere.local_directory("endpoints/x")
    elsewhere.local_directory("endpoints/y")
    # In use, so there is too much for a moment.
    elsewhere.local_directory("endpoints/z")
    assert names(cache) == ["x", "y", "z"]
    shutil.rmtree(elsewhere.local_directory("endpoints/z"))
    now = time.time()
    monkeypatch.setattr(copies.time, "time", lambda: now + 2 * IN_USE_SECONDS)
    elsewhere.local_directory("endpoints/z")
    assert len(names(cache)) == 2
    assert "z" in names(cache)
    assert (elsewhere.local_directory("endpoints/x") / "weights").read_bytes() == b"x" * 400
