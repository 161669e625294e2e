"""Data that tests of several modules share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tiny import Tiny

SHARED_UD = Path(__file__).parents[2] / "shared" / "data" / "ud-2.7"


@pytest.fixture(scope="session")
def ud_root() -> Path:
    """A folder with UD 2.7 treebanks: XLTRAY_UD_ROOT, or shared/data/ud-2.7 beside the repository."""
    root = Path(os.environ.get("XLTRAY_UD_ROOT") or SHARED_UD)
    if not root.is_dir():
        pytest.skip(f"no UD treebanks at {root}; set XLTRAY_UD_ROOT to an unpacked UD 2.7 release")
    return root


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A tiny sweep that has been run; its store is for reading only (``tiny.copied`` gives another)."""
    # Here, because torch takes seconds to import and most tests need none of it.
    from tiny import make_tiny

    done = make_tiny(tmp_path_factory.mktemp("tiny") / "store")
    done.run()
    return done
