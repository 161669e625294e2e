"""A sweep of all four tasks, and servers on the loopback that have what it reads."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from made_hub import HUB_SPLITS, entities_table, pairs_table
from made_hub_server import Hub, Repository, serving
from made_treebanks import git_server, make_repository, treebank

from xltray.spec_types import Role

XNLI, WIKIANN, MODEL = "b8dd5d7af51114dbda02c0e3f6133f332186418e", "a" * 40, "c" * 40
LANGUAGES = ("sw", "ur")

TREEBANKS = {
    "UD_Swahili-Made": treebank("sw_made", "dev", "test"),
    "UD_Urdu-Made": treebank("ur_made", "dev", "train"),
    "UD_Yoruba-Made": treebank("yo_made", "dev", "train"),
}
UD = {"sw": {"treebank": "UD_Swahili-Made", "train": "test"}, "ur": {"treebank": "UD_Urdu-Made"}}
CHECKPOINT = {
    "config.json": b'{"model_type": "bert"}',
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{ }",  # the hub's cache keeps equal files once
    "model.safetensors": b"s" * 3_000,
    "pytorch_model.bin": b"p" * 3_000,
    "tf_model.h5": b"t",
    "flax_model.msgpack": b"f",
    "onnx/model.onnx": b"o",
    "onnx/tokenizer.json": b"o",
    "README.md": b"r",
}


def parquet(corpus: str, role: Role) -> bytes:
    """Return a file of a dataset: two examples to train on, one to score."""
    count = 2 if role == "train" else 1
    entities, pairs = [(("a", "b"), ("B-LOC", "O"))] * count, [("a", "b", "neutral")] * count
    packed = io.BytesIO()
    pq.write_table(pairs_table(pairs) if corpus == "xnli" else entities_table(entities), packed)
    return packed.getvalue()


def dataset(corpus: str, *languages: str) -> dict[str, bytes]:
    roles: tuple[Role, ...] = ("train", "dev")
    files = {
        f"{language}/{HUB_SPLITS[role]}-00000-of-00001.parquet": parquet(corpus, role)
        for language in languages
        for role in roles
    }
    return {"README.md": b"r", **files, **{f"{lang}/test-00000-of-00001.parquet": b"" for lang in languages}}


@dataclass
class World:
    """A sweep of all four tasks, and the servers that have what it reads."""

    folder: Path
    hub: Hub
    git: str

    @property
    def root(self) -> Path:
        return self.folder / "data"

    def sweep(self, **changes: object) -> Path:
        content = {
            "tasks": ["xnli", "ner", "pos", "parsing"],
            "pairs": {"sw": ["ur"]},
            "data": {
                "root": str(self.root),
                "treebanks": UD,
                "sources": {"ud": {"repositories": self.git}, "wikiann": {"revision": WIKIANN}},
            },
            "encoders": {"tiny": {"checkpoint": "made/tiny", "revision": MODEL}},
        }
        path = self.folder / "trial.yaml"
        path.write_text(yaml.safe_dump(content | changes))
        return path

    def run(self, *overrides: str, command: str = "fetch", offline: bool = False, **changes: object) -> Ran:
        """Run the command in a process of its own: huggingface_hub reads the environment once."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        own = {"HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.folder / "hf")}
        own |= {"HF_HUB_OFFLINE": "1"} if offline else {}
        arguments = [sys.executable, "-W", "error", "-m", "xltray.data", command, str(self.sweep(**changes))]
        done = subprocess.run(
            [*arguments, *overrides],
            env=kept | own,
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout.splitlines(), done.stderr)

    def snapshot(self) -> Path:
        """Return where the hub's cache has the checkpoint."""
        return self.folder / "hf" / "hub" / "models--made--tiny" / "snapshots" / MODEL

    def cached(self) -> list[str]:
        """Return the files of the checkpoint in the hub's cache."""
        snapshot = self.snapshot()
        return sorted(str(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file())


@dataclass
class Ran:
    """How a command ended, and what it said."""

    code: int
    out: list[str]
    err: str


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The address of a git server, and the commit of each treebank's tag."""
    base = tmp_path_factory.mktemp("git")
    commits = {name: make_repository(base / name, files, "r2.7") for name, files in TREEBANKS.items()}
    with git_server(base) as url:
        yield url, commits


@pytest.fixture
def world(tmp_path: Path, repositories: tuple[str, Mapping[str, str]]) -> Iterator[World]:
    with serving() as hub:
        hub.repositories["datasets/facebook/xnli"] = Repository(dataset("xnli", *LANGUAGES, "de"), XNLI)
        hub.repositories["datasets/unimelb-nlp/wikiann"] = Repository(
            dataset("wikiann", *LANGUAGES, "de", "yo"), WIKIANN
        )
        hub.repositories["models/made/tiny"] = Repository(CHECKPOINT, MODEL)
        yield World(tmp_path, hub, repositories[0])


@pytest.fixture
def here(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world for treebanks alone, which need no process of their own."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return world
