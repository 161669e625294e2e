"""Checkpoints by ``fetch``: connections that break, forms of weights, branches, and what would not load."""

from __future__ import annotations

import json

import pytest
from made_fetch import CHECKPOINT, MODEL, World, here, repositories, world
from made_hub_server import Repository

from xltray.data import main
from xltray.fetch.hub import _list

# Fixtures: pytest looks for them in this module.
__all__ = ["here", "repositories", "world"]


def test_a_broken_connection_is_taken_up_where_it_broke(world: World) -> None:
    # huggingface_hub writes 10 MiB at a time: of the 12 that come, that much is kept.
    content = bytes(range(256)) * (24 << 12)
    world.hub.repositories["models/made/tiny"] = Repository(
        CHECKPOINT | {"model.safetensors": content}, MODEL
    )
    weights = f"/made/tiny/resolve/{MODEL}/model.safetensors"
    world.hub.cut.add(weights)
    assert world.run("tasks=[pos]").code == 0
    ranges = [asked.range for asked in world.hub.asked if asked[:2] == ("GET", weights)]
    assert ranges == [None, f"bytes={10 << 20}-"]
    (path,) = (world.folder / "hf").rglob("model.safetensors")
    assert path.read_bytes() == content


def test_sharded_and_pickled_weights(world: World) -> None:
    index = json.dumps({"weight_map": {"a": "first.bin", "b": "second.bin"}}).encode()
    names = ("config.json", "tokenizer.json", "tokenizer_config.json")
    shards = {"first.bin": b"1", "second.bin": b"2", "third.bin": b"3"}
    files = {"pytorch_model.bin.index.json": index} | shards | {name: CHECKPOINT[name] for name in names}
    world.hub.repositories["models/made/tiny"] = Repository(files, MODEL)
    main_ = {"tiny": {"checkpoint": "made/tiny"}}
    assert world.run("tasks=[pos]", encoders=main_).code == 0
    assert world.cached() == sorted({*files} - {"third.bin"})
    # A branch is known to the cache, for runs without the hub.
    assert world.run("tasks=[pos]", encoders=main_, offline=True).code == 0
    next((world.folder / "hf").rglob("second.bin")).unlink()
    incomplete = world.run("tasks=[pos]", encoders=main_, offline=True)
    assert incomplete.code == 3
    assert "not all of revision 'main' in the hub's cache (lacks second.bin)" in incomplete.err


def test_a_branch_moves_when_all_of_its_commit_is_there(world: World) -> None:
    encoders = {"tiny": {"checkpoint": "made/tiny"}}
    assert world.run("tasks=[pos]", encoders=encoders).code == 0
    commit = "d" * 40
    files = CHECKPOINT | {"model.safetensors": b"new", "config.json": b'{"model_type": "xlm-roberta"}'}
    world.hub.repositories["models/made/tiny"] = Repository(files, commit)
    world.hub.lost.add(f"/made/tiny/resolve/{commit}/model.safetensors")
    moved = world.run("tasks=[pos]", encoders=encoders)
    assert moved.code == 3
    assert "encoder tiny: FAILED" in moved.out
    reference = world.snapshot().parents[1] / "refs" / "main"
    assert reference.read_text() == MODEL
    assert world.run("tasks=[pos]", encoders=encoders, offline=True).code == 0
    world.hub.lost.clear()
    assert "encoder tiny: done" in world.run("tasks=[pos]", encoders=encoders).out
    assert reference.read_text() == commit


INDEX = "model.safetensors.index.json"
REMOTE = b'{"model_type": "new", "auto_map": {"AutoModel": "modeling.NewModel"}}'


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("tokenizer.json", None, "found no tokenizer"),
        ("tokenizer.json", {"vocab.json": b"{}"}, "found no tokenizer"),
        ("config.json", {"config.json": REMOTE}, "remote code is off"),
        ("config.json", {"config.json": b"["}, "found one without a config.json that is a JSON object"),
        *(
            ("model.safetensors", {INDEX: index}, f"found a {INDEX} that names no files")
            for index in (b"[]", b"{", b'{"weight_map": {}}', b'{"weight_map": {"a": ["x"]}}')
        ),
        ("model.safetensors", {INDEX: b'{"weight_map": {"a": "x"}}'}, "found no x"),
    ],
)
def test_a_checkpoint_that_would_not_load(
    here: World,
    name: str,
    content: dict[str, bytes] | None,
    found: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", here.hub.url)
    template = here.hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(here.folder / "cache"))
    _list.cache_clear()
    files = {file: data for file, data in CHECKPOINT.items() if file != name}
    here.hub.repositories["models/made/tiny"] = Repository(files | (content or {}), MODEL)
    path = here.sweep(data={"corpora": {"pos": "toy"}}, tasks=["pos"], pairs={"qaa": ["qab"]})
    assert main(["fetch", str(path)]) == 3
    assert found in capsys.readouterr().err


def test_a_folder_that_would_not_load(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    (here.folder / "own").mkdir()
    encoders = {"own": {"checkpoint": str(here.folder / "own")}}
    data = {"corpora": {"pos": "toy"}}
    path = here.sweep(data=data, tasks=["pos"], pairs={"qaa": ["qab"]}, encoders=encoders)
    assert main(["fetch", str(path)]) == 3
    assert "found a folder without weights" in capsys.readouterr().err


def test_what_was_fetched_loads(world: World) -> None:
    # Here, because torch takes seconds to import and no other test needs it.
    from made_models import encoder, save, wordpiece

    from xltray.nn.encoder import load_encoder

    folder = save(world.folder / "saved", encoder(vocabulary=20), wordpiece(["a", "b"]))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    world.hub.repositories["models/made/tiny"] = Repository(files | {"pytorch_model.bin": b"p"}, MODEL)
    assert world.run("tasks=[pos]").code == 0
    load_encoder(str(world.snapshot()))
    assert world.cached() == sorted(files)
