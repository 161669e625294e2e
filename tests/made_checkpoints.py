"""Folders and hub caches with the files of a checkpoint, and what answers for the hub."""

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

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MOVED = "fedcba9876543210fedcba9876543210fedcba98"


def whole_checkpoint(folder: Path) -> Path:
    """Make a folder with all the files of a checkpoint."""
    folder.mkdir(exist_ok=True)
    for name, content in {
        "config.json": '{"model_type": "bert"}',
        "model.safetensors": "weights",
        "tokenizer.json": "{}",
    }.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def cached(cache: Path, model: str, commit: str = COMMIT, *, branch: str | None = "main") -> Path:
    """Lay out a hub cache with one commit of a model, as huggingface_hub does; returns the snapshot."""
    folder = cache / f"models--{model.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    if branch:
        reference = folder / "refs" / branch
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(commit)
    return whole_checkpoint(snapshot)


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
