"""Checkpoints: what commit a revision is, what names a folder's content, what keeps one from loading."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import huggingface_hub.constants
import pytest
from made_checkpoints import COMMIT, cached, whole_checkpoint

from xltray.checkpoints import checkpoint_problems, folder_content, is_commit, resolve
from xltray.errors import MissingInputError
from xltray.inputs import FileInputs
from xltray.plan import Checkpoint
from xltray.spec import DataSpec, EncoderSpec
from xltray.sweep import main

MOVED = "fedcba9876543210fedcba9876543210fedcba98"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, empty; the hub itself is out of reach."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    # Port 9 refuses: nothing listens there.
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    return tmp_path / "cache"


class Hub(BaseHTTPRequestHandler):
    """A hub with one model, org/model, whose only branch is main; others need a login, or do not answer."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if "/org/slow/" in self.path:
            time.sleep(20)
            return
        known = self.path.startswith("/api/models/org/model/revision/")
        error = "RepoNotFound" if not known else "" if self.path.endswith("/main") else "RevisionNotFound"
        body = json.dumps({"id": "org/model", "sha": MOVED, "siblings": []}).encode()
        self.send_response(404 if error else 200)
        self.send_header("X-Error-Code", error)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub that answers; yields what it was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    Hub.asked.clear()
    yield Hub.asked
    server.shutdown()
    server.server_close()


def identified(
    revision: str = "main", *, lenient: bool = False, checkpoint: str = "org/model"
) -> tuple[Checkpoint, FileInputs]:
    inputs = FileInputs(DataSpec(), lenient=lenient)
    return inputs.checkpoint("enc", EncoderSpec(checkpoint=checkpoint, revision=revision)), inputs


def lacking(root: Path) -> list[str]:
    return [problem.found for problem in checkpoint_problems(str(root / "model"), None)]


# The commit of a revision.


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


# What names a folder's content.


