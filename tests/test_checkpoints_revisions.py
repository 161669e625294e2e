"""What commit a revision of a checkpoint is: the hub says it, or its cache, or nobody."""

from __future__ import annotations

import time
from pathlib import Path

import huggingface_hub.constants
import pytest
from made_checkpoints import COMMIT, MOVED, cache, cached, hub, whole_checkpoint

from xltray.checkpoints import folder_content, is_commit, resolve
from xltray.errors import MissingInputError
from xltray.inputs import FileInputs
from xltray.plan import Checkpoint
from xltray.spec import DataSpec, EncoderSpec
from xltray.sweep import main

# Fixtures: pytest looks for them in this module.
__all__ = ["cache", "hub"]


def identified(
    revision: str = "main", *, lenient: bool = False, checkpoint: str = "org/model"
) -> tuple[Checkpoint, FileInputs]:
    inputs = FileInputs(DataSpec(), lenient=lenient)
    return inputs.checkpoint("enc", EncoderSpec(checkpoint=checkpoint, revision=revision)), inputs


@pytest.mark.parametrize("revision", ["main", "v1", COMMIT[:39], COMMIT.upper(), f"{COMMIT}\n", None])
def test_only_forty_digits_are_a_commit(revision: str | None) -> None:
    assert is_commit(COMMIT)
    assert not is_commit(revision)


def test_a_commit_is_taken_as_it_is(hub: list[str]) -> None:
    found, inputs = identified(COMMIT)
    assert found == (f"org/model@{COMMIT}", "org/model", COMMIT)
    assert (inputs.notes, inputs.missing, hub) == ([], [], [])


def test_a_branch_is_the_commit_that_the_hub_says(cache: Path, hub: list[str]) -> None:
    cached(cache, "org/model")
    found, inputs = identified()
    assert found == (f"org/model@{MOVED}", "org/model", MOVED), "the branch has moved since it was cached"
    assert inputs.missing == []
    assert inputs.notes == [f"encoders.enc.revision: 'main' may move; to keep what it is now, pin {MOVED}"]


@pytest.mark.parametrize("branch", ["main", "v1.0", "refs/pr/2"])
def test_a_dry_run_looks_into_the_cache_alone(cache: Path, hub: list[str], branch: str) -> None:
    cached(cache, "org/model", branch=branch)
    found, inputs = identified(branch, lenient=True)
    assert found == (f"org/model@{COMMIT}", "org/model", COMMIT)
    assert COMMIT in inputs.notes[0]
    assert (inputs.missing, hub) == ([], [])


def test_a_dry_run_takes_note_of_what_is_not_cached(cache: Path, hub: list[str]) -> None:
    found, inputs = identified(lenient=True)
    assert found.content == "org/model@main"
    (problem,) = inputs.missing
    assert problem.where == "encoders.enc.revision"
    assert problem.found == "'main' of org/model, which is no known commit: not in the hub's cache"
    assert (inputs.notes, hub) == ([], [])


def test_the_cache_serves_where_the_hub_is_out_of_reach(cache: Path) -> None:
    cached(cache, "org/model")
    found, inputs = identified()
    assert found.revision == COMMIT
    assert len(inputs.notes) == 1


def test_the_cache_serves_offline(cache: Path, hub: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    cached(cache, "org/model")
    assert identified()[0].revision == COMMIT
    found = resolve("org/other", "main", ask=True)
    assert found == (None, "not in the hub's cache, and HF_HUB_OFFLINE is set")
    assert hub == []


def test_a_run_ends_with_what_to_do_where_a_branch_is_unknown(
    cache: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    _, inputs = identified()
    with pytest.raises(MissingInputError) as caught:
        inputs.raise_missing()
    assert time.monotonic() - started < 10
    assert caught.value.exit_code == 3
    said = str(caught.value)
    for part in ("encoders.enc.revision", "'main' of org/model", "does not answer", "xltray.data fetch"):
        assert part in said
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_a_hub_that_is_silent_is_waited_for_once(hub: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xltray.checkpoints.HUB_TIMEOUT_S", 0.2)
    started = time.monotonic()
    assert "does not answer" in resolve("org/slow", "main", ask=True).why
    assert time.monotonic() - started < 10
    assert len(hub) == 1


@pytest.mark.parametrize(
    ("checkpoint", "revision", "why"),
    [
        ("org/model", "v9", "the hub has no such revision"),
        ("org/other", "main", "the hub has no such model"),
        ("not a name", "main", "not a name"),
    ],
)
def test_what_the_hub_does_not_have(hub: list[str], checkpoint: str, revision: str, why: str) -> None:
    _, inputs = identified(revision, checkpoint=checkpoint)
    (problem,) = inputs.missing
    assert why in problem.found


def test_a_folder_has_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = whole_checkpoint(tmp_path / "model").resolve()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for written in ("model", "./model", "~/model"):
        found, inputs = identified(checkpoint=written)
        assert found == (folder_content(folder), str(folder), None), "absolute: workers run elsewhere"
        assert (inputs.missing, inputs.notes) == ([], [])


SWEEP = """\
tasks: [pos]
pairs: {qaa: [qab]}
data: {corpora: {pos: toy}}
encoders: {enc: {checkpoint: org/model}}
"""


def test_what_the_command_says_of_a_branch(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(SWEEP)
    assert main(["s.yaml", "--dry-run"]) == 0
    assert "- encoders.enc.revision: 'main' of org/model, which is no known commit" in capsys.readouterr().out
    assert main(["s.yaml"]) == 3
    said = capsys.readouterr().err
    assert said.count("encoders.enc.revision: found 'main' of org/model") == 1
    cached(cache, "org/model")
    assert main(["s.yaml", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"Note: encoders.enc.revision: 'main' may move; to keep what it is now, pin {COMMIT}\n" in said
    assert "To run: 9 of 9 fine-tunings, 3 of 3 surfaces." in said
