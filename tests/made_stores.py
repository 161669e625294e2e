"""Stores on disk, elsewhere and in a bucket, what is put into them, and file systems that fail."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pytest

from xltray import files
from xltray.jobs import EncoderRef, FinetuneJob, LanguageData, SurfaceJob
from xltray.spec import FinetuneSpec
from xltray.store import Store

TABLE = pa.table({"x": [1, 2, 3]})


def opened(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Return an empty store: on disk, in a bucket ("s3"), or on a file system that only pretends."""
    if kind == "disk":
        return Store(str(tmp_path / "store"))
    if kind == "s3":
        return Store(f"{request.getfixturevalue('s3_bucket')}/{tmp_path.name}/store")
    return Store.from_filesystem(pyarrow.fs._MockFileSystem(), "bucket/store")


@pytest.fixture(params=["disk", "elsewhere", pytest.param("s3", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return opened(request.param, request, tmp_path)


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return opened("disk", request, tmp_path)


@pytest.fixture(params=["pretence", pytest.param("s3", marks=pytest.mark.slow)])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return opened(request.param, request, tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited, on a clock that goes on only by waiting."""
    now = [0.0]
    monkeypatch.setattr(files.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(files.time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    return now


class FileSystem:
    """A file system with some methods replaced."""

    def __init__(self, inner: Any, **replaced: Any) -> None:
        self._inner, self._replaced = inner, replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced.get(name) or getattr(self._inner, name)


def every_file(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


class Killed(BaseException):
    """Stands for the process's death."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    local = tmp_path / "made"
    (local / "tokenizer").mkdir(parents=True)
    (local / "model.safetensors").write_bytes(b"weights")
    (local / "tokenizer" / "vocab.txt").write_bytes(b"a\nb\n")
    (local / "empty").write_bytes(b"")
    return local


def endpoint(*languages: str, encoder: str = "tiny", task: str = "pos") -> FinetuneJob:
    return FinetuneJob(
        task=task,
        corpus="toy",
        languages=tuple(sorted(languages)),
        seed=0,
        encoder=EncoderRef(name=encoder, content="sha"),
        data={language: LanguageData(train="t", dev="d") for language in languages},
        recipe=FinetuneSpec(),
    )


def cell(target: str = "de", **kind: str) -> SurfaceJob:
    return SurfaceJob(
        source="en",
        target=target,
        source_endpoint=endpoint("en", **kind),
        target_endpoint=endpoint(target, **kind),
        bilingual_endpoint=endpoint("en", target, **kind),
        plane=(Fraction(0), Fraction(1)),
        alphas=(),
        scopes=("all",),
    )
