"""What a sweep tells machines (``--json``)."""

from __future__ import annotations

import json
from typing import Any

import made_commands
import pytest
from made_commands import FakeCluster, cell, plan, write

from xltray.cluster.run import RunOutcome
from xltray.sweep import main

# Fixtures: pytest looks for them in this module.
here, cluster = made_commands.here, made_commands.cluster


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(event.pop("time") for event in told)
    return told


def test_json_alone_is_on_standard_output(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write()
    fails, waits = plan().of_kind("finetune"), cell("qad").id
    failed = next(fails).id
    cluster.outcome = lambda needed: RunOutcome(
        tuple(id_ for id_ in needed if id_ not in (failed, waits)),
        failed={failed: "ValueError: no\n  trace"},
        skipped={waits: failed},
    )
    assert main([sweep, "--json"]) == 1
    told = events(capsys)
    kinds = {"pretrain": 1, "finetune": 5, "surface": 2}
    assert told[0] == {"event": "start", "sweep": "s", "storage": "results/s", "jobs": kinds}
    assert told[1] == {"event": "note", "message": "for machines"}
    assert told[-1] == {
        "event": "end",
        "exit_code": 1,
        "done": 6,
        "left": 2,
        "failed": {failed: "ValueError: no\n  trace"},
        "skipped": {waits: failed},
        "interrupted": False,
        "lost": "",
        "stopped": "",
    }
    cluster.outcome = lambda needed: RunOutcome(tuple(needed))
    assert main([sweep, "--json"]) == 0
    assert events(capsys)[-1]["exit_code"] == 0
    assert main([sweep, "--json"]) == 0
    started, *_, ended = events(capsys)
    assert (started["jobs"], ended["done"], ended["left"]) == ({}, 0, 0)


def test_json_leaves_what_people_read_on_standard_error(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([write(), "--json"]) == 0
    shown = capsys.readouterr().err
    assert "To run: 1 of 1 pretraining" in shown
    assert "for people" in shown
    assert "Done: 8 jobs." in shown


def test_json_ends_with_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write({"tasks": ["poss"]}), "--json"]) == 2
    (told,) = events(capsys)
    assert (told["event"], told["exit_code"]) == ("error", 2)
    assert "Did you mean 'pos'" in told["message"]


def test_json_of_a_dry_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([write(), "--json", "--dry-run"])
    assert caught.value.code == 2
    assert "found it with --dry-run, which runs nothing" in capsys.readouterr().err
