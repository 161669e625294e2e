"""Connecting to Ray, or starting one, so that the user sees xltray's output and not Ray's.

A Ray that the caller has initialised is used as it is and left alone.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray._private.utils import read_ray_address
from ray.exceptions import RayError

from xltray.cluster.capacity import runs_jobs
from xltray.cluster.demand import Demand
from xltray.cluster.quiet import quiet_driver, quiet_logger
from xltray.cluster.waiting import WaitingNotes
from xltray.cluster.watch import Watch, answers
from xltray.errors import XltrayError
from xltray.results import REVISION
from xltray.spec_runtime import RuntimeSpec
from xltray.termination import sigterm_kept

MOST_PENDING = 32

_DRIVER_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Ctrl-C is handled by interrupt.py.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Nothing is ever restored from Tune's own snapshots.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    # Tune would ask, every ten seconds, a control store that may be gone, and wait (see watch.py).
    "TUNE_STATE_REFRESH_PERIOD": "86400",
    # Ray sets it, over what was there, and leaves it so.
    "PYTHONBREAKPOINT": "",
    # The newer of Tune's two outputs prints even when told to be silent.
    "RAY_AIR_NEW_OUTPUT": "0",
    # Tune's configuration classes warn of a migration that concerns Ray Train.
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
}


class ClusterError(XltrayError):
    """No Ray can be reached, or its machines do not see what they must."""


@dataclass(frozen=True)
class Session:
    """A Ray that is connected."""

    where: str
    device: str
    can_grow: bool
    pending: int
    """How many trials Tune may have waiting for room."""


def worker_environment(threads: int) -> dict[str, str]:
    """Return what must be in a worker's environment before it imports torch."""
    return {
        # OpenMP threads that spin while they wait cost 4-12x once cores are oversubscribed.
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        # Relative paths keep their meaning.
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        **({REVISION: os.environ[REVISION]} if REVISION in os.environ else {}),
    }


@contextmanager
def open_session(runtime: RuntimeSpec, say: Callable[[str], None]) -> Iterator[Session]:
    """Connect to Ray as the runtime half of a sweep says; disconnect or stop it at the end.

    Raises:
        ClusterError: if the Ray that was asked for cannot be reached.
        Gone: from ``watch``, if Ray is lost while the first machine is waited for.
    """
    with ExitStack() as stack:
        stack.enter_context(environment(_DRIVER_ENVIRONMENT))
        stack.enter_context(quiet_logger())
        if ray.is_initialized():
            where, new = "the Ray in use", False
        else:
            stack.enter_context(quiet_driver())
            stack.callback(ray.shutdown)
            where, new = _connect(runtime, stack, say)
        device = _device(runtime, growing=not new, say=say)
        resources = _resources()
        gpus = f", {resources['GPU']:g} GPUs" if resources.get("GPU") else ""
        cpus = int(resources.get("CPU", 0))
        yield Session(
            f"{where} ({cpus} CPUs{gpus}; device {device})",
            device,
            can_grow=not new,
            # Waiting trials make a cluster grow. Where it cannot, a short queue keeps the order
            # of the jobs: which of the waiting trials starts next is Ray's choice.
            pending=max(2, cpus) if new else MOST_PENDING,
        )


def _connect(runtime: RuntimeSpec, stack: ExitStack, say: Callable[[str], None]) -> tuple[str, bool]:
    """Return where we are connected to, and whether it is a new Ray of our own."""
    options: dict[str, Any] = {
        "runtime_env": {"env_vars": worker_environment(runtime.threads)},
        "logging_level": logging.CRITICAL,
        "log_to_driver": False,
    }
    address, named = _address(runtime)
    if address is not None and not named and not answers(address):
        # Ray itself would try for minutes. A crash leaves the record behind, so this is no error.
        say(f"the Ray that `ray start` recorded here ({address}) does not answer; starting a new local one")
        address = None
    if address is not None:
        try:
            with sigterm_kept():
                ray.init(address=address, **options)
            return f"Ray at {address}", False
        except (ConnectionError, RuntimeError, ValueError, RayError) as error:
            raise ClusterError(
                f"cannot connect to Ray at {address}: {error}. "
                "Start it (ray up, ray start), or set runtime.address=local."
            ) from error
    # A Ray that only this process talks to needs no tokens; for clusters the user decides.
    stack.enter_context(environment({"RAY_AUTH_MODE": "disabled"}))
    try:
        with sigterm_kept():
            context = ray.init(address="local", include_dashboard=runtime.dashboard, **options)
    except (OSError, RuntimeError, RayError) as error:
        raise ClusterError(
            f"cannot start a Ray on this machine: {error}. Its files and logs are below "
            f"{os.environ.get('RAY_TMPDIR') or '/tmp'}/ray: see whether there is room (RAY_TMPDIR names "
            "another folder), or set runtime.address to a Ray that runs."
        ) from error
    dashboard = f", dashboard at http://{context.dashboard_url}" if context.dashboard_url else ""
    return f"a new local Ray{dashboard}", True


def _address(runtime: RuntimeSpec) -> tuple[str | None, bool]:
    """Return which Ray to connect to (None: a new local one), and whether the user named it.

    Ray's own "auto" would also take a local Ray that belongs to another run and ends with it. Only
    `ray start` records an address (and `ray stop` removes it), so only such a Ray is found here.
    """
    named = runtime.address or os.environ.get("RAY_ADDRESS") or None
    if named == "local":
        return None, True
    if named not in (None, "auto"):
        return named, True
    recorded = read_ray_address() or None
    if named == "auto" and recorded is None:
        raise ClusterError(
            'the Ray address is "auto": found no Ray that `ray start` began on this machine, expected one. '
            "Start it (ray start --head), or set runtime.address=local."
        )
    return recorded, named is not None


def _device(runtime: RuntimeSpec, *, growing: bool, say: Callable[[str], None]) -> str:
    if runtime.device != "auto":
        return runtime.device
    if growing:
        _await_machine(runtime.threads, say)
    if _resources().get("GPU"):
        return "cuda"
    if growing:
        say(
            "no GPU in the cluster (yet): running on CPU; "
            "set runtime.device=cuda to wait for GPUs, or cpu to hide this line"
        )
    return "cpu"


def _await_machine(threads: int, say: Callable[[str], None]) -> None:
    """Wait for the first machine that is there for jobs of any kind.

    Raises:
        Gone: if Ray is lost meanwhile.
    """
    notes, watch = WaitingNotes(say), Watch()
    with Demand(watch, can_grow=True) as demand:
        while not runs_jobs("cpu", watch.nodes):
            demand([{"CPU": float(threads)}])
            notes("no machine has joined the cluster (runtime.device=cuda would ask for one with GPUs)")
            time.sleep(2)
            watch()


def _resources() -> dict[str, float]:
    return dict(ray.cluster_resources())  # type: ignore[no-untyped-call]


@contextmanager
def environment(defaults: Mapping[str, str]) -> Iterator[None]:
    """Set what the user has not set; at the end all of them are what they were."""
    before = {name: os.environ.get(name) for name in defaults}
    os.environ.update({name: value for name, value in defaults.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
