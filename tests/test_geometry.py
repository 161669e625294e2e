"""Norms and angles of a cell's two directions, against numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from test_surface import endpoints
from tiny import Tiny

from xltray import geometry as geometry_module
from xltray.evaluator import CellEvaluator
from xltray.jobs import SurfaceJob


def geometry(tiny: Tiny, job: SurfaceJob) -> dict[str, dict[str, Any]]:
    table = tiny.store.read_table(tiny.store.geometry_path(job))
    return {row["part"]: row for row in table.to_pylist()}


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_norms_and_angles_are_numpys(tiny: Tiny, task: str) -> None:
    job = tiny.cell(task)
    weights, found = endpoints(tiny, job), geometry(tiny, job)
    prefixes = {
        "all": "",
        "encoder": "encoder.",
        "head": "head.",
        "embeddings": "encoder.embeddings.",
        "layer.0": "encoder.encoder.layer.0.",
    }
    assert set(found) == set(prefixes)
    for name, prefix in prefixes.items():
        chosen = [key for key in weights["bilingual"] if key.startswith(prefix)]

        def delta(corner: str, chosen: list[str] = chosen) -> Any:
            pieces = [
                (weights[corner][key].astype(np.float64) - weights["bilingual"][key]).ravel()
                for key in chosen
            ]
            return np.concatenate(pieces)

        source, target = delta("source"), delta("target")
        row = found[name]
        assert row["parameters"] == source.size
        assert row["norm_src"] == pytest.approx(np.linalg.norm(source), rel=1e-9)
        assert row["norm_tgt"] == pytest.approx(np.linalg.norm(target), rel=1e-9)
        assert row["norm_ratio"] == pytest.approx(np.linalg.norm(source) / np.linalg.norm(target), rel=1e-9)
        cosine = source @ target / np.linalg.norm(source) / np.linalg.norm(target)
        assert row["angle"] == pytest.approx(math.degrees(math.acos(cosine)), rel=1e-6)
        assert 5 < row["angle"] < 120


def test_blocks_do_not_change_the_geometry(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = CellEvaluator(tiny.context)
    evaluator.load(tiny.cell())
    whole = evaluator.geometry()
    monkeypatch.setattr(geometry_module, "_BLOCK", 7)
    for one, other in zip(whole, evaluator.geometry(), strict=True):
        assert (one.part, one.parameters) == (other.part, other.parameters)
        assert other[2:] == pytest.approx(one[2:], rel=1e-12)


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_groups_of_parameters_add_up(tiny: Tiny, task: str) -> None:
    found = geometry(tiny, tiny.cell(task))
    for whole, parts in {"all": ["encoder", "head"], "encoder": ["embeddings", "layer.0"]}.items():
        assert found[whole]["parameters"] == sum(found[name]["parameters"] for name in parts)
        for norm in ("norm_src", "norm_tgt"):
            squares = sum(found[name][norm] ** 2 for name in parts)
            assert found[whole][norm] ** 2 == pytest.approx(squares, rel=1e-9)
