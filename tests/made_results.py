"""Stores made by formula, so that a test knows what the analysis must find.

Between the source-only and the bilingual model the source score is flat and the target score is a
straight line from zero-shot to bilingual; beyond the models both fall. The two languages trade
places on the other line. Seeds shift the source-only model's scores by a known amount.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pandas as pd

STEPS = tuple(Fraction(n, 10) for n in range(-5, 16))
EXTRA = tuple(Fraction(n, 1000) for n in (25, 50, 75, 125, 150, 175, 825, 850, 875, 925, 950, 975))
PAPER_ALPHAS = tuple(sorted({*STEPS, *EXTRA}))
UNEVEN = tuple(Fraction(text) for text in (-0.5, -0.25, 0, "1/5", "2/5", 0.5, "3/5", "4/5", 1, 1.25, 1.5))
FEW_ALPHAS = tuple(Fraction(n, 4) for n in range(-2, 7))
EXAMPLES = 100
METRICS = {"xnli": "accuracy", "ner": "f1", "pos": "accuracy", "parsing": "las"}

Score = Callable[[float, float, str], float]


@dataclass(frozen=True)
class Cell:
    encoder: str
    task: str
    source: str
    target: str
    seed: int

    @property
    def id(self) -> str:
        return f"{self.task}-{self.source}-{self.target}-s{self.seed}-{self.encoder}"


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a cell's scores are made of."""

    source: float = 0.9
    bilingual: float = 0.9
    zero_shot: float = 0.5
    dip: float = 0.0
    noise_source: float = 0.0
    noise_target: float = 0.0
    fall: float = 0.4

    def score(self, seed: int, a_src: float, a_tgt: float, role: str) -> float:
        """Seeds 0, 1, 2 shift by -noise, 0, +noise: three seeds have exactly this deviation."""
        shift = (seed - 1) * (self.noise_source if role == "source" else self.noise_target)
        own, other = (a_src, a_tgt) if role == "source" else (a_tgt, a_src)
        value = self.bilingual + (self.source - self.bilingual) * own
        value -= (self.bilingual - self.zero_shot) * other
        if a_tgt == 0 and 0 < a_src < 1 and role == "source":
            value -= self.dip * 4 * a_src * (1 - a_src)
        beyond = max(0.0, -a_src, -a_tgt) + max(0.0, a_src + a_tgt - 1)
        return min(1.0, max(0.0, value + shift * a_src - self.fall * beyond**2))


def grid(
    alphas: Iterable[Fraction], plane: Iterable[Fraction]
) -> list[tuple[Fraction, Fraction, bool, bool, bool]]:
    """Points as (a_src, a_tgt, on_src_line, on_tgt_line, on_plane), in a fixed order."""
    lines, axis = set(alphas), sorted(plane)
    src, tgt = {(1 - a, Fraction(0)) for a in lines}, {(Fraction(0), 1 - a) for a in lines}
    planar = {(x, y) for x in axis for y in axis}
    return [(*p, p in src, p in tgt, p in planar) for p in sorted(src | tgt | planar)]


def rows_of(
    cell: Cell, points: list[tuple[Fraction, Fraction, bool, bool, bool]], truth: Truth, scope: str
) -> Iterator[dict[str, object]]:
    for index, (a_src, a_tgt, on_src, on_tgt, planar) in enumerate(points):
        alpha = 1 - a_src if on_src else 1 - a_tgt if on_tgt else None
        for role, language in (("source", cell.source), ("target", cell.target)):
            value = truth.score(cell.seed, float(a_src), float(a_tgt), role)
            row = {
                "cell": cell.id,
                "source": cell.source,
                "target": cell.target,
                "seed": cell.seed,
                "scope": scope,
                "point": index,
                "a_src": float(a_src),
                "a_tgt": float(a_tgt),
                "on_src_line": on_src,
                "on_tgt_line": on_tgt,
                "on_plane": planar,
                "alpha": None if alpha is None else float(alpha),
                "eval_language": language,
                "eval_role": role,
                "split": "dev",
                "examples": EXAMPLES,
            }
            yield row | {"metric": METRICS.get(cell.task, "accuracy"), "value": value}
            if cell.task == "parsing":
                yield row | {"metric": "uas", "value": min(1.0, value + 0.05)}


def write_cell(
    folder: Path,
    cell: Cell,
    truth: Truth | None = None,
    *,
    alphas: Iterable[Fraction] = FEW_ALPHAS,
    plane: Iterable[Fraction] = (),
    scopes: Iterable[str] = ("all",),
    angle: float | None = 55.0,
    ratio: float = 1.0,
    parameters: int = 1000,
    keep: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows,
    name: str = "",
) -> str:
    """Write one cell's surface and geometry; ``keep`` may lose rows, ``name`` changes its id."""
    points = grid(alphas, plane)
    truth = truth or Truth()
    rows = pd.DataFrame([row for scope in scopes for row in rows_of(cell, points, truth, scope)])
    rows = keep(rows.astype({"point": "int32", "alpha": "float64"}))
    identifier = name or cell.id
    rows["cell"] = identifier
    _write(folder / "surfaces", cell, identifier, rows)
    if angle is not None:
        _write(folder / "geometry", cell, identifier, _geometry(cell, identifier, angle, ratio, parameters))
    return identifier


def _geometry(cell: Cell, identifier: str, angle: float, ratio: float, parameters: int) -> pd.DataFrame:
    parts = {"all": (angle, ratio), "head": (angle + 20, 1.3), "layer.0": (angle - 10, 0.8)}
    return pd.DataFrame(
        [
            {
                "cell": identifier,
                "source": cell.source,
                "target": cell.target,
                "seed": cell.seed,
                "part": part,
                "parameters": parameters if part == "all" else 1,
                "norm_src": quotient,
                "norm_tgt": 1.0,
                "norm_ratio": quotient,
                "angle": degrees,
            }
            for part, (degrees, quotient) in parts.items()
        ]
    )


def _write(root: Path, cell: Cell, identifier: str, rows: pd.DataFrame) -> None:
    folder = root / f"encoder={cell.encoder}" / f"task={cell.task}"
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(folder / f"{identifier}.parquet", index=False)


def write_plan(
    folder: Path, sweep: str, cells: Iterable[str], *, controls: Iterable[str] | None = None
) -> None:
    """Write a plan: a sweep's cells and its controls, or without a word about them."""
    path = folder / "sweeps" / sweep / "plan.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {} if controls is None else {"controls": list(controls)}
    path.write_text(json.dumps({"surfaces": list(cells), **said}), encoding="utf-8")


TRUTH = Truth(source=0.9, bilingual=0.88, zero_shot=0.5, noise_source=0.01, noise_target=0.03)


def store_of_two_encoders(folder: Path, truth: Truth = TRUTH, **options: object) -> Path:
    """Two encoders, two tasks, two pairs from English, three seeds."""
    for encoder in ("mbert", "xlmr"):
        for task in ("pos", "parsing"):
            for target in ("de", "zh"):
                for seed in range(3):
                    write_cell(folder, Cell(encoder, task, "en", target, seed), truth, **options)
    return folder


def row_of(table: pd.DataFrame, encoder: str, task: str = "pos", target: str = "de") -> pd.Series:
    chosen = (table["encoder"] == encoder) & (table["task"] == task) & (table["target"] == target)
    return table[chosen].iloc[0]


# Reading
