"""Copies of an object store's folders on this machine: those used longest ago make room for new ones.

A sweep can have more endpoints than a disk holds (the paper's: 850 GB), and each machine of a cluster comes
to read many of them, most for a cell or two. What was removed and is needed again is fetched again.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from xltray.files import TEMPORARY

KEPT_FREE = 0.1
"""Share of the disk that copies leave free: for checkpoints, logs, and what others download meanwhile."""
IN_USE_SECONDS = 600.0
"""For so long after its last use a copy stays, whatever the room: it may be about to be read."""
UNFINISHED_SECONDS = 86_400.0
"""A download that began so long ago and has not ended is of a process that was killed."""


def mark_used(marker: Path) -> None:
    """Note that a copy is used now; ``marker`` is its DONE.json."""
    # It may just have made room for another one: whoever reads it then fetches it again.
    with suppress(FileNotFoundError):
        os.utime(marker)


def make_room(cache: Path, size: int, marker: str) -> None:
    """Remove copies until ``size`` bytes more would leave a tenth of the disk free, or none can be removed.

    Args:
        cache: the folder of all copies; ``<store>/<content>/<kind>/<id>`` in it is one.
        size: of what is about to be downloaded, bytes.
        marker: the file in a copy that ``mark_used`` touches.
    """
    if not cache.is_dir():
        return
    removable = _longest_unused_first(cache, marker)
    while _lacks(cache, size) and (copy := next(removable, None)) is not None:
        # Gone at once for whoever looks for it.
        aside = copy.with_name(f".{uuid.uuid4().hex}{TEMPORARY}")
        with suppress(FileNotFoundError):
            copy.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _lacks(cache: Path, size: int) -> bool:
    disk = shutil.disk_usage(cache)
    return disk.free - size < KEPT_FREE * disk.total


def _longest_unused_first(cache: Path, marker: str) -> Iterator[Path]:
    """Return copies that nobody uses, and downloads that nobody ends, by when they were last touched."""
    now, found = time.time(), []
    for copy in cache.glob("*/*/*/*"):
        done = copy / marker
        with suppress(FileNotFoundError):
            whole = done.exists()
            touched = (done if whole else copy).stat().st_mtime
            if now - touched > (IN_USE_SECONDS if whole else UNFINISHED_SECONDS):
                found.append((touched, copy))
    return iter([copy for _, copy in sorted(found)])