def test_a_folder_is_named_by_what_its_numbers_depend_on(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_text(name, encoding="utf-8")
    before = folder_content(folder)
    (folder / "README.md").write_text("words", encoding="utf-8")
    folder.rename(tmp_path / "moved")
    folder = tmp_path / "moved"
    assert folder_content(folder) == before
    for name in (
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "vocab.txt",
        "sentencepiece.bpe.model",
    ):
        (folder / name).write_text(f"other {name}", encoding="utf-8")
        after = folder_content(folder)
        assert after != before
        before = after


def test_only_what_would_be_loaded_names_a_folder(tmp_path: Path) -> None:
    folder = whole_checkpoint(tmp_path / "model")
    before = folder_content(folder)
    for name in ("optimizer.bin", "trainer_state.json", "training_args.bin", "notes.txt", "README.md"):
        (folder / name).write_text("left over", encoding="utf-8")
    for name in ("pytorch_model.bin", "model.safetensors.index.json", "model-00001-of-00001.safetensors"):
        (folder / name).write_text("passed over for model.safetensors", encoding="utf-8")
    assert folder_content(folder) == before
    (folder / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    assert folder_content(folder) != before


def test_weights_in_several_files_are_those_of_the_index(tmp_path: Path) -> None:
    folder = whole_checkpoint(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    shards = {"a.weight": "model-1.safetensors", "b.weight": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    for name in (*shards.values(), "model-3.safetensors", "pytorch_model.bin"):
        (folder / name).write_text(name, encoding="utf-8")
    before = folder_content(folder)
    for name in ("model-3.safetensors", "pytorch_model.bin"):
        (folder / name).write_text("of another model", encoding="utf-8")
    assert folder_content(folder) == before
    (folder / "model-2.safetensors").write_text("trained on", encoding="utf-8")
    assert folder_content(folder) != before


def test_pickled_weights_count_where_there_are_no_others(tmp_path: Path) -> None:
    folder = whole_checkpoint(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    before = folder_content(folder)
    (folder / "pytorch_model.bin").write_text("trained on", encoding="utf-8")
    assert folder_content(folder) != before


# What keeps a checkpoint from being loaded.


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("config.json", None, "a folder without config.json"),
        ("config.json", "{", "a config.json that is no JSON object"),
        ("config.json", "[]", "a config.json that is no JSON object"),
        ("config.json", "{}", "a config.json without model_type"),
        ("model.safetensors", None, "a folder without weights"),
        ("tokenizer.json", None, "a folder without a tokenizer"),
    ],
)
def test_what_a_folder_lacks_of_a_checkpoint(
    tmp_path: Path, name: str, content: str | None, found: str
) -> None:
    folder = whole_checkpoint(tmp_path / "model")
    (folder / name).unlink()
    if content:
        (folder / name).write_text(content, encoding="utf-8")
    (problem,) = checkpoint_problems(str(folder), None)
    assert (problem.where, problem.found) == (f"encoder checkpoint {str(folder)!r}", found)


def test_all_that_a_folder_lacks_is_told_together(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}", encoding="utf-8")
    assert lacking(tmp_path) == [
        "a config.json without model_type",
        "a folder without weights",
        "a folder without a tokenizer",
    ]


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_weights_in_several_files_are_all_there(tmp_path: Path, weights: str) -> None:
    folder = whole_checkpoint(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    index = folder / f"{weights}.index.json"
    index.write_text("{}")
    assert lacking(tmp_path) == [f"a {index.name} without weight_map"]
    index.write_text(json.dumps({"weight_map": {"a": "one", "b": "two", "c": "three"}}))
    (folder / "one").write_text("weights")
    assert lacking(tmp_path) == ["a folder without three, two"]
    for name in ("two", "three"):
        (folder / name).write_text("weights")
    assert lacking(tmp_path) == []


@pytest.mark.parametrize(
    "files",
    [
        ("vocab.txt",),
        ("sentencepiece.bpe.model",),
        ("spiece.model",),
        ("vocab.json", "merges.txt"),
        ("tokenizer.model",),
    ],
)
def test_every_form_of_tokenizer_will_do(tmp_path: Path, files: tuple[str, ...]) -> None:
    folder = whole_checkpoint(tmp_path / "model")
    (folder / "tokenizer.json").rename(folder / files[0])
    for name in files[1:]:
        assert lacking(tmp_path) == ["a folder without a tokenizer"]
        (folder / name).write_text("merges", encoding="utf-8")
    assert lacking(tmp_path) == []


def test_code_of_its_own_is_told_before_anything_runs(tmp_path: Path) -> None:
    folder = whole_checkpoint(tmp_path / "model")
    config = folder / "config.json"
    auto = {"AutoModel": "modeling.NewModel"}
    config.write_text(json.dumps({"model_type": "new", "auto_map": auto}))
    (found,) = lacking(tmp_path)
    assert "model_type 'new'" in found
    assert "remote code is off" in found
    # Such a checkpoint of a family that transformers has needs no code of its own.
    config.write_text(json.dumps({"model_type": "eurobert", "auto_map": auto}))
    assert lacking(tmp_path) == []


def test_a_cached_model_of_the_hub_needs_no_network(cache: Path, hub: list[str]) -> None:
    snapshot = cached(cache, "org/model")
    assert checkpoint_problems("org/model", COMMIT) == []
    (snapshot / "config.json").write_text('{"model_type": "new", "auto_map": {}}')
    (problem,) = checkpoint_problems("org/model", COMMIT)
    assert "remote code is off" in problem.found
    assert hub == []


@pytest.mark.parametrize(
    ("gone", "lacks"),
    [
        ("config.json", "config.json"),
        ("model.safetensors", "weights"),
        ("tokenizer.json", "tokenizer"),
    ],
)
def test_a_model_that_is_cached_in_part_and_out_of_reach(cache: Path, gone: str, lacks: str) -> None:
    (cached(cache, "org/model") / gone).unlink()
    (problem,) = checkpoint_problems("org/model", COMMIT)
    assert f"not all of revision '{COMMIT}' in the hub's cache (lacks {lacks})" in problem.found


@pytest.mark.parametrize(
    "index", ["[]", "{", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": {"a": ["x"]}}']
)
def test_an_index_that_names_no_weights(cache: Path, index: str) -> None:
    snapshot = cached(cache, "org/model")
    (snapshot / "model.safetensors").rename(snapshot / "shard")
    (snapshot / "model.safetensors.index.json").write_text('{"weight_map": {"a": "shard"}}')
    assert checkpoint_problems("org/model", COMMIT) == []
    (snapshot / "model.safetensors.index.json").write_text(index)
    (problem,) = checkpoint_problems("org/model", COMMIT)
    assert "lacks a model.safetensors.index.json with a weight_map" in problem.found


def test_a_model_of_the_hub_without_its_parts(hub: list[str]) -> None:
    # The hub of these tests lists no files.
    (problem,) = checkpoint_problems("org/model", "main")
    assert problem.found == "a repository without config.json, weights, tokenizer"
    assert len(hub) == 1


@pytest.mark.parametrize("checkpoint", ["nobody/nothing", "not a name"])
def test_a_model_of_the_hub_that_cannot_be_had(cache: Path, checkpoint: str) -> None:
    started = time.monotonic()
    (problem,) = checkpoint_problems(checkpoint, COMMIT)
    assert time.monotonic() - started < 10
    assert problem.where == f"encoder checkpoint {checkpoint!r}"
    assert "neither cached nor reachable" in problem.found
