"""What the user sees while things are fetched: a line each, and in a terminal a bar for what is under way."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class UnderWay:
    """What is told of bytes that come, from any thread."""

    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def expect(self, total: int, *, have: int = 0) -> None:
        """So many bytes it will be, all in all, of which so many are there."""
        self._bars.update(self._task, total=total, completed=have)

    def advance(self, count: float) -> None:
        """So many bytes more are there."""
        self._bars.advance(self._task, count)


class Screen:
    """Standard output: plain lines, or lines above a bar."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
        self._bars = Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        )

    def say(self, line: str) -> None:
        """Print a line, at once and unbroken (its reader may be a log file)."""
        self._console.print(line, markup=False, soft_wrap=True)
        sys.stdout.flush()

    @contextmanager
    def under_way(self, name: str, total: int | None = None) -> Iterator[UnderWay]:
        """Show a bar for ``name`` of ``total`` bytes; yield what to tell of bytes that came."""
        with self._bars:
            task = self._bars.add_task(escape(name), total=total)
            try:
                yield UnderWay(self._bars, task)
            finally:
                self._bars.refresh()
                self._bars.remove_task(task)


def amount(count: int) -> str:
    """Return a number of bytes as text, e.g. 1.2 MB."""
    return decimal(count)
