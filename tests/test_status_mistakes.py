"""What is told where the sweep file has changed or is wrong, or the store holds what cannot be read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_status import own, told
from tiny import Tiny

from xltray.status import main

# Fixtures: pytest looks for them in this module.
__all__ = ["own"]


def test_what_differs_from_the_sweep_last_started_is_said(
    own: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    _, printed = told(capsys)
    assert "differs" not in printed
    _, printed = told(capsys, "data.root=nowhere", "runtime.retries=7")
    assert "differs" not in printed, "that changes no result"
    _, printed = told(capsys, "seeds=[0,1,2]", "finetune.epochs=9")
    assert "as it was last started. It now differs in finetune, seeds; " in printed
    assert f"{sys.orig_argv[0]} -m xltray.sweep tiny.yaml 'seeds=[0,1,2]' finetune.epochs=9\n" in printed
    own.store.delete("sweeps/tiny/sweep.yaml")
    _, printed = told(capsys, "seeds=[0,1,2]")
    assert "differs" not in printed


@pytest.mark.parametrize("content", [b"a: [", b"name: 3", b"\xff", b""])
def test_a_stored_sweep_that_cannot_be_read_is_passed_over(
    own: Tiny, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    own.store.write_bytes("sweeps/tiny/sweep.yaml", content)
    _, printed = told(capsys, "seeds=[0,1,2]")
    assert "differs" not in printed


def test_a_sweep_that_was_never_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    content: dict[str, Any] = {
        "tasks": ["pos"],
        "pairs": {"qaa": ["qab"]},
        "encoders": {"a": {"checkpoint": "x"}},
    }
    Path("new.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert main(["new.yaml", "storage=else where"]) == 2
    shown = capsys.readouterr().err
    assert "sweep 'new' is not in else where: found no sweeps/new/plan.json; expected the plan" in shown
    assert f"Start it ({sys.orig_argv[0]} -m xltray.sweep new.yaml 'storage=else where'), or check" in shown
    assert not Path("results").exists()


def test_a_wrong_sweep_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text("tsaks: [pos]\n", encoding="utf-8")
    assert main(["bad.yaml"]) == 2
    assert "Did you mean 'tasks'" in capsys.readouterr().err


def test_a_damaged_endpoint_is_named_beside_the_table(own: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = own.endpoint("pos", "qad").id
    own.store.write_bytes(f"endpoints/{damaged}/DONE.json", b"{")
    assert main(["tiny.yaml"]) == 0
    printed = capsys.readouterr()
    assert "Sweep tiny" in printed.out
    assert f"endpoints/{damaged}/DONE.json in the store {own.store.uri} has changed" in printed.err
    assert main(["tiny.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["finetune"]["done"] == 10


def test_a_broken_plan_is_an_error_that_says_where(own: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    own.store.write_bytes("sweeps/tiny/plan.json", b"{")
    assert main(["tiny.yaml"]) == 2
    assert "sweeps/tiny/plan.json" in capsys.readouterr().err


@pytest.mark.parametrize("content", [{}, [], {"jobs": [{"kind": "finetune"}]}, {"jobs": 1}])
def test_a_plan_of_another_version_is_an_error_that_says_what_to_do(
    own: Tiny, capsys: pytest.CaptureFixture[str], content: Any
) -> None:
    own.store.write_json("sweeps/tiny/plan.json", content)
    assert main(["tiny.yaml"]) == 2
    shown = capsys.readouterr().err
    assert f"sweeps/tiny/plan.json in {own.sweep.storage}: found what is no plan" in shown
    assert f"{sys.orig_argv[0]} -m xltray.sweep tiny.yaml" in shown


@pytest.mark.parametrize("content", [[], {}, {"failed": 1}])
def test_broken_failures_are_an_error_that_says_where(
    own: Tiny, capsys: pytest.CaptureFixture[str], content: Any
) -> None:
    own.store.write_json("sweeps/tiny/failures.json", content)
    assert main(["tiny.yaml"]) == 2
    assert "sweeps/tiny/failures.json in" in capsys.readouterr().err
