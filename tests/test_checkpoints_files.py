"""What names the content of a checkpoint's files, and what keeps them from being loaded."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from made_checkpoints import COMMIT, cache, cached, hub, whole_checkpoint

from xltray.checkpoints import checkpoint_problems, folder_content

# Fixtures: pytest looks for them in this module.
__all__ = ["cache", "hub"]


def lacking(root: Path) -> list[str]:
    return [problem.found for problem in checkpoint_problems(str(root / "model"), None)]


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
