"""Is there room for a job? Asks the machines at hand, and waits for those that may still join."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources

from xltray.cluster.capacity import CapacityError, bundles, check_room, reserved
from xltray.cluster.interrupt import Interrupt
from xltray.cluster.session import JOIN_SECONDS, Session
from xltray.cluster.split import fixed_servers
from xltray.spec_runtime import RuntimeSpec


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
    say: Callable[[str], None],
) -> None:
    """See to it that the largest job of each kind fits somewhere.

    A Ray on this machine alone stays as it is; a cluster's machines may still be starting, or be
    started on demand.
    """
    deadline = time.monotonic() + JOIN_SECONDS
    asked = False
    while not interrupt.asked:
        try:
            for kind in sorted(kinds):
                wanted = bundles(
                    kind,
                    threads=runtime.threads,
                    device=session.device,
                    servers=fixed_servers(runtime) or 1,
                    processes=runtime.processes_per_finetune,
                )
                check_room(kind, wanted, ray.nodes())  # type: ignore[no-untyped-call]
            break
        except CapacityError as error:
            if not session.can_grow or time.monotonic() > deadline:
                raise
            if not asked:
                say(f"{error} Waiting up to {JOIN_SECONDS / 60:g} min for such a machine to join.")
                request_resources(bundles=wanted)
                asked = True
            time.sleep(2)
    if asked:
        request_resources(bundles=[])
