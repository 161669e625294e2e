"""What the user sees while a sweep runs.

In a terminal: a live table of the jobs by kind with the jobs under way, points per second and the
time left. Elsewhere (a log file, CI): one line at the start, one when a job ends, and a summary
at least every 30 seconds. The time left is what the jobs left would take at the pace seen in this
run (seconds per unit of cost, for each kind of job), shared by as many as run now.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

SUMMARY_SECONDS = 30.0
REFRESH_SECONDS = 0.5
PACE_SECONDS = 60.0
KINDS = ("pretrain", "finetune", "surface")


class Shown(Protocol):
    """What the display must know of a job."""

    @property
    def kind(self) -> str:
        """pretrain, finetune or surface."""
        ...

    @property
    def cost(self) -> float:
        """How long it takes, in any unit that all jobs share."""
        ...


@dataclass
class _Running:
    started: float
    first: int = 0
    done: int = 0
    total: int = 0
    unit: str = ""

    @property
    def progress(self) -> str:
        return f"{self.done}/{self.total} {self.unit}" if self.total else "starting"

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 0.0

    @property
    def share_here(self) -> float:
        return (self.done - self.first) / self.total if self.total else 0.0


class Board:
    """Counts what happens to the jobs and shows it; give it a clock to test it."""

    def __init__(
        self, jobs: Mapping[str, Shown], console: Console, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Show ``jobs`` (by id) on ``console``."""
        self._jobs = jobs
        self._console = console
        self._clock = clock
        self._begin = self._last_shown = clock()
        self._running: dict[str, _Running] = {}
        self._ended: dict[str, str] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._cost: defaultdict[str, float] = defaultdict(float)
        self._points: deque[tuple[float, int]] = deque([(self._begin, 0)])
        live = Live(console=console, auto_refresh=False, transient=True)
        self._live = live if console.is_terminal else None

    @contextmanager
    def shown(self, where: str) -> Iterator[None]:
        """Say what is going to run and where; show the display meanwhile; end with a summary."""
        kinds = Counter(job.kind for job in self._jobs.values())
        counts = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind])
        self._print(f"{len(self._jobs)} jobs to run ({counts}) on {where}")
        with self._live or nullcontext():
            yield
        self._print(self.summary())

    def say(self, text: str) -> None:
        """Print a line beside the display."""
        self._print(text)

    def start(self, id_: str) -> None:
        """A job began, or began again after a failure."""
        self._running[id_] = _Running(self._clock())

    def advance(self, id_: str, done: int, total: int, unit: str, *, first: int = 0) -> None:
        """A running job told how far it is; ``first`` is where it began (a resumed one above 0)."""
        now = self._clock()
        job = self._running.setdefault(id_, _Running(now))
        if unit == "points":
            before = job.done if job.total else first
            self._points.append((now, self._points[-1][1] + done - before))
        job.first, job.done, job.total, job.unit = first, done, total, unit

    def complete(self, id_: str) -> None:
        """A job's result is in the store."""
        seconds = self._end(id_, "done")
        kind = self._jobs[id_].kind
        self._seconds[kind] += seconds
        self._cost[kind] += self._weight(id_)
        self._print(f"{self._position()} {kind} {id_} done in {duration(seconds)}")

    def retry(self, id_: str, message: str) -> None:
        """A job failed and is going to be tried again."""
        self._running.pop(id_, None)
        self._print(f"{self._jobs[id_].kind} {id_} failed and is tried again: {first_line(message)}")

    def fail(self, id_: str, message: str, skipped: Collection[str] = ()) -> None:
        """A job failed for good, and others that need it are skipped."""
        seconds = self._end(id_, "failed")
        for other in skipped:
            self._ended[other] = "skipped"
        kind = self._jobs[id_].kind
        text = f"{self._position()} {kind} {id_} failed after {duration(seconds)}: {first_line(message)}"
        self._print(f"{text} (skipped for want of it: {len(skipped)})" if skipped else text)

    def tick(self) -> None:
        """Call often: redraws the live display, or prints a summary when it is time."""
        now = self._clock()
        if self._live and now - self._last_shown >= REFRESH_SECONDS:
            self._live.update(self.table(), refresh=True)
            self._last_shown = now
        elif not self._live and now - self._last_shown >= SUMMARY_SECONDS:
            self._print(self.summary())

    def summary(self) -> str:
        """One line on the whole run."""
        counts = Counter(self._ended.values())
        parts = [f"{counts['done']} of {len(self._jobs)} jobs done", f"{len(self._running)} running"]
        parts += [f"{counts[state]} {state}" for state in ("failed", "skipped") if counts[state]]
        if pace := self.points_per_second():
            parts.append(f"{pace:.3g} points/s")
        if (left := self.seconds_left()) is not None:
            parts.append(f"about {duration(left)} left")
        parts.append(f"{duration(self._clock() - self._begin)} so far")
        return ", ".join(parts)

    def points_per_second(self) -> float:
        """Points scored a second during the last minute; 0 when none was."""
        now = self._clock()
        while len(self._points) > 1 and self._points[1][0] <= now - PACE_SECONDS:
            self._points.popleft()
        first, start = self._points[0][1], max(self._points[0][0], now - PACE_SECONDS)
        return (self._points[-1][1] - first) / (now - start) if now > start else 0.0

    def seconds_left(self) -> float | None:
        """How long the rest will take; None while there is nothing to judge by, or nothing left."""
        now = self._clock()
        seconds, cost = self._seconds.copy(), self._cost.copy()
        for id_, job in self._running.items():
            if job.share_here > 0:
                seconds[self._jobs[id_].kind] += now - job.started
                cost[self._jobs[id_].kind] += self._weight(id_) * job.share_here
        left: defaultdict[str, float] = defaultdict(float)
        for id_, shown in self._jobs.items():
            if id_ not in self._ended:
                share = self._running[id_].share if id_ in self._running else 0.0
                left[shown.kind] += self._weight(id_) * (1 - share)
        if not left or not any(cost.values()):
            return None
        overall = sum(seconds.values()) / sum(cost.values())
        pace = {kind: seconds[kind] / cost[kind] if cost[kind] else overall for kind in left}
        return sum(left[kind] * pace[kind] for kind in left) / max(1, len(self._running))

    def table(self) -> RenderableType:
        """The live display."""
        table = Table(box=None, pad_edge=False)
        for heading in ("jobs", "total", "done", "running", "failed", "skipped"):
            table.add_column(heading, justify="left" if heading == "jobs" else "right")
        for kind in KINDS:
            ids = [id_ for id_, job in self._jobs.items() if job.kind == kind]
            if ids:
                ended = Counter(self._ended.get(id_) for id_ in ids)
                running = sum(id_ in self._running for id_ in ids)
                numbers = (len(ids), ended["done"], running, ended["failed"], ended["skipped"])
                table.add_row(kind, *map(str, numbers))
        now = self._clock()
        rows = [
            f"  {id_}  {job.progress}, {duration(now - job.started)}"
            for id_, job in list(self._running.items())[: max(3, self._console.height - 8)]
        ]
        lines = [Text(row, overflow="ellipsis", no_wrap=True) for row in (*rows, self.summary())]
        return Group(table, *lines)

    def _weight(self, id_: str) -> float:
        return self._jobs[id_].cost or 1.0

    def _end(self, id_: str, state: str) -> float:
        job = self._running.pop(id_, None)
        self._ended[id_] = state
        return self._clock() - job.started if job else 0.0

    def _position(self) -> str:
        return f"[{len(self._ended)}/{len(self._jobs)}]"

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        if not self._live:
            self._last_shown = self._clock()


def first_line(text: str) -> str:
    """The first line of a message that may go on with details."""
    return text.strip().partition("\n")[0]


def duration(seconds: float) -> str:
    """Seconds as people say them: 31 s, 4 min 10 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
