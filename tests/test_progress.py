"""What is shown while a sweep runs: lines without a terminal, a table in one, honest estimates."""

from __future__ import annotations

import io
from typing import NamedTuple

import pytest
from rich.console import Console

from xltray.cluster.progress import Board, duration


class Job(NamedTuple):
    kind: str
    cost: float = 1.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


JOBS = {
    "f1": Job("finetune", 10),
    "f2": Job("finetune", 30),
    "s1": Job("surface", 100),
    "s2": Job("surface", 100),
}


def make_board(jobs: dict[str, Job] = JOBS, *, terminal: bool = False) -> tuple[Board, Clock, io.StringIO]:
    clock, out = Clock(), io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, height=40, color_system=None)
    return Board(jobs, console, clock), clock, out


def test_plain_lines_at_the_start_when_jobs_end_and_at_the_end() -> None:
    board, clock, out = make_board()
    with board.shown("a new local Ray"):
        board.start("f1")
        clock.now += 31
        board.complete("f1")
        board.start("f2")
        board.start("s1")
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


def test_a_summary_at_least_every_30_seconds_but_no_more_often() -> None:
    board, clock, out = make_board()
    board.start("f1")
    for _ in range(650):
        clock.now += 0.1
        board.tick()
    assert len(out.getvalue().splitlines()) == 2
    assert out.getvalue().startswith("0 of 4 jobs done, 1 running, 30 s so far")


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
    # 10 of 400 points took 5 s, so a unit of cost (4 points) takes 2 s.
    assert board.seconds_left() == pytest.approx(2 * (10 + 30 + 17.5 + 100))


def test_time_left_is_at_each_kinds_own_pace_shared_by_what_runs() -> None:
    board, clock, _ = make_board()
    assert board.seconds_left() is None
    board.start("f1")
    clock.now += 20
    board.complete("f1")  # 2 s a unit of cost; of surfaces nothing is known yet
    assert board.seconds_left() == pytest.approx(2 * (30 + 100 + 100))
    board.start("s1")
    board.start("f2")
    clock.now += 10
    board.advance("s1", 1, 5, "points")  # 20 of 100 in 10 s: 0.5 s a unit
    assert board.seconds_left() == pytest.approx((2 * 30 + 0.5 * (80 + 100)) / 2)


def test_time_left_of_jobs_without_a_cost() -> None:
    board, clock, _ = make_board({"p1": Job("pretrain", 0.0), "p2": Job("pretrain", 0.0)})
    board.start("p1")
    clock.now += 4
    board.complete("p1")
    assert board.seconds_left() == pytest.approx(4)


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


def test_text_in_brackets_is_shown_as_it_is() -> None:
    board, _, out = make_board()
    board.say("[bold]runtime.address[/bold]")
    assert out.getvalue() == "[bold]runtime.address[/bold]\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (250, "4 min 10 s"), (7500, "2 h 5 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
