"""Faults and absences: what a job waits for, what it is tried again for, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_damage import flip, step
from tiny import PRETRAIN, Tiny, make_tiny

from xltray import files
from xltray.cluster.trial import SET_ASIDE
from xltray.errors import StoreError
from xltray.files import ABSENCE_SECONDS, PATIENCE_SECONDS
from xltray.jobs import Job, LanguageData
from xltray.store import Store


@pytest.mark.parametrize(
    ("error", "again"),
    [(OSError(5, "Input/output error"), True), (OSError(28, "No space left on device"), False)],
)
def test_a_job_is_tried_again_only_if_the_store_may_recover(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, again: bool
) -> None:
    own = tiny.copied(tmp_path / "store")
    own.store.delete(own.store.surface_path(own.cell()))

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("xltray.cluster.jobrunners.PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(Store, "write_table", lambda store, path, _: store._commit(path, fails))
    if again:
        with pytest.raises(StoreError, match="Input/output error"):
            step(own, own.cell())
    else:
        assert step(own, own.cell()).startswith("StoreError: cannot write ")


def test_damage_is_set_aside_with_the_patience_of_the_job(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tiny.copied(tmp_path / "store")
    own.store.delete(own.store.surface_path(own.cell()))
    flip(own.store, f"{own.store.folder(own.endpoint())}/model.safetensors")
    used: list[float] = []
    monkeypatch.setattr(Store, "set_aside", lambda store, _: used.append(store.patience))
    step(own, own.cell())
    assert used == [PATIENCE_SECONDS]


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that stores were waited for, and for nothing else: threads of others sleep too."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(files, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    return now


@pytest.mark.parametrize("kind", ["encoder", "endpoint"])
def test_what_was_set_aside_is_not_waited_for(
    tiny: Tiny, tmp_path: Path, waited: list[float], kind: str
) -> None:
    own = tiny.copied(tmp_path / "store")
    job: Job = own.cell() if kind == "endpoint" else own.endpoint()
    read = own.store.folder(own.endpoint() if kind == "endpoint" else own.encoder())
    own.store.delete(own.store.surface_path(own.cell()))
    if kind == "encoder":
        own.store.delete(own.store.folder(job))
    flip(own.store, f"{read}/model.safetensors")
    damage = step(own, job)
    error = step(own, job)
    assert waited == [0.0]
    assert error.startswith(f"StoreError: {read} in the store")
    assert "was set aside" in error
    assert damage.removeprefix("DamagedError: ").removesuffix(f" {SET_ASIDE}") in error


@pytest.mark.parametrize("back", [True, False])
def test_a_file_that_a_machine_does_not_see_yet_is_no_damage(
    tiny: Tiny, tmp_path: Path, waited: list[float], monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    own = tiny.copied(tmp_path / "store")
    own.store.delete(own.store.folder(own.endpoint()))
    weights = tmp_path / "store" / own.store.folder(own.encoder()) / "model.safetensors"
    weights.rename(tmp_path / "away")

    def pause(seconds: float) -> None:
        waited[0] += seconds
        if back and waited[0] > 30.0 and not weights.exists():
            (tmp_path / "away").rename(weights)

    monkeypatch.setattr(files.time, "sleep", pause)
    error = step(own, own.endpoint())
    if back:
        assert not error
        assert 30.0 < waited[0] < ABSENCE_SECONDS
        assert own.store.is_done(own.endpoint())
    else:
        assert "model.safetensors in the store" in error
        assert "found no such file" in error
        assert error.endswith(SET_ASIDE)
        assert 50.0 < waited[0] <= ABSENCE_SECONDS


def test_a_job_that_reads_what_is_not_there_is_tried_again(
    tiny: Tiny, tmp_path: Path, waited: list[float]
) -> None:
    own = tiny.copied(tmp_path / "store")
    own.store.delete(own.store.folder(own.endpoint()))
    own.store.delete(own.store.folder(own.encoder()))
    with pytest.raises(StoreError, match=r"cannot read encoders/.*/DONE.json"):
        step(own, own.endpoint())
    assert waited[0] > 50.0


def test_a_corpus_that_a_machine_lacks_is_told_with_the_machine_and_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("a b c\nc b a\n", encoding="utf-8")
    encoders = {"small": {"pretrain": PRETRAIN | {"text": ["a.txt"], "languages": []}}}
    own = make_tiny(tmp_path / "store", data={"root": str(tmp_path)}, encoders=encoders)
    monkeypatch.setattr("socket.gethostname", lambda: "worker-3")
    here = tmp_path / "a.txt"

    def go(*_: object) -> Iterator[str]:
        here.unlink()
        yield here.read_text(encoding="utf-8")

    with monkeypatch.context() as patch:
        patch.setattr("xltray.passages.text_sentences", go)
        error = step(own, own.encoder())
    assert error.startswith("MissingInputError: On machine worker-3: a file is not there.\n")
    assert f"text to pretrain on, {here}: found no such file" in error
    assert "Put it there, at the same path as on the machine that started the sweep" in error
    error = step(own, own.encoder())
    assert error.startswith("MissingInputError: On machine worker-3: Text to pretrain on is missing\n")
    assert f"{here}: found nothing" in error


def test_examples_that_change_are_told_with_the_machine(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tiny.copied(tmp_path / "store")
    own.store.delete(own.store.folder(own.endpoint()))
    job = own.endpoint()
    changed = job.model_copy(update={"data": {"qaa": LanguageData(train="0" * 64, dev="1" * 64)}})
    monkeypatch.setattr("socket.gethostname", lambda: "worker-3")
    error = step(own, changed)
    assert error.startswith("CorpusError: On machine worker-3: What a job reads is not what the sweep was ")
