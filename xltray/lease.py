"""One driver a sweep: a lease in the store, renewed while the driver lives.

    sweeps/<name>/driver.json      who runs the sweep: machine, process, how many beats it gave; what jobs run

Two drivers of one sweep would do every job twice. No result would be wrong: files appear whole, results of
the same job are the same, and checksums find what is mixed. But it costs twice the machines, and models that
are trained on GPUs at the same time differ in their last bits.

Clocks of machines differ, so nobody compares them: whether a driver lives is seen by its beats. One that was
killed leaves its lease behind. On the machine where it ran that is seen at once, elsewhere after
``PATIENCE_SECONDS`` without a beat. Should two start in the same moment, the last one to write keeps the
lease, and the other sees it at its next beat and stops.
"""

from __future__ import annotations

import copy
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xltray.errors import StoreError, XltrayError
from xltray.store import Store

BEAT_SECONDS = 5.0
PATIENCE_SECONDS = 20.0

Say = Callable[[str], None]


class LeaseError(XltrayError):
    """Another driver runs the sweep."""

    exit_code = 2


def lease_path(store: Store, name: str) -> str:
    """Return where the lease of a sweep lies."""
    return f"{store.sweep_path(name)}/driver.json"


@contextmanager
def hold_lease(
    store: Store,
    name: str,
    say: Say,
    *,
    beat: float = BEAT_SECONDS,
    patience: float = PATIENCE_SECONDS,
    stop: Callable[[], None] | None = None,
    running: Callable[[], Collection[str]] = tuple,
) -> Iterator[None]:
    """Hold the lease of a sweep.

    Args:
        store: the sweep's store.
        name: the sweep's name.
        say: tells the user what is waited for.
        beat: seconds between two beats.
        patience: seconds without a beat after which another driver is taken for dead.
        stop: called if another driver takes the lease; the default is SIGTERM to this process, which
            ends a run in good order.
        running: tells which jobs are running, by id; each beat says it.

    Raises:
        LeaseError: if another driver runs the sweep.
    """
    path = lease_path(store, name)
    _await_free(store, path, name, say, patience)
    keeper = _Keeper(store, path, name, say, beat, stop or _terminate, running)
    keeper.renew()
    thread = threading.Thread(target=keeper.run, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        keeper.ended.set()
        thread.join()
        keeper.release()


def running_jobs(store: Store, say: Say, *, patience: float = PATIENCE_SECONDS) -> set[str]:
    """Return the ids of jobs that living drivers run, of any sweep in the store.

    Args:
        store: the sweeps' store.
        say: tells the user what is waited for: a driver on another machine is known to live by its next beat.
        patience: seconds without a beat after which a driver is taken for dead.
    """
    names = store.sweep_names()
    leases = {name: lease for name in names if (lease := _read(store, lease_path(store, name)))}
    alive = [lease for lease in leases.values() if _lives_here(lease)]
    unsure = {
        name: lease for name, lease in leases.items() if not _lives_here(lease) and not _has_died_here(lease)
    }
    if unsure:
        who = ", ".join(map(_who, unsure.values()))
        say(f"waiting up to {patience:g} s to see whether {who} still runs jobs")
    deadline = time.monotonic() + patience
    while unsure and time.monotonic() < deadline:
        time.sleep(min(0.5, patience / 10))
        for name, lease in list(unsure.items()):
            latest = _read(store, lease_path(store, name))
            if latest != lease:
                alive += [latest] if latest else []
                del unsure[name]
    found = [lease.get("running") for lease in alive]
    return {str(id_) for ids in found if isinstance(ids, list) for id_ in ids}


class _Keeper:
    def __init__(
        self,
        store: Store,
        path: str,
        name: str,
        say: Say,
        beat: float,
        stop: Callable[[], None],
        running: Callable[[], Collection[str]],
    ) -> None:
        self.ended = threading.Event()
        self._store, self._path, self._name, self._say = store, path, name, say
        self._beat, self._stop, self._running = beat, stop, running
        self._owner = uuid.uuid4().hex
        self._beats = 0

    def run(self) -> None:
        """Renew the lease until ``ended`` is set or another driver has it."""
        # The next beat asks again anyway. Waiting for a store would hold up the end of a run, and then write
        # over the lease of whoever has taken it meanwhile.
        self._store = copy.copy(self._store)
        self._store.patience = 0.0
        while not self.ended.wait(self._beat):
            try:
                if not self._mine():
                    self._say(f"{_who(_read(self._store, self._path))} now runs sweep {self._name}; stopping")
                    self._stop()
                    return
                self.renew()
            except StoreError:
                # Out of reach for a moment; the next beat tries again.
                continue

    def renew(self) -> None:
        """Write the lease with another number."""
        self._beats += 1
        content = {"owner": self._owner, "beats": self._beats, "running": sorted(self._running())}
        self._store.write_json(self._path, content | _myself())

    def release(self) -> None:
        """Remove the lease, if it is still this driver's."""
        try:
            if self._mine():
                self._store.delete(self._path)
        except StoreError:
            # It will be taken for dead.
            return

    def _mine(self) -> bool:
        found = _read(self._store, self._path)
        return found is None or found.get("owner") == self._owner


def _await_free(store: Store, path: str, name: str, say: Say, patience: float) -> None:
    """Return once nobody holds the lease."""
    first = _read(store, path)
    if first is None or _has_died_here(first):
        return
    if _lives_here(first):
        raise _refusal(first, name, store)
    say(f"{_who(first)} was running sweep {name}; waiting {patience:g} s to see whether it still does")
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        time.sleep(min(1.0, patience / 10))
        latest = _read(store, path)
        if latest is None:
            return
        if latest != first:
            raise _refusal(latest, name, store)


def _refusal(lease: dict[str, Any], name: str, store: Store) -> LeaseError:
    return LeaseError(
        f"sweep {name} in {store} is being run: found {_who(lease)}, expected no other driver. "
        "Wait for it, or stop it (Ctrl-C there)."
    )


def _read(store: Store, path: str) -> dict[str, Any] | None:
    """Return the lease; None without one, or if it is none."""
    if not store.exists(path):
        return None
    try:
        content = store.read_json(path)
    except StoreError:
        # Just released, or no JSON. A store that is out of reach says so at the next question.
        return None
    return content if isinstance(content, dict) else None


def _who(lease: dict[str, Any] | None) -> str:
    return f"process {lease.get('process')} on {lease.get('machine')}" if lease else "another driver"


def _myself() -> dict[str, Any]:
    process = os.getpid()
    return {"machine": socket.gethostname(), "boot": _boot(), "process": process, "born": _born(process)}


def _lives_here(lease: dict[str, Any]) -> bool:
    return _is_here(lease) and _born(lease["process"]) == lease.get("born")


def _has_died_here(lease: dict[str, Any]) -> bool:
    return _is_here(lease) and _born(lease["process"]) != lease.get("born")


def _is_here(lease: dict[str, Any]) -> bool:
    """Whether a lease is of a process that this one would see if it were alive."""
    here = bool(_boot()) and lease.get("boot") == _boot() and lease.get("machine") == socket.gethostname()
    return here and isinstance(lease.get("process"), int)


def _boot() -> str:
    """Return what tells this machine since its last start, and the processes that see each other there."""
    try:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{kernel} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _born(process: int) -> str:
    """Return when a process of this machine started; empty if there is none. Numbers are used again."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    # A process that has ended and that its parent has not asked after still has an entry.
    return "" if fields[0] in "ZX" else fields[19]


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
