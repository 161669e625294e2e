"""Is there room for a job? Asks the machines at hand, and waits for those that may still join."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from xltray.cluster.capacity import CapacityError, bundles, check_room, reserved, runs_jobs
from xltray.cluster.demand import Demand
from xltray.cluster.interrupt import Interrupt
from xltray.cluster.session import Session
from xltray.cluster.split import fixed_servers
from xltray.cluster.waiting import WaitingNotes, no_machine
from xltray.cluster.watch import Watch
from xltray.spec_runtime import RuntimeSpec

JOIN_SECONDS = 600.0
"""Where some machines of a cluster are there, others that were started with them join within that time."""


def fits(config: Mapping[str, Any], nodes: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether the machines in ``ray.nodes()`` are large enough for a trial of this configuration."""
    try:
        check_room(config["kind"], reserved(config), nodes)
    except CapacityError:
        return False
    return True


def await_room(
    kinds: set[str],
    runtime: RuntimeSpec,
    session: Session,
    interrupt: Interrupt,
    watch: Watch,
    say: Callable[[str], None],
) -> None:
    """See to it that the largest job of each kind fits somewhere, or return once that is interrupted.

    A Ray on this machine alone stays as it is; a cluster's machines may still be starting, or be
    started on demand. While there is none for jobs, that may take as long as it takes: spot machines are
    out of stock for hours. Where some are there and too small, others are waited for ``JOIN_SECONDS``: anew
    once they suffice for one kind, and not yet for the next, for which more is asked of the autoscaler then.

    Raises:
        CapacityError: if they stay too small.
        Gone: from ``watch``, if Ray is lost meanwhile.
    """
    notes, deadline = WaitingNotes(say), float("inf")
    with Demand(watch, session.can_grow) as demand:
        while not interrupt.asked:
            watch()
            wanted, error = _shortage(kinds, runtime, session.device, watch.nodes)
            if error is None:
                return
            if not session.can_grow:
                raise error
            if demand(wanted):
                deadline = float("inf")
            if not runs_jobs(session.device, watch.nodes):
                deadline = float("inf")
                notes(no_machine(session.device))
            elif deadline == float("inf"):
                deadline = time.monotonic() + JOIN_SECONDS
                notes.over()
                say(f"{error} Waiting up to {JOIN_SECONDS / 60:g} min for such a machine to join.")
            elif time.monotonic() > deadline:
                raise error
            time.sleep(2)


def _shortage(
    kinds: Iterable[str], runtime: RuntimeSpec, device: str, nodes: Iterable[Mapping[str, Any]]
) -> tuple[list[dict[str, float]], CapacityError | None]:
    """Return what a job reserves that does not fit, and what is wrong; nothing and None if all do."""
    for kind in sorted(kinds):
        wanted = bundles(
            kind,
            threads=runtime.threads,
            device=device,
            servers=fixed_servers(runtime) or 1,
            processes=runtime.processes_per_finetune,
        )
        try:
            check_room(kind, wanted, nodes)
        except CapacityError as error:
            return wanted, error
    return [], None
