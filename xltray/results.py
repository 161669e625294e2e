"""The way from scores to the rows of a sweep's tables, and back; ``schemas.py`` has their columns.

One row of ``surfaces`` is one metric of one model (a point of a cell, in one scope) on one
language; ``pd.read_parquet(f"{storage}/surfaces")`` reads them all. Counts are stored and scores
derived from them.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from xltray.errors import XltrayError
from xltray.grid import Point
from xltray.jobs import SurfaceJob
from xltray.schemas import GEOMETRY_SCHEMA, PARTITIONS, SCHEMA_VERSION, SURFACE_SCHEMA

_METADATA_PREFIX = "xltray."
REVISION = "XLTRAY_REVISION"
"""Environment variable: the commit of code that runs outside a checkout, such as a copy on a cluster."""


class Score(NamedTuple):
    """One metric of one model on one language's dev set."""

    scope: str
    point: int
    language: str
    metric: str
    correct: int
    predicted: int
    gold: int
    loss: float | None
    examples: int

    @property
    def value(self) -> float:
        """2 correct / (predicted + gold): F1, and accuracy where predicted = gold; 0 if both are 0."""
        return _value(self.correct, self.predicted, self.gold)


class Geometry(NamedTuple):
    """Where two endpoints lie as seen from the bilingual one, over a part of the parameters."""

    part: str
    parameters: int
    norm_src: float
    norm_tgt: float
    angle: float | None

    @property
    def norm_ratio(self) -> float | None:
        """norm_src / norm_tgt; None where that is not a number."""
        return _finite(self.norm_src / self.norm_tgt) if self.norm_tgt else None


def surface_table(job: SurfaceJob, scores: Iterable[Score], provenance: Mapping[str, str]) -> pa.Table:
    """Return the rows of a cell, or of a part of it, in a fixed order.

    Raises:
        XltrayError: if a (scope, point, language, metric) appears twice or is not the cell's.
    """
    ranks = {scope: rank for rank, scope in enumerate(job.scopes)}
    seen: dict[tuple[Any, ...], Score] = {}
    for score in scores:
        if score.scope not in ranks or not 0 <= score.point < len(job.grid):
            raise XltrayError(
                f"{job.id}: found a score of scope {score.scope!r}, point {score.point}; expected a scope of "
                f"{', '.join(job.scopes)} and a point from 0 to {len(job.grid) - 1}. Delete the cell's parts "
                "from the store and run again."
            )
        key = (ranks[score.scope], score.point, *_order(job, score))
        if key in seen:
            raise XltrayError(
                f"{job.id}: found two scores where one was expected: {seen[key]} and {score}. "
                "Delete the cell's parts from the store and run again."
            )
        seen[key] = score
    points = job.grid.points
    rows = [_surface_row(job, seen[key], points[seen[key].point]) for key in sorted(seen)]
    return pa.Table.from_pylist(rows, schema=_with_provenance(SURFACE_SCHEMA, job, provenance))


def points_table(
    job: SurfaceJob,
    scored: Iterable[tuple[Point, Iterable[Score]]],
    partitions: Iterable[tuple[str, str]],
) -> pa.Table:
    """Return the rows of any points, as readers of the whole of ``surfaces`` get them: encoder and task too.

    Args:
        job: the cell.
        scored: points in the order of the rows, with their scores. In the grid or not: the coordinates
            are the point's; ``Score.point`` is the grid's index, or whatever stands for none.
        partitions: (encoder, task) of all that readers find; they become the categories, in this order,
            so that rows of the store and these can be concatenated.
    """
    rows = [
        _surface_row(job, score, point)
        for point, scores in scored
        for score in sorted(scores, key=lambda score: _order(job, score))
    ]
    table = pa.Table.from_pylist(rows, schema=SURFACE_SCHEMA)
    own = (job.encoder.name, job.task)
    columns = zip(*[*partitions, own], strict=True)
    for field, value, known in zip(PARTITIONS, own, columns, strict=True):
        values = list(dict.fromkeys(known))
        indices = pa.array([values.index(value)] * len(rows), pa.int32())
        table = table.append_column(
            field, pa.DictionaryArray.from_arrays(indices, pa.array(values, pa.string()))
        )
    return table


