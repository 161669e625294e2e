"""What is shown while a sweep runs: lines without a terminal, a table in one, honest estimates."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from xltray.cluster.forecast import Work
from xltray.cluster.progress import Board, duration
from xltray.cluster.startups import WARM_SHARE
from xltray.events import JsonLines


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


JOBS = {
    "f1": Work("finetune", 10),
    "f2": Work("finetune", 30),
    "s1": Work("surface", 100),
    "s2": Work("surface", 100),
}


def make_board(
    jobs: dict[str, Work] = JOBS, *, terminal: bool = False, **options: Any
) -> tuple[Board, Clock, io.StringIO]:
    clock, out = Clock(), io.StringIO()
    # Not what the tests' own terminal is.
    environment = {"TERM": "xterm"}
    console = Console(
        file=out, force_terminal=terminal, width=100, height=40, color_system=None, _environ=environment
    )
    return Board(jobs, console, clock, **options), clock, out


def finish_one(board: Board, clock: Clock) -> None:
    """Let f1 run for 31 seconds and end, and begin two more."""
    board.start("f1")
    clock.now += 31
    board.complete("f1")
    board.start("f2")
    board.start("s1")


def test_plain_lines_at_the_start_when_jobs_end_and_at_the_end() -> None:
    board, clock, out = make_board()
    with board.shown("a new local Ray"):
        finish_one(board, clock)
        clock.now += 5
        board.retry("f2", "OSError: no disk\n  File x")
        board.start("f2")
        clock.now += 2
        board.fail("f2", "ValueError: not finite\n  File y", skipped=["s2"])
        clock.now += 60
        board.complete("s1")
    assert out.getvalue().splitlines() == [
        "4 jobs to run (2 finetune, 2 surface) on a new local Ray",
        "[1/4] finetune f1 done in 31 s",
        "finetune f2 failed and is tried again: OSError: no disk",
        "[3/4] finetune f2 failed after 2 s: ValueError: not finite (skipped for want of it: 1)",
        "[4/4] surface s1 done in 1 min 7 s",
        "2 of 4 jobs done, 0 running, 1 failed, 1 skipped, 1 min 38 s so far",
    ]


def test_a_summary_every_30_seconds_whatever_else_is_said() -> None:
    board, clock, out = make_board()
    board.start("f1")
    for step in range(650):
        clock.now += 0.1
        board.tick()
        if step % 100 == 0:
            board.say("a line")
    lines = [line for line in out.getvalue().splitlines() if line != "a line"]
    assert len(lines) == 2
    assert lines[0].startswith("0 of 4 jobs done, 1 running, 30 s so far")


def test_points_per_second_over_the_last_minute() -> None:
    board, clock, _ = make_board()
    board.start("s1")
    clock.now += 5
    board.advance("s1", 60, 400, "points")
    clock.now += 5
    board.advance("s1", 100, 400, "points")
    assert board.points_per_second() == pytest.approx(10)
    board.start("f1")
    board.advance("f1", 5000, 9000, "steps")
    board.advance("f1", 6000, 9000, "steps")
    assert board.points_per_second() == pytest.approx(10)
    clock.now += 60
    assert board.points_per_second() == 0
    board.advance("s1", 220, 400, "points")
    assert board.points_per_second() == pytest.approx(2)


def test_points_of_an_earlier_run_or_try_are_no_pace() -> None:
    board, clock, _ = make_board()
    board.start("s1")
    clock.now += 5
    board.advance("s1", 300, 400, "points", first=300)
    assert board.points_per_second() == 0
    assert board.seconds_left() is None
    board.advance("s1", 320, 400, "points", first=300)
    board.retry("s1", "died")
    board.start("s1")
    clock.now += 5
    board.advance("s1", 330, 400, "points", first=320)
    assert board.points_per_second() == pytest.approx(30 / 10)


def test_a_resumed_job_tells_its_pace_by_what_it_did_itself() -> None:
    board, clock, _ = make_board({"s1": Work("surface", 100), "s2": Work("surface", 100)})
    board.start("s1")
    for done in (320, 330, 340):
        clock.now += 10
        board.advance("s1", done, 400, "points", first=320)
    # A second a point, after ten seconds to start; the next one has a process already.
    assert board.seconds_left() == pytest.approx(60 + WARM_SHARE * 10 + 400, rel=0.03)
    clock.now += 60
    board.complete("s1")
    clock.now += 5
    assert board.seconds_left() == pytest.approx(80 / 0.2 + WARM_SHARE * 10, rel=0.01)


def test_time_left_counts_down_between_forecasts() -> None:
    board, clock, _ = make_board()
    board.start("f1")
    clock.now += 20
    board.complete("f1")
    first = board.seconds_left()
    assert first is not None
    clock.now += 1.5
    assert board.seconds_left() == pytest.approx(first - 1.5)


def test_time_left_is_shared_by_the_devices_there_are() -> None:
    jobs = {f"f{number}": Work("finetune", 10) for number in range(9)}
    board, clock, _ = make_board(jobs)
    assert board.seconds_left() is None
    board.start("f0")
    clock.now += 20
    board.complete("f0")
    assert board.seconds_left() == pytest.approx(8 * 20, rel=0.01)
    board.devices = 4
    clock.now += 5
    assert board.seconds_left() == pytest.approx(2 * 20, rel=0.01)


def test_what_a_job_does_before_it_works_is_no_pace() -> None:
    board, clock, _ = make_board({"s1": Work("surface", 100), "s2": Work("surface", 100)})
    board.start("s1")
    clock.now += 40
    # Told once only, at the end: it was at its tenth point nine seconds ago, so it began ten seconds ago.
    board.advance("s1", 100, 100, "points", early=(10, 9.0))
    board.complete("s1")
    board.start("s2")
    assert board.seconds_left() == pytest.approx(10 + WARM_SHARE * 30, rel=0.05)


def test_machines_get_the_same_as_events() -> None:
    events = io.StringIO()
    board, clock, _ = make_board(emit=JsonLines(events))
    with board.shown("a new local Ray"):
        finish_one(board, clock)
        board.advance("s1", 40, 465, "points")
        board.tick()
        board.retry("f2", "OSError: no disk\n  File x")
        board.fail("f2", "ValueError: not finite", skipped=["s2"])
        board.say("a word")
    told = [json.loads(line) for line in events.getvalue().splitlines()]
    assert all(event.pop("time").endswith("+00:00") for event in told)
    progress = [event for event in told if event["event"] == "progress"]
    assert [event for event in told if event["event"] != "progress"] == [
        {"event": "connected", "where": "a new local Ray"},
        {"event": "job", "id": "f1", "kind": "finetune", "state": "running"},
        {"event": "job", "id": "f1", "kind": "finetune", "state": "done", "seconds": 31.0},
        {"event": "job", "id": "f2", "kind": "finetune", "state": "running"},
        {"event": "job", "id": "s1", "kind": "surface", "state": "running"},
        {
            "event": "job",
            "id": "f2",
            "kind": "finetune",
            "state": "retried",
            "message": "OSError: no disk\n  File x",
        },
        {
            "event": "job",
            "id": "f2",
            "kind": "finetune",
            "state": "failed",
            "seconds": 0.0,
            "message": "ValueError: not finite",
            "skipped": ["s2"],
        },
        {"event": "note", "message": "a word"},
    ]
    assert len(progress) == 2, "after 30 seconds and at the end"
    first = progress[0]
    assert first["under_way"]["s1"] == {"done": 40, "total": 465, "unit": "points"}
    assert {key: first[key] for key in ("jobs", "running", "done", "failed", "skipped", "seconds")} == {
        "jobs": 4,
        "running": 2,
        "done": 1,
        "failed": 0,
        "skipped": 0,
        "seconds": 31.0,
    }
    assert first["seconds_left"] > 0
    assert progress[1]["failed"] == progress[1]["skipped"] == 1


def test_a_terminal_shows_the_jobs_by_kind_and_those_under_way() -> None:
    board, clock, out = make_board(terminal=True)
    with board.shown("Ray at head:6379"):
        board.start("f1")
        clock.now += 10
        board.complete("f1")
        board.start("s1")
        board.advance("s1", 40, 465, "points")
        clock.now += 1
        board.tick()
        shown = out.getvalue()
    lines = [line.split() for line in shown.splitlines()]
    assert ["finetune", "2", "1", "0", "0", "0"] in lines
    assert ["surface", "2", "0", "1", "0", "0"] in lines
    assert "s1  40/465 points, 1 s" in shown
    assert "[1/4] finetune f1 done in 10 s" in shown


def test_a_terminal_without_a_cursor_gets_lines() -> None:
    clock, out = Clock(), io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, _environ={"TERM": "dumb"})
    board = Board(JOBS, console, clock)
    with board.shown("Ray"):
        clock.now += 30
        board.tick()
        assert "0 of 4 jobs done, 0 running, 30 s so far" in out.getvalue()


def test_text_in_brackets_is_shown_as_it_is() -> None:
    board, _, out = make_board()
    board.say("[bold]runtime.address[/bold]")
    assert out.getvalue() == "[bold]runtime.address[/bold]\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (250, "4 min 10 s"), (7500, "2 h 5 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
