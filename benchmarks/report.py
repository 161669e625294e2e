"""Rows as a table to read and as JSON to keep, with the versions and the machine that they are of."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rows import Row
from xltray.nn.device import device_name

PACKAGES = ("torch", "transformers", "accelerate", "numpy", "numba", "xltray")


def versions() -> dict[str, str]:
    """Return the versions of Python and of what decides the times."""
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in PACKAGES
    }


def machine(device: str) -> dict[str, Any]:
    """Return what was measured on. The load is of the last minute, before anything ran."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "device": device_name(device),
    }


def table(rows: Sequence[Row]) -> str:
    """Return rows as text, a line each; times are medians in milliseconds."""
    lines = [("ratio", "measured", "95% interval", "target", "", "ms / ms")]
    for row in rows:
        goal = row.spec.goal
        lines.append(
            (
                row.spec.label,
                f"{row.ratio.value:.2f}",
                f"{row.ratio.low:.2f}-{row.ratio.high:.2f}",
                f"{goal.sense.value} {goal.target:g}" if goal else "shown only",
                row.verdict,
                f"{1000 * row.above_median:.2f} / {1000 * row.below_median:.2f}",
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def as_json(
    rows: Sequence[Row], times: Mapping[str, Mapping[str, Sequence[float]]], about: Mapping[str, Any]
) -> str:
    """Return all that was measured: rows, and the seconds of every round of every contestant."""
    found = [
        {
            "ratio": row.spec.label,
            "value": row.ratio.value,
            "interval": [row.ratio.low, row.ratio.high],
            "goal": f"{row.spec.goal.sense.value} {row.spec.goal.target:g}" if row.spec.goal else None,
            "verdict": row.verdict or None,
            "above": {"name": row.spec.above, "minimum": row.above_minimum, "median": row.above_median},
            "below": {"name": row.spec.below, "minimum": row.below_minimum, "median": row.below_median},
        }
        for row in rows
    ]
    return json.dumps({**about, "rows": found, "seconds": times}, indent=1) + "\n"


def _cpu_model() -> str:
    described = Path("/proc/cpuinfo")
    if described.is_file():
        for line in described.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
