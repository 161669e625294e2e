"""What a job reserves, and whether the machines at hand have it.

Pretraining takes one process. Fine-tuning takes one too, or several on one machine, which train one
model together. A surface takes a coordinator, which hands out points, writes rows and measures geometry,
and one bundle for each of its EndpointServers; coordinator and first server together take what a
process of fine-tuning takes, so as many surfaces as fine-tunings run side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from xltray.errors import XltrayError

COORDINATOR_CPUS = 0.1


class CapacityError(XltrayError):
    """A job needs more than the machines at hand have, so it would wait for ever."""


def bundles(
    kind: str, *, threads: int, device: str, servers: int = 1, processes: int = 1
) -> list[dict[str, float]]:
    """Return what a job of ``kind`` reserves: one bundle a process.

    Args:
        kind: of job.
        threads: of a process that computes.
        device: what it computes on.
        servers: EndpointServers of a surface.
        processes: of a fine-tuning.
    """
    gpu = {"GPU": 1.0} if device == "cuda" else {}
    whole = {"CPU": float(threads), **gpu}
    if kind != "surface":
        return [whole] * (processes if kind == "finetune" else 1)
    # Rounded, so that coordinator and server add up to exactly ``threads``.
    first = {"CPU": round(threads - COORDINATOR_CPUS, 4), **gpu}
    return [{"CPU": COORDINATOR_CPUS}, first, *[whole] * (servers - 1)]


def reserved(config: Mapping[str, Any]) -> list[dict[str, float]]:
    """Return what a trial of this configuration reserves."""
    return bundles(
        config["kind"],
        threads=config["threads"],
        device=config["device"],
        servers=config["servers"],
        processes=config["processes"],
    )


def strategy(kind: str) -> str:
    """Return how Ray places the bundles of a job.

    The processes of a fine-tuning exchange all gradients at every step: between machines that would often
    cost more than it gains. Pretraining has one bundle, so it makes no difference there; but Tune keeps a
    process only for jobs of the same strategy.
    """
    return "PACK" if kind == "surface" else "STRICT_PACK"


def devices_of(config: Mapping[str, Any]) -> int:
    """Return how many devices a trial of this configuration holds."""
    return int({"surface": config["servers"], "finetune": config["processes"]}.get(config["kind"], 1))


def count_devices(threads: int, device: str, nodes: Iterable[Mapping[str, Any]]) -> int:
    """Return how many processes that hold a device fit on the machines in ``ray.nodes()`` at a time."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    if device == "cuda":
        return int(sum(min(node.get("GPU", 0.0), node.get("CPU", 0.0) // threads) for node in alive))
    return int(sum(node.get("CPU", 0.0) // threads for node in alive))


def runs_jobs(device: str, nodes: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether any machine in ``ray.nodes()`` is there for jobs at all, large enough or not.

    A head without CPUs is not, nor is a machine without GPUs for jobs that need one.
    """
    needed = ("CPU", "GPU") if device == "cuda" else ("CPU",)
    return any(node["Alive"] and all(node["Resources"].get(name) for name in needed) for node in nodes)


def check_room(kind: str, reserved: list[dict[str, float]], nodes: Iterable[Mapping[str, Any]]) -> None:
    """Check that a job's bundles fit on the machines in ``ray.nodes()``.

    Each bundle must fit on one of them; those of a fine-tuning all on the same one.

    Raises:
        CapacityError: if they do not.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    names = sorted({name for bundle in reserved for name in bundle})
    needed = {name: round(sum(bundle.get(name, 0.0) for bundle in reserved), 4) for name in names}
    together = strategy(kind) == "STRICT_PACK"
    for bundle in [needed] if together else reserved:
        if not any(all(node.get(name, 0.0) >= bundle[name] for name in bundle) for node in alive):
            largest = {name: max((node.get(name, 0.0) for node in alive), default=0.0) for name in names}
            processes = "runtime.processes_per_finetune or " if len(reserved) > 1 and together else ""
            raise CapacityError(
                f"a {kind} job needs {_shown(bundle)} on one machine; found at most {_shown(largest)}. "
                f"Lower {processes}runtime.threads, set runtime.device=cpu, or use a larger machine."
            )
    total = {name: sum(node.get(name, 0.0) for node in alive) for name in names}
    if any(needed[name] > total[name] for name in names):
        raise CapacityError(
            f"a {kind} job needs {_shown(needed)}; found {_shown(total)} on all machines together. "
            "Lower runtime.servers_per_surface or runtime.threads."
        )


def _shown(resources: Mapping[str, float]) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in sorted(resources.items()))
