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
from typing import NamedTuple

from xltray.files import TEMPORARY

KEPT_FREE, KEPT_FREE_BYTES = 0.1, 50e9
"""What copies leave free, a tenth of the disk or so many bytes, whichever is less: for checkpoints, logs, and
what others download meanwhile."""
IN_USE_SECONDS = 600.0
"""For so long after its last use a copy stays, whatever the room: it may be about to be read."""
UNFINISHED_SECONDS = 86_400.0
"""A download that began so long ago and has not ended is of a process that was killed."""


class _Copy(NamedTuple):
    """A copy, or what there is of one, and when it was last used, or last written to."""

    used: float
    folder: Path
    size: int
    whole: bool

    @property
    def is_idle(self) -> bool:
        return time.time() - self.used > (IN_USE_SECONDS if self.whole else UNFINISHED_SECONDS)


def mark_used(marker: Path) -> None:
    """Note that a copy is used now; ``marker`` is its DONE.json."""
    # It may just have made room for another one, and is then fetched again; or it may be another user's.
    with suppress(OSError):
        os.utime(marker)


def aside(folder: Path) -> Path:
    """Return a name beside a folder that nothing has."""
    return folder.with_name(f".{folder.name}.{uuid.uuid4().hex}{TEMPORARY}")


def remove(folder: Path) -> None:
    """Remove a copy; at once for whoever looks for it. One that is gone already is no error."""
    leaving = aside(folder)
    with suppress(FileNotFoundError):
        folder.rename(leaving)
    shutil.rmtree(leaving, ignore_errors=True)


def make_room(cache: Path, size: int, marker: str) -> None:
    """Remove copies that are not in use, those used longest ago first, so that ``size`` bytes more fit.

    Enough of them for the disk to keep free what it should, if all of them together can do that. Where others
    fill the disk they cannot, and only what is needed for the ``size`` itself is removed.

    Args:
        cache: the folder of all copies; ``<store>/<content>/<kind>/<id>`` in it is one.
        size: of what is about to be downloaded, bytes.
        marker: the file in a copy that ``mark_used`` touches.
    """
    if not cache.is_dir():
        return
    disk = shutil.disk_usage(cache)
    wanted = size + min(KEPT_FREE * disk.total, KEPT_FREE_BYTES)
    if disk.free >= wanted:
        return
    idle = sorted(copy for copy in _copies(cache, marker) if copy.is_idle)
    if disk.free + sum(copy.size for copy in idle) < wanted:
        wanted = size
    for copy in idle:
        if shutil.disk_usage(cache).free >= wanted:
            return
        # Others that went before took their time: it may be in use by now.
        with suppress(OSError):
            if _look(copy.folder, marker).is_idle:
                remove(copy.folder)


def _copies(cache: Path, marker: str) -> Iterator[_Copy]:
    for folder in cache.glob("*/*/*/*"):
        # What another process removes meanwhile, or another user's, is passed over.
        with suppress(OSError):
            yield _look(folder, marker)


def _look(folder: Path, marker: str) -> _Copy:
    whole = (folder / marker).exists()
    used = (folder / marker if whole else folder).stat().st_mtime
    return _Copy(
        used, folder, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()), whole
    )