def scores_of(table: pa.Table) -> list[Score]:
    """Return the scores that a table of surfaces was made from, in its order."""
    columns = [
        "scope",
        "point",
        "eval_language",
        "metric",
        "correct",
        "predicted",
        "gold",
        "loss",
        "examples",
    ]
    return [
        Score(**dict(zip(Score._fields, row.values(), strict=True)))
        for row in table.select(columns).to_pylist()
    ]


def missing_points(job: SurfaceJob, scores: Iterable[Score]) -> list[tuple[str, int]]:
    """Return the (scope, point) pairs of a cell not scored on all of its languages, in order."""
    scored = {(score.scope, score.point, score.language) for score in scores}
    return [
        (scope, point)
        for scope in job.scopes
        for point in range(len(job.grid))
        if not {(scope, point, language) for language in job.languages} <= scored
    ]


def geometry_table(
    job: SurfaceJob,
    rows: Iterable[Geometry],
    provenance: Mapping[str, str],
    *,
    not_learned: str | None = None,
) -> pa.Table:
    """Return the norms and angles of a cell, in the order given; ``not_learned`` stands in each row."""
    same = {**_cell(job), "not_learned": not_learned}
    cells = [
        {**same, **row._asdict(), "norm_ratio": row.norm_ratio, "angle": _finite(row.angle)} for row in rows
    ]
    return pa.Table.from_pylist(cells, schema=_with_provenance(GEOMETRY_SCHEMA, job, provenance))


def provenance(**known: str) -> dict[str, str]:
    """Return what the numbers were made with: versions, platform, source revision.

    ``known`` is what only the caller knows, such as ``device="cuda: NVIDIA H200"``.
    """
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("xltray", "torch", "transformers", "ray"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    revision = _source_revision(Path(__file__).parent.parent)
    return found | ({"revision": revision} if revision else {}) | known


def _value(correct: int, predicted: int, gold: int) -> float:
    return 2 * correct / (predicted + gold) if predicted + gold else 0.0


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _cell(job: SurfaceJob) -> dict[str, Any]:
    return {"cell": job.id, "source": job.source, "target": job.target, "seed": job.seed}


def _order(job: SurfaceJob, score: Score) -> tuple[int, str, str]:
    """Return what a point's scores are sorted by: source, target, others; then metrics by name."""
    languages = (job.source, job.target)
    rank = languages.index(score.language) if score.language in languages else len(languages)
    return rank, score.language, score.metric


def _surface_row(job: SurfaceJob, score: Score, point: Point) -> dict[str, Any]:
    alpha = job.grid.alpha(point)
    return {
        **_cell(job),
        **score._asdict(),
        "a_src": float(point.a_src),
        "a_tgt": float(point.a_tgt),
        "on_src_line": job.grid.on_src_line(point),
        "on_tgt_line": job.grid.on_tgt_line(point),
        "on_plane": job.grid.on_plane(point),
        "alpha": None if alpha is None else float(alpha),
        "eval_language": score.language,
        "eval_role": {job.source: "source", job.target: "target"}.get(score.language, "other"),
        "split": "dev",
        "value": score.value,
        "loss": _finite(score.loss),
    }


def _with_provenance(schema: pa.Schema, job: SurfaceJob, provenance: Mapping[str, str]) -> pa.Schema:
    facts = {
        "schema_version": str(SCHEMA_VERSION),
        "dtype": "float32",
        **provenance,
        "cell": job.id,
        "encoder": job.encoder.content,
        **{f"endpoint.{corner}": endpoint.id for corner, endpoint in job.endpoints.items()},
        **{f"data.{language}.dev": data.dev for language, data in job.reader.data.items()},
    }
    return schema.with_metadata({f"{_METADATA_PREFIX}{key}": value for key, value in facts.items()})


def _source_revision(root: Path) -> str | None:
    """Return the commit that the code was run from, marked if changed.

    Outside a checkout, as on machines that `ray up` sets up, it is what XLTRAY_REVISION says, or None.
    """
    if not (root / ".git").exists():
        return os.environ.get(REVISION) or None
    # With all tags excluded, `describe` gives the plain commit.
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
