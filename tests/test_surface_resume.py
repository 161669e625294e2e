"""A cell whose scoring was killed, or whose files are damaged or gone, ends with the same results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file
from test_geometry import geometry
from test_surface import SCOPES, forget, publish_again, surface
from tiny import POINTS, Tiny, run_job

from xltray.evaluator import CellEvaluator, Chunk, LocalPool
from xltray.grid import CORNERS
from xltray.jobs import SurfaceJob
from xltray.precision import Scoring
from xltray.results import Geometry, Score, scores_of
from xltray.store import Store
from xltray.surface import PointPool, score_surface


class CountingPool:
    """Scores in this process, notes what, and fails before a chunk when told to."""

    def __init__(self, pool: PointPool, fail_at: int | None = None) -> None:
        self.pool = pool
        self.fail_at = fail_at
        self.scored: list[tuple[str, int]] = []

    def load(self, job: SurfaceJob) -> Scoring:
        return self.pool.load(job)

    def geometry(self) -> list[Geometry]:
        return self.pool.geometry()

    def score(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, list[Score]]]:
        for number, (chunk, scores) in enumerate(self.pool.score(chunks)):
            if number == self.fail_at:
                raise RuntimeError("killed")
            self.scored += [(chunk.scope, point) for point in chunk.points]
            yield chunk, scores


EVERY = sorted((scope, point) for scope in SCOPES for point in range(POINTS))
CHUNKS = 9  # three for each scope: the corners, then four points and four


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_a_run_killed_after_any_chunk_gives_the_same_rows(tiny: Tiny, tmp_path: Path, task: str) -> None:
    own = tiny.copied(tmp_path / "store")
    job, pool = own.cell(task), LocalPool(own.context)
    for after in range(CHUNKS + 1):
        forget(own, job)
        killed = CountingPool(pool)
        run = score_surface(job, own.context, killed, points_per_chunk=4)
        done = [next(run) for _ in range(after)]
        assert [progress.done for progress in done] == sorted({p.done for p in done})
        run.close()
        assert not own.store.exists(own.store.surface_path(job))
        resumed = CountingPool(pool)
        progress = run_job(job, own.context, resumed)
        assert sorted(killed.scored + resumed.scored) == EVERY, "no point is scored twice"
        assert len(killed.scored) == (done[-1].done if done else 0)
        assert not progress or progress[-1][:3] == (len(EVERY), len(EVERY), "points")
        assert surface(own, job).equals(surface(tiny, job))
        assert not own.store.exists(own.store.parts_path(job))


def test_a_run_that_fails_again_and_again_still_ends(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    job, local = own.cell(), LocalPool(own.context)
    forget(own, job)
    scored: list[tuple[str, int]] = []
    for size in [1, 2, 3, 5, 7]:
        pool = CountingPool(local, fail_at=2)
        with pytest.raises(RuntimeError, match="killed"):
            list(score_surface(job, own.context, pool, points_per_chunk=size))
        scored += pool.scored
    pool = CountingPool(local)
    run_job(job, own.context, pool)
    assert sorted(scored + pool.scored) == EVERY
    assert surface(own, job).equals(surface(tiny, job))


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_damaged_parts_are_deleted_and_scored_again(
    tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    own = tiny.copied(tmp_path / "store")
    job, local = own.cell(), LocalPool(own.context)
    forget(own, job)
    with pytest.raises(RuntimeError, match="killed"):
        list(score_surface(job, own.context, CountingPool(local, fail_at=4), points_per_chunk=4))
    folder = own.store.parts_path(job)
    names = own.store.names(folder)
    path = f"{folder}/{names[1]}"
    data = bytearray(own.store.read_bytes(path))
    hit = scores_of(own.store.read_table(path))
    # In the pages: without checksums that may give other rows.
    data[60] ^= 4
    own.store.write_bytes(path, {"cut": bytes(data[:100]), "flip": bytes(data), "empty": b""}[damage])
    kept = sum(int(name.removesuffix(".parquet").rpartition("-")[2]) for name in names if name != names[1])
    pool = CountingPool(local)
    run = score_surface(job, own.context, pool, points_per_chunk=4)
    assert next(run).done == kept
    assert names[1] not in own.store.names(folder)
    list(run)
    assert f"a part of {job.id} is deleted, and its points are scored again: cannot read" in caplog.text
    assert path in caplog.text
    assert {(score.scope, score.point) for score in hit} <= set(pool.scored)
    assert len(pool.scored) == len(EVERY) - kept
    assert surface(own, job).equals(surface(tiny, job))


@pytest.mark.parametrize("which", ["surface", "geometry"])
def test_damaged_results_are_made_anew(tiny: Tiny, tmp_path: Path, which: str) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    path = own.store.surface_path(job) if which == "surface" else own.store.geometry_path(job)
    own.store.write_bytes(path, own.store.read_bytes(path)[:100])
    pool = CountingPool(LocalPool(own.context))
    run_job(job, own.context, pool)
    assert sorted(pool.scored) == (EVERY if which == "surface" else [])
    assert own.store.is_done(job)
    assert surface(own, job).equals(surface(tiny, job))
    assert geometry(own, job) == geometry(tiny, job)


def test_killed_between_the_table_and_the_removal_of_its_parts(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    forget(own, job)
    with monkeypatch.context() as patch:

        def killed(*_: object) -> None:
            raise RuntimeError("killed")

        patch.setattr(Store, "delete", killed)
        with pytest.raises(RuntimeError, match="killed"):
            run_job(job, own.context)
    assert own.store.names(own.store.parts_path(job))
    pool = CountingPool(LocalPool(own.context))
    assert run_job(job, own.context, pool) == []
    assert pool.scored == []
    assert surface(own, job).equals(surface(tiny, job))
    # Readers of the folder never see the parts.
    assert len(pd.read_parquet(own.root / "surfaces")) == len(pd.read_parquet(tiny.root / "surfaces"))


def test_parts_of_endpoints_that_were_made_again_are_not_used(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    forget(own, job)
    run = score_surface(job, own.context, LocalPool(own.context), points_per_chunk=4)
    for _ in range(5):
        next(run)
    run.close()
    # As if on another device: the same job, other numbers.
    other = tiny.copied(tmp_path / "other")
    learner = other.cell().source_endpoint
    for root in (own, other):
        path = root.root / "endpoints" / learner.id
        weights = load_file(path / "model.safetensors")
        weights["head.weight"] = weights["head.weight"][::-1].copy()
        save_file(weights, path / "model.safetensors")
        done = {key: value for key, value in root.done(learner).items() if key != "files"}
        # Without counts to compare with, any weights are taken.
        publish_again(root, learner, counts={})
        evaluator = CellEvaluator(root.context)
        evaluator.load(job)
        (qaa,) = (s for s in evaluator.score_point(CORNERS["source"]) if s.language == "qaa")
        done["counts"] = {"qaa": {"accuracy": [qaa.correct, qaa.predicted, qaa.gold]}}
        root.store.publish_directory(path, f"endpoints/{learner.id}", done)
    forget(other, job)
    run_job(job, other.context)
    run_job(job, own.context)
    assert surface(own, job).equals(surface(other, job))
    assert not surface(own, job).equals(surface(tiny, job))
    for tiny_ in (own, other):
        assert geometry(tiny_, job)["all"]["norm_src"] != geometry(tiny, job)["all"]["norm_src"]
    assert not own.store.exists(own.store.parts_path(job))


def test_parts_say_which_device_scored_them_and_the_whole_names_all(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    forget(own, job)
    for device in ("b", "a", "c, b"):
        monkeypatch.setattr("xltray.evaluator.device_name", lambda _, name=device: name)
        run = score_surface(job, own.context, LocalPool(own.context), points_per_chunk=4)
        for _ in range(1 + 2):
            next(run)
        run.close()
    folder = own.root / own.store.parts_path(job)
    said = [pq.read_schema(part).metadata[b"xltray.device"] for part in folder.iterdir()]
    assert set(said) == {b"a", b"b", b"c, b"}
    run_job(job, own.context)
    metadata = pq.read_schema(own.root / own.store.surface_path(job)).metadata
    assert metadata[b"xltray.device"] == b"a, b, c"


def test_geometry_alone_is_written_again_without_scoring(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    own.store.delete(own.store.geometry_path(job))
    pool = CountingPool(LocalPool(own.context))
    assert run_job(job, own.context, pool) == []
    assert pool.scored == []
    assert geometry(own, job) == geometry(tiny, job)
    assert own.store.is_done(job)


def test_the_surface_alone_is_scored_again(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    own.store.delete(own.store.surface_path(job))
    pool = CountingPool(LocalPool(own.context))
    run_job(job, own.context, pool)
    assert sorted(pool.scored) == EVERY
    assert surface(own, job).equals(surface(tiny, job))
