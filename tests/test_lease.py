"""One driver a sweep: refused, waited for, taken over."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from xltray import lease
from xltray.errors import StoreError
from xltray.lease import LeaseError, hold_lease, lease_path, running_jobs
from xltray.store import Store

BEAT, PATIENCE = 0.05, 0.5


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def holding(store: Store, said: list[str] | None = None, **options: Any) -> Any:
    say = (said if said is not None else []).append
    return hold_lease(store, "s", say, beat=BEAT, patience=PATIENCE, **options)


def from_elsewhere(store: Store, beats: int = 1) -> None:
    other = {"machine": "other", "boot": "b", "process": 7, "born": "1", "owner": "x", "beats": beats}
    store.write_json(lease_path(store, "s"), other)


def test_it_beats_and_goes(store: Store) -> None:
    with holding(store):
        first = store.read_json(lease_path(store, "s"))
        time.sleep(6 * BEAT)
        later = store.read_json(lease_path(store, "s"))
    assert later["owner"] == first["owner"]
    assert later["beats"] > first["beats"]
    assert store.names("sweeps/s") == []
    with holding(store):
        pass


def test_a_second_driver_on_this_machine_is_refused_at_once(store: Store) -> None:
    with holding(store):
        begin = time.monotonic()
        with pytest.raises(
            LeaseError, match=r"^sweep s in /\S+ is being run: found process \d+ on .*Ctrl-C there"
        ):
            holding(store).__enter__()
        assert time.monotonic() - begin < PATIENCE
        with hold_lease(store, "another", print):
            pass
    assert LeaseError.exit_code == 2


def test_one_elsewhere_is_refused_once_it_beats(store: Store) -> None:
    from_elsewhere(store)
    said: list[str] = []
    timer = threading.Timer(PATIENCE / 3, from_elsewhere, (store, 2))
    timer.start()
    with pytest.raises(LeaseError, match="found process 7 on other"):
        holding(store, said).__enter__()
    timer.join()
    assert said == ["process 7 on other was running sweep s; waiting 0.5 s to see whether it still does"]
    assert store.read_json(lease_path(store, "s"))["owner"] == "x"


def test_one_elsewhere_that_is_silent_is_taken_over(store: Store) -> None:
    from_elsewhere(store)
    begin = time.monotonic()
    with holding(store):
        assert time.monotonic() - begin >= PATIENCE
        assert store.read_json(lease_path(store, "s"))["owner"] != "x"


def test_one_elsewhere_that_ends_is_followed_at_once(store: Store) -> None:
    from_elsewhere(store)
    timer = threading.Timer(PATIENCE / 5, store.delete, (lease_path(store, "s"),))
    timer.start()
    begin = time.monotonic()
    with holding(store):
        assert time.monotonic() - begin < PATIENCE
    timer.join()


def test_who_has_lost_it_stops_and_leaves_it_alone(store: Store) -> None:
    stopped = threading.Event()
    said: list[str] = []
    with holding(store, said, stop=stopped.set):
        from_elsewhere(store)
        assert stopped.wait(5)
    assert said == ["process 7 on other now runs sweep s; stopping"]
    assert store.read_json(lease_path(store, "s"))["owner"] == "x"


def test_it_stops_by_the_signal_that_ends_a_run_in_good_order(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(lease.os, "kill", lambda *what: sent.append(what))
    lease._terminate()
    assert sent == [(lease.os.getpid(), signal.SIGTERM)]


def test_a_store_that_fails_for_a_moment_is_no_matter(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()
    with holding(store, stop=stopped.set):
        with monkeypatch.context() as patch:
            patch.setattr(store, "_root", "/proc/nowhere")
            time.sleep(4 * BEAT)
        before = store.read_json(lease_path(store, "s"))["beats"]
        time.sleep(6 * BEAT)
        assert store.read_json(lease_path(store, "s"))["beats"] > before
    assert not stopped.is_set()


@pytest.mark.parametrize("content", [b"no JSON", b"[]", b"{}"])
def test_what_is_no_lease_is_in_nobodys_way(store: Store, content: bytes) -> None:
    store.write_bytes(lease_path(store, "s"), content)
    with holding(store):
        pass


HOLD = """
import sys, time
from xltray.errors import StoreError
from xltray.lease import hold_lease
from xltray.store import Store
with hold_lease(Store(sys.argv[1]), "s", print):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_that_was_killed_here_is_in_nobodys_way(store: Store) -> None:
    command = [sys.executable, "-c", HOLD, store.uri]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LeaseError, match=f"found process {process.pid} on"):
            holding(store).__enter__()
        process.kill()
        process.wait()
        assert store.exists(lease_path(store, "s"))
        begin = time.monotonic()
        with holding(store):
            assert time.monotonic() - begin < PATIENCE


def test_a_driver_that_was_killed_but_not_waited_for_is_dead(store: Store) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        alive = {**lease._myself(), "process": child.pid, "born": lease._born(child.pid)}
        assert lease._lives_here(alive)
        child.kill()
        deadline = time.monotonic() + 10
        while lease._lives_here(alive) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lease._has_died_here(alive)


def test_a_store_that_is_out_does_not_hold_up_the_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.patience = 60.0
    begin = time.monotonic()
    with holding(store):
        monkeypatch.setattr(Store, "exists", refuse_in_patience)
        time.sleep(4 * BEAT)
    assert time.monotonic() - begin < 10


def refuse_in_patience(self: Store, path: str) -> bool:
    time.sleep(self.patience)
    raise StoreError("out of reach")


def test_jobs_that_living_drivers_run_are_known(store: Store) -> None:
    running = ["a"]
    said: list[str] = []
    store.write_json(lease_path(store, "broken"), {"running": 7, "machine": "other"})
    from_elsewhere(store)
    with hold_lease(store, "t", said.append, beat=BEAT, patience=PATIENCE, running=lambda: running):
        assert running_jobs(store, said.append, patience=PATIENCE) == {"a"}
        assert said == [
            "waiting up to 0.5 s to see whether process None on other, process 7 on other still runs jobs"
        ]
        running.append("b")
        time.sleep(4 * BEAT)
        assert running_jobs(store, said.append, patience=0.0) == {"a", "b"}
    assert running_jobs(store, said.append, patience=0.0) == set()


def test_a_driver_elsewhere_lives_if_it_beats(store: Store) -> None:
    other = {"machine": "other", "boot": "b", "process": 7, "born": "1", "running": ["c"]}
    store.write_json(lease_path(store, "s"), {**other, "beats": 1})

    def beat(text: str) -> None:
        store.write_json(lease_path(store, "s"), {**other, "beats": 2})

    assert running_jobs(store, beat, patience=PATIENCE) == {"c"}
    assert running_jobs(store, lambda text: store.delete(lease_path(store, "s")), patience=PATIENCE) == set()
