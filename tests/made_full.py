"""A store of the full sweep's size, made by formula: 360 cells of 465 points on two languages.

Parsing has three metrics. Written with whole columns, as row by row it would take minutes.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from made_results import METRICS, PAPER_ALPHAS, Cell, grid

PLANE = tuple(Fraction(n, 10) for n in range(-5, 16))
TARGETS = ("ar", "de", "es", "fr", "hi", "ru", "vi", "zh")
PAIRS = [("en", target) for target in TARGETS] + [("ar", t) for t in TARGETS[1:]]
ENCODERS = {"mbert": (12, 177_000_000), "xlmr-large": (24, 559_000_000)}
SEEDS = 3


def write_full(folder: Path) -> tuple[int, int]:
    """Write the store; return how many cells and how many rows of surfaces it has."""
    points = pd.DataFrame(
        [(float(x), float(y), *flags) for x, y, *flags in grid(PAPER_ALPHAS, PLANE)],
        columns=["a_src", "a_tgt", "on_src_line", "on_tgt_line", "on_plane"],
    )
    points.insert(0, "point", np.arange(len(points), dtype=np.int32))
    on_line = points["on_src_line"] | points["on_tgt_line"]
    alpha = 1 - points["a_src"].where(points["on_src_line"], points["a_tgt"])
    points["alpha"] = alpha.where(on_line)
    cells = rows = 0
    for encoder, task, (source, target), seed in itertools.product(ENCODERS, METRICS, PAIRS, range(SEEDS)):
        cell = Cell(encoder, task, source, target, seed)
        surface = _surface(cell, points)
        _write(folder / "surfaces", cell, surface)
        _write(folder / "geometry", cell, _geometry(cell))
        cells, rows = cells + 1, rows + len(surface)
    return cells, rows


def _surface(cell: Cell, points: pd.DataFrame) -> pd.DataFrame:
    generator = np.random.default_rng([cell.seed, *map(ord, cell.task + cell.target + cell.encoder)])
    frames = []
    for role, language in (("source", cell.source), ("target", cell.target)):
        own, other = ("a_src", "a_tgt") if role == "source" else ("a_tgt", "a_src")
        beyond = np.maximum(0, -points[own]) + np.maximum(0, points[own] + points[other] - 1)
        value = 0.88 + 0.01 * points[own] - 0.38 * points[other] - 0.3 * beyond**2
        value = (value + generator.normal(0, 0.01, len(points))).clip(0, 1)
        metrics = {METRICS[cell.task]: value}
        if cell.task == "parsing":
            metrics |= {"las_paper": value * 0.95, "uas": (value + 0.05).clip(0, 1)}
        frames += [
            points.assign(eval_language=language, eval_role=role, metric=metric, value=values)
            for metric, values in metrics.items()
        ]
    rows = pd.concat(frames, ignore_index=True)
    gold = 20_000
    return rows.assign(
        cell=cell.id,
        source=cell.source,
        target=cell.target,
        seed=cell.seed,
        scope="all",
        split="dev",
        correct=(rows["value"] * gold).round().astype("int64"),
        predicted=gold,
        gold=gold,
        loss=1 - rows["value"],
        examples=np.int32(1000),
    )


def _geometry(cell: Cell) -> pd.DataFrame:
    layers, parameters = ENCODERS[cell.encoder]
    parts = ["all", "encoder", "head", "embeddings", *(f"layer.{n}" for n in range(layers))]
    return pd.DataFrame(
        {
            "cell": cell.id,
            "source": cell.source,
            "target": cell.target,
            "seed": cell.seed,
            "part": parts,
            "parameters": [parameters] + [parameters // len(parts)] * (len(parts) - 1),
            "norm_src": 1.0 + 0.01 * cell.seed,
            "norm_tgt": 1.0,
            "norm_ratio": 1.0 + 0.01 * cell.seed,
            "angle": 55.0 + np.arange(len(parts)) / 10,
            "not_learned": "",
        }
    )


def _write(root: Path, cell: Cell, rows: pd.DataFrame) -> None:
    folder = root / f"encoder={cell.encoder}" / f"task={cell.task}"
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(folder / f"{cell.id}.parquet", index=False)
