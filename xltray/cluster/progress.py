"""What the user sees while a sweep runs.

In a terminal: a live table of the jobs by kind with the jobs under way, points per second and the
time left. Elsewhere (a log file, CI): one line at the start, one when a job ends, and a summary
every 30 seconds. Machines get the same as events (``xltray/events.py``). The time left is the
forecast's (``forecast.py``).
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from xltray.cluster.forecast import Forecast, Work
from xltray.cluster.running import Running
from xltray.errors import summary
from xltray.events import Emit, silent
from xltray.jobs import KINDS

SUMMARY_SECONDS = 30.0
REFRESH_SECONDS = 0.5
FORECAST_SECONDS = 2.0
PACE_SECONDS = 60.0


class Board:
    """Counts what happens to the jobs and shows it; give it a clock to test it.

    ``devices`` is how many jobs that take one device can run at a time; whoever knows sets it.
    """

    def __init__(
        self,
        jobs: Mapping[str, Work],
        console: Console,
        clock: Callable[[], float] = time.monotonic,
        *,
        emit: Emit = silent,
    ) -> None:
        """Show ``jobs`` (by id) on ``console``."""
        self._jobs = jobs
        self._console = console
        self._clock = clock
        self._emit = emit
        self._begin = self._last_drawn = self._last_summary = clock()
        self._running: dict[str, Running] = {}
        self._ended: dict[str, str] = {}
        self._points: deque[tuple[float, int]] = deque([(self._begin, 0)])
        self.devices = 1
        self._forecast = Forecast(jobs)
        self._forecasted: tuple[float, float | None] = (-FORECAST_SECONDS, None)
        live = Live(console=console, auto_refresh=False, transient=True)
        self._live = live if console.is_terminal and not console.is_dumb_terminal else None

    @contextmanager
    def shown(self, where: str) -> Iterator[None]:
        """Say what is going to run and where; show the display meanwhile; end with a summary."""
        kinds = Counter(job.kind for job in self._jobs.values())
        counts = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind])
        self._print(f"{len(self._jobs)} jobs to run ({counts}) on {where}")
        self._emit("connected", where=where)
        with self._live or nullcontext():
            yield
        self._summarise()

    def say(self, text: str) -> None:
        """Print a line beside the display."""
        self._print(text)
        self._emit("note", message=text)

    def start(self, id_: str, devices: int | None = None) -> None:
        """A job began, or began again after a failure; on so many devices, if not on those expected."""
        self._running[id_] = Running(self._clock())
        self._forecast.begin(id_, devices)
        self._emit("job", id=id_, kind=self._jobs[id_].kind, state="running")

    def advance(
        self,
        id_: str,
        done: int,
        total: int,
        unit: str,
        *,
        first: int = 0,
        early: tuple[int, float] | None = None,
        validation_seconds: float | None = None,
    ) -> None:
        """A running job told how far it is; ``first`` is where it began (a resumed one above 0).

        ``early`` says how far it was once it was at work, and how many seconds ago that was; without it,
        this is what it tells first. ``validation_seconds`` are those of a fine-tuning's last validation.
        """
        now = self._clock()
        job = self._running.setdefault(id_, Running(now))
        if unit == "points":
            before = job.done if job.total else first
            self._points.append((now, self._points[-1][1] + done - before))
        if early is not None:
            job.early = early[0], now - early[1]
        elif not job.total:
            job.early = done, now
        if not job.total or done != job.done:
            job.late = done, now
        job.first, job.total, job.unit = first, total, unit
        if job.starting is not None:
            self._forecast.started(id_, job.starting)
        if validation_seconds is not None:
            self._forecast.probe(id_, validation_seconds)

    def complete(self, id_: str) -> None:
        """A job's result is in the store."""
        here = self._running[id_].share_here if id_ in self._running else 0.0
        seconds = self._end(id_, "done")
        self._forecast.complete(id_, seconds, here)
        kind = self._jobs[id_].kind
        self._print(f"{self._position()} {kind} {id_} done in {duration(seconds)}")
        self._emit("job", id=id_, kind=kind, state="done", seconds=round(seconds, 3))

    def retry(self, id_: str, message: str) -> None:
        """A job failed and is going to be tried again."""
        self._running.pop(id_, None)
        self._forecast.leave(id_)
        kind = self._jobs[id_].kind
        self._print(f"{kind} {id_} failed and is tried again: {summary(message)}")
        self._emit("job", id=id_, kind=kind, state="retried", message=message)

    def fail(self, id_: str, message: str, skipped: Collection[str] = ()) -> None:
        """A job failed for good, and others that need it are skipped."""
        seconds = self._end(id_, "failed")
        for other in skipped:
            self._ended[other] = "skipped"
        kind = self._jobs[id_].kind
        text = f"{self._position()} {kind} {id_} failed after {duration(seconds)}: {summary(message)}"
        self._print(f"{text} (skipped for want of it: {len(skipped)})" if skipped else text)
        told = {"seconds": round(seconds, 3), "message": message, "skipped": list(skipped)}
        self._emit("job", id=id_, kind=kind, state="failed", **told)

    def tick(self) -> None:
        """Call often: redraws the live display, or prints a summary when it is time."""
        now = self._clock()
        if self._live and now - self._last_drawn >= REFRESH_SECONDS:
            self._live.update(self.table(), refresh=True)
            self._last_drawn = now
        if now - self._last_summary >= SUMMARY_SECONDS:
            self._summarise()

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
        made, left = self._forecasted
        if now - made >= FORECAST_SECONDS:
            running = {id_: job.under(now) for id_, job in self._running.items()}
            made, left = now, self._forecast.seconds_left(self._ended, running, self.devices)
            self._forecasted = made, left
        return None if left is None or len(self._ended) == len(self._jobs) else max(0.0, left - (now - made))

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

    def _summarise(self) -> None:
        """Print a summary, unless the live display shows one, and emit it."""
        now = self._last_summary = self._clock()
        # At the end the live display is gone.
        if not self._live or not self._live.is_started:
            self._print(self.summary())
        counts = Counter(self._ended.values())
        left = self.seconds_left()
        self._emit(
            "progress",
            jobs=len(self._jobs),
            running=len(self._running),
            **{state: counts[state] for state in ("done", "failed", "skipped")},
            points_per_second=round(self.points_per_second(), 3),
            seconds=round(now - self._begin, 3),
            seconds_left=None if left is None else round(left, 1),
            under_way={
                id_: {"done": job.done, "total": job.total, "unit": job.unit}
                for id_, job in self._running.items()
            },
        )

    def _end(self, id_: str, state: str) -> float:
        job = self._running.pop(id_, None)
        self._forecast.leave(id_)
        self._ended[id_] = state
        return self._clock() - job.started if job else 0.0

    def _position(self) -> str:
        return f"[{len(self._ended)}/{len(self._jobs)}]"

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """Seconds as people say them: 31 s, 4 min 10 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
