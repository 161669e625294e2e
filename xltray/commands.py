"""Commands that messages tell people to type: they run as given, in the folder and shell at hand."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence


def command(module: str, *arguments: object) -> str:
    """Return ``python -m module arguments`` for a shell."""
    # The interpreter as it was called: there may be no `python` on the path.
    return shlex.join([sys.orig_argv[0], "-m", module, *map(str, arguments)])


def sweep_command(sweep: object, overrides: Sequence[str], *options: str) -> str:
    """Return the command that runs a sweep file with overrides; without these it may be another sweep."""
    return command("xltray.sweep", sweep, *overrides, *options)
