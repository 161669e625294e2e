"""Published folders that are not what was written: found, named, and made anew."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.fs
import pytest
from rich.console import Console
from tiny import PRETRAIN, Tiny, make_tiny, run_job

from xltray import files
from xltray.cluster.metrics import WorkMetrics
from xltray.cluster.trial import SET_ASIDE, JobTrial
from xltray.errors import DamagedError, StoreError
from xltray.evaluator import LocalPool
from xltray.files import ABSENCE_SECONDS, PATIENCE_SECONDS
from xltray.jobs import FinetuneJob, Job, LanguageData
from xltray.store import Store
from xltray.surface import score_surface
from xltray.sweep import _cut_short

Damage = Callable[[Store, str], None]


def flip(store: Store, path: str) -> None:
    data = bytearray(store.read_bytes(path))
    data[len(data) // 2] ^= 1
    store.write_bytes(path, bytes(data))


def cut(store: Store, path: str) -> None:
    store.write_bytes(path, store.read_bytes(path)[:-1])


def lose(store: Store, path: str) -> None:
    store.delete(path)


@pytest.fixture(params=["disk", "elsewhere"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "model.safetensors").write_bytes(b"weights of a model")
    elsewhere = Store.from_filesystem(pyarrow.fs._MockFileSystem(), "bucket/store")
    store = elsewhere if request.param == "elsewhere" else Store(str(tmp_path / "store"))
    store.publish_directory(tmp_path / "made", "endpoints/x", {})
    return store


WEIGHTS = "endpoints/x/model.safetensors"


def test_what_is_whole(store: Store) -> None:
    store.check_sizes("endpoints/x")
    assert (store.intact_directory("endpoints/x") / "model.safetensors").read_bytes() == b"weights of a model"


@pytest.mark.parametrize(
    ("damage", "found"),
    [(flip, "found SHA-256 "), (cut, "found 17 bytes, expected 18 bytes"), (lose, "model.safetensors")],
)
def test_what_is_not_is_named(store: Store, damage: Damage, found: str) -> None:
    damage(store, WEIGHTS)
    with pytest.raises(StoreError) as caught:
        store.intact_directory("endpoints/x")
    assert WEIGHTS in str(caught.value) or damage is lose
    assert found in str(caught.value)
    if damage is not lose or store.uri.startswith("/"):
        assert isinstance(caught.value, DamagedError)
        assert "Delete endpoints/x from the store and run the sweep again" in str(caught.value)
    if damage is flip:
        store.check_sizes("endpoints/x")
    else:
        with pytest.raises(DamagedError, match=f"{WEIGHTS} .*expected 18 bytes"):
            store.check_sizes("endpoints/x")


ENTRY = '{"files": {"model.safetensors": %s}}'


@pytest.mark.parametrize(
    "marker",
    ["", '{"files": {"mod', "[]", "{}", '{"files": []}', ENTRY % "18", ENTRY % '{"sha256": "0"}'],
)
def test_a_marker_that_is_not_what_was_written(store: Store, tmp_path: Path, marker: str) -> None:
    store.write_bytes("endpoints/x/DONE.json", marker.encode())
    for read in (
        store.check_sizes,
        store.intact_directory,
        lambda path: store.fetch_directory(path, tmp_path / "copy"),
    ):
        with pytest.raises(DamagedError, match=r"endpoints/x/DONE.json in the store .*found no "):
            read("endpoints/x")


@pytest.mark.parametrize("store", ["elsewhere"], indirect=True)
def test_a_damaged_copy_is_fetched_again(store: Store) -> None:
    copy = store.local_directory("endpoints/x") / "model.safetensors"
    copy.write_bytes(b"weights of a modem")
    assert (store.intact_directory("endpoints/x") / "model.safetensors").read_bytes() == b"weights of a model"


@pytest.mark.parametrize("store", ["elsewhere"], indirect=True)
def test_a_damaged_copy_that_another_process_removes_is_fetched_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, compare = store.local_directory("endpoints/x"), store._compare
    (copy / "model.safetensors").write_bytes(b"weights of a modem")

    def compare_and_remove(path: str, files: Any, folder: Path) -> None:
        try:
            compare(path, files, folder)
        except DamagedError:
            shutil.rmtree(folder)
            raise

    monkeypatch.setattr(store, "_compare", compare_and_remove)
    assert store.intact_directory("endpoints/x") == copy
    assert (copy / "model.safetensors").read_bytes() == b"weights of a model"
    assert [path.name for path in copy.parent.iterdir()] == ["x"]


def test_set_aside_it_counts_no_more_until_it_is_made_anew(store: Store, tmp_path: Path) -> None:
    store.set_aside(DamagedError("endpoints/x", "bits flipped"))
    assert not store.exists("endpoints/x/DONE.json")
    assert store.read_json("endpoints/x/BROKEN.json") == {"problem": "bits flipped"}
    store.publish_directory(tmp_path / "made", "endpoints/x", {})
    assert store.exists("endpoints/x/DONE.json")
    assert not store.exists("endpoints/x/BROKEN.json")


def test_the_error_comes_whole_out_of_another_process() -> None:
    error = pickle.loads(pickle.dumps(DamagedError("endpoints/x", "bits flipped")))
    assert (error.folder, error.problem) == ("endpoints/x", "bits flipped")
    assert str(error).startswith("bits flipped. Delete endpoints/x from the store")


def needed_now(tiny: Tiny) -> tuple[set[str], str]:
    """What a run would do, and what it says before."""
    out = StringIO()
    done = tiny.store.done_ids(tiny.plan.jobs.values())
    done -= _cut_short(tiny.plan, tiny.store, done, Console(file=out, width=500).print)
    return set(tiny.plan.needed(done)), out.getvalue()


def test_a_run_makes_anew_what_is_cut_short(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    cell, endpoint = own.cell(), own.endpoint()
    path = f"{own.store.endpoint_path(endpoint.id)}/model.safetensors"
    cut(own.store, path)
    assert needed_now(own) == (set(), ""), "nothing needs it"
    own.store.delete(own.store.surface_path(cell))
    needed, said = needed_now(own)
    assert needed == {endpoint.id, cell.id}
    assert f"{path} in the store" in said
    assert "It counts no more; a run that needs it makes it anew." in said
    own.run([own.plan.jobs[id_] for id_ in own.plan.jobs if id_ in needed])
    assert own.store.read_table(own.store.surface_path(cell)).equals(
        tiny.store.read_table(tiny.store.surface_path(cell))
    )
    assert needed_now(own) == (set(), "")


def test_a_run_makes_anew_what_has_a_marker_cut_short(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    marker = f"{own.store.endpoint_path(own.endpoint().id)}/DONE.json"
    own.store.delete(own.store.surface_path(own.cell()))
    own.store.write_bytes(marker, own.store.read_bytes(marker)[:40])
    needed, said = needed_now(own)
    assert needed == {own.endpoint().id, own.cell().id}
    assert f"{marker} in the store" in said


def step(own: Tiny, job: Job) -> str:
    """Run a job as a trial does, without Ray; returns the error that it reports."""
    runtime = {
        "threads": 1,
        "checkpoint_seconds": 60.0,
        "device": "cpu",
        "servers": 1,
        "processes": 1,
        "points_per_chunk": 4,
    }
    trial = JobTrial.__new__(JobTrial)
    trial._pool = None if isinstance(job, FinetuneJob) else LocalPool(own.context)  # type: ignore[assignment]
    trial._metrics = WorkMetrics()
    trial._begin(
        {
            **runtime,
            "storage": own.store.uri,
            "data": own.sweep.data.model_dump_json(),
            "job": job.model_dump_json(),
            "id": job.id,
            "kind": job.kind,
            "runners": "xltray.cluster.jobrunners:real_runners",
        }
    )
    while not (result := trial.step())["done"]:
        pass
    return str(result["error"])


@pytest.mark.parametrize("kind", ["encoder", "endpoint"])
def test_a_job_that_reads_flipped_bits_fails_once_and_the_next_run_makes_them_anew(
    tiny: Tiny, tmp_path: Path, kind: str
) -> None:
    own = tiny.copied(tmp_path / "store")
    job: Job = own.cell() if kind == "endpoint" else own.endpoint()
    read = own.endpoint() if kind == "endpoint" else own.encoder()
    results = [own.store.surface_path(own.cell()), *([own.store.folder(job)] if kind == "encoder" else [])]
    for path in results:
        own.store.delete(path)
    flip(own.store, f"{own.store.folder(read)}/model.safetensors")
    assert needed_now(own)[0] == ({job.id, own.cell().id}), "the sizes are right"
    error = step(own, job)
    assert error.startswith(f"DamagedError: {own.store.folder(read)}/model.safetensors in the store")
    assert error.endswith(SET_ASIDE)
    again = [own.plan.jobs[id_] for id_ in own.plan.jobs if id_ in needed_now(own)[0]]
    assert [each.id for each in again][:2] == [read.id, job.id]
    for each in again:
        run_job(each, own.context)
    assert own.store.read_table(own.store.surface_path(own.cell())).equals(
        tiny.store.read_table(tiny.store.surface_path(tiny.cell()))
    )


@pytest.mark.parametrize("kind", ["surface", "geometry", "part"])
def test_a_cell_heals_whatever_of_it_is_damaged(tiny: Tiny, tmp_path: Path, kind: str) -> None:
    own = tiny.copied(tmp_path / "store")
    job, store = own.cell(), own.store
    path = store.geometry_path(job) if kind == "geometry" else store.surface_path(job)
    if kind == "part":
        store.delete(path)
        run = score_surface(job, own.context, LocalPool(own.context), points_per_chunk=4)
        for _ in range(3):
            next(run)
        run.close()
        path = f"{store.parts_path(job)}/{store.names(store.parts_path(job))[0]}"
    flip(store, path)
    assert needed_now(own)[0] == {job.id}
    assert not step(own, job)
    assert needed_now(own) == (set(), "")
    assert not store.exists(store.parts_path(job))
    for each in (store.surface_path(job), store.geometry_path(job)):
        assert store.read_table(each).equals(tiny.store.read_table(each))


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
    assert error.startswith("CorpusError: On machine worker-3: The data changed under a running sweep.\n")
