"""Which experiment trackers a sweep can be logged to, and whether their packages are here."""

from __future__ import annotations

from importlib.util import find_spec

from xltray.errors import Problem
from xltray.spec import SweepSpec

PACKAGES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}


def check_trackers(sweep: SweepSpec) -> list[Problem]:
    """Return the trackers that a sweep asks for whose packages are not installed."""
    return [
        Problem(
            f"runtime.callbacks[{index}]",
            f"{name!r}, and no package {PACKAGES[name]}",
            "the package installed where the sweep is started",
            f"pip install {PACKAGES[name]}, or leave {name} out.",
        )
        for index, name in enumerate(sweep.runtime.callbacks)
        if find_spec(PACKAGES[name]) is None
    ]
