"""What is damaged in a store is made anew by the next run that needs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_damage import cut, flip, needed_now, step
from tiny import Tiny, run_job

from xltray.cluster.trial import SET_ASIDE
from xltray.evaluator import LocalPool
from xltray.jobs import Job
from xltray.surface import score_surface


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
