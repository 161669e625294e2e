"""What a job reserves, and whether the machines at hand have it.

Pretraining and fine-tuning take one process. A surface takes a coordinator, which hands out points,
writes rows and measures geometry, and one bundle for each of its EndpointServers; coordinator and
first server together take what one fine-tuning takes, so as many surfaces as fine-tunings run side
by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from xltray.errors import XltrayError

COORDINATOR_CPUS = 0.1


class CapacityError(XltrayError):
    """A job needs more than the machines at hand have, so it would wait for ever."""


def bundles(kind: str, *, threads: int, device: str, servers: int) -> list[dict[str, float]]:
    """Return what a job of ``kind`` reserves: one bundle a process."""
    gpu = {"GPU": 1.0} if device == "cuda" else {}
    whole = {"CPU": float(threads), **gpu}
    if kind != "surface":
        return [whole]
    # Rounded, so that coordinator and server add up to exactly ``threads``.
    first = {"CPU": round(threads - COORDINATOR_CPUS, 4), **gpu}
    return [{"CPU": COORDINATOR_CPUS}, first, *[whole] * (servers - 1)]


def count_devices(threads: int, device: str, nodes: Iterable[Mapping[str, Any]]) -> int:
    """Return how many processes that hold a device fit on the machines in ``ray.nodes()`` at a time."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    if device == "cuda":
        return int(sum(min(node.get("GPU", 0.0), node.get("CPU", 0.0) // threads) for node in alive))
    return int(sum(node.get("CPU", 0.0) // threads for node in alive))


def check_room(kind: str, reserved: list[dict[str, float]], nodes: Iterable[Mapping[str, Any]]) -> None:
    """Check that a job's bundles fit on the machines in ``ray.nodes()``, each bundle on one of them.

    Raises:
        CapacityError: if they do not.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    names = sorted({name for bundle in reserved for name in bundle})
    for bundle in reserved:
        if not any(all(node.get(name, 0.0) >= bundle[name] for name in bundle) for node in alive):
            largest = {name: max((node.get(name, 0.0) for node in alive), default=0.0) for name in names}
            raise CapacityError(
                f"a {kind} job needs {_shown(bundle)} on one machine; found at most {_shown(largest)}. "
                "Lower runtime.threads, set runtime.device=cpu, or use a larger machine."
            )
    needed = {name: round(sum(bundle.get(name, 0.0) for bundle in reserved), 4) for name in names}
    total = {name: sum(node.get(name, 0.0) for node in alive) for name in names}
    if any(needed[name] > total[name] for name in names):
        raise CapacityError(
            f"a {kind} job needs {_shown(needed)}; found {_shown(total)} on all machines together. "
            "Lower runtime.servers_per_surface or runtime.threads."
        )


def _shown(resources: Mapping[str, float]) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in sorted(resources.items()))
