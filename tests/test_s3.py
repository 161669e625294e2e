"""A whole sweep whose store is an S3-compatible server on this machine."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from made_faults import ONE_CELL, write_sweep
from test_whole_sweeps import run
from tiny import Tiny

from xltray.store import Store

pytestmark = pytest.mark.slow


def test_a_sweep_in_a_bucket_gives_what_one_on_a_disk_does(
    tiny: Tiny, tmp_path: Path, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    uri = f"{s3_bucket}/results/one"
    file = write_sweep(tmp_path / "one.yaml", ONE_CELL, uri)
    assert "1 of 1 surface" in run("xltray.sweep", str(file), "runtime.address=local")
    store, cell = Store(uri), tiny.cell()
    for path in (store.surface_path(cell), store.geometry_path(cell)):
        assert store.read_table(path).equals(tiny.store.read_table(path)), path
    for endpoint in cell.endpoints.values():
        path = f"{store.endpoint_path(endpoint.id)}/model.safetensors"
        assert store.read_bytes(path) == tiny.store.read_bytes(path)
    assert not store.names("checkpoints")

    rows = pd.read_parquet(f"{uri}/surfaces")
    assert set(rows.cell) == {cell.id}
    assert len(rows) == len(tiny.store.read_table(tiny.store.surface_path(cell)))

    drawn = run("analysis", uri, "--out", str(tmp_path / "figures"))
    assert "With all numbers" in drawn
    assert (tmp_path / "figures" / "report.html").exists()

    assert "Nothing to do" in run("xltray.sweep", str(file), "runtime.address=local")
    status = run("xltray.status", str(file))
    assert "finetune" in status
    store.delete(store.surface_path(cell))
    assert "0 of 3 fine-tunings, 1 of 1 surface" in run("xltray.sweep", str(file), "runtime.address=local")
    assert store.read_table(store.surface_path(cell)).equals(
        tiny.store.read_table(tiny.store.surface_path(cell))
    )
