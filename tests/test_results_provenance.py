"""What the stored files say of where their numbers come from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from xltray import results
from xltray.cluster.session import worker_environment
from xltray.results import REVISION, provenance


class TestProvenance:
    def test_versions_and_what_the_caller_knows(self) -> None:
        found = provenance(device="cuda: some GPU")
        assert found["device"] == "cuda: some GPU"
        assert {"xltray", "torch", "transformers", "python", "platform"} <= set(found)
        assert all(found.values())

    def test_revision_is_that_of_the_checkout(self, tmp_path: Path) -> None:
        git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run([*git, "init", "-q"], check=True)
        (tmp_path / "file").write_text("one")
        subprocess.run([*git, "add", "file"], check=True)
        subprocess.run([*git, "commit", "-qm", "one"], check=True)
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
        ).stdout.strip()
        assert results._source_revision(tmp_path) == head
        (tmp_path / "file").write_text("two")
        assert results._source_revision(tmp_path) == f"{head}-dirty"

    def test_outside_a_checkout_it_is_what_the_environment_says(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # An image that was built without it has it empty.
        for said, expected in (("abc-dirty", "abc-dirty"), ("", None)):
            monkeypatch.setenv(REVISION, said)
            assert results._source_revision(tmp_path) == expected
            assert worker_environment(1)[REVISION] == said
        monkeypatch.delenv(REVISION)
        assert REVISION not in worker_environment(1)

    def test_no_revision_outside_a_checkout_or_without_git(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert results._source_revision(tmp_path) is None
        (tmp_path / ".git").mkdir()
        assert results._source_revision(tmp_path) is None
        monkeypatch.setenv("PATH", str(tmp_path))
        assert results._source_revision(tmp_path) is None
