"""A local Ray that the tests of one module share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from xltray.cluster.session import worker_environment

LEFT_OVER = (
    # Ray leaves pipes and sockets of its own to the garbage collector.
    "ignore:unclosed:ResourceWarning",
    "ignore:subprocess .* is still running:ResourceWarning",
)
"""Warnings that are no matter in tests that run a Ray."""


@pytest.fixture(scope="module")
def module_ray() -> Iterator[None]:
    """What a Ray that the tests of one module share needs around it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield
        ray.shutdown()


@pytest.fixture
def local_ray(module_ray: None) -> None:
    """A Ray with two CPUs, started unless a test before has left it running."""
    if not ray.is_initialized():
        # Workers import the tests' modules for their fakes.
        environment = {"env_vars": {**worker_environment(1), "PYTHONPATH": str(Path(__file__).parent)}}
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, runtime_env=environment, log_to_driver=False
        )
