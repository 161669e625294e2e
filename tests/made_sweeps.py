"""Sweep files that tests write into the current directory, and what reading them says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from xltray.errors import SweepFileError
from xltray.spec import SweepSpec
from xltray.sweepfile import Check, load_sweep

# Three lines: what a test adds begins on line 4.
MINIMAL = """\
tasks: [pos]
pairs: {en: [de]}
encoders: {a: {checkpoint: x}}
"""


def write(name: str, text: str) -> Path:
    """Write a file and the folders above it."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(text: str, *overrides: str) -> SweepSpec:
    """Read ``text`` as the sweep file s.yaml."""
    return load_sweep(write("s.yaml", text), overrides)


def mistakes(text: str | Path, *overrides: str, checks: Sequence[Check] = ()) -> list[str]:
    """Read a wrong sweep file and return what is said about it, one message a mistake."""
    path = text if isinstance(text, Path) else write("s.yaml", text)
    with pytest.raises(SweepFileError) as caught:
        load_sweep(path, overrides, checks)
    assert caught.value.exit_code == 2
    assert str(path) in caught.value.heading
    return [str(problem) for problem in caught.value.problems]
