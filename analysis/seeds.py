"""How many seeds a claim would need: a number for planning the next sweep.

For a part of a claim that is a mean over cells, and one encoder: the mean over tasks and pairs is taken
for each seed. With a standard deviation s over seeds, the 95% interval of the mean over n seeds reaches
t(n - 1) s / sqrt(n) to either side. The answer is the smallest n (at least the seeds that docs/verdicts.md
asks for) at which that is less than the distance from the effect to the nearest edge of the claim's range,
so that it would be decided if there were pairs enough: with fewer than docs/verdicts.md asks for, no number
of seeds decides. Only variance over seeds counts here; a verdict's interval has that over pairs in it too.

Means of seeds compare only over the same combinations of task and pair. Where some lack a seed, the seeds
and combinations are taken that leave most cells. From few seeds s is rough, and so is the answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.bootstrap import mean, t_quantile
from analysis.claims import LEAST_PAIRS, LEAST_SEEDS, PARTS, Part
from analysis.measures import Material
from analysis.statistics import LEVEL
from analysis.texts import Table

MOST = 1000


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a part of a claim shows of one encoder, and how many seeds would decide it (None: over 1000)."""

    part: Part
    subject: str
    effect: float
    deviation: float
    margin: float
    had: int
    seeds: int | None
    used: int
    """Combinations of task and pair that the numbers are of."""
    there: int
    """Combinations of task and pair that have a value at all."""


def needs(material: Material, encoders: Sequence[str]) -> list[Need]:
    """Return the needs of all parts and encoders with at least two seeds."""
    found = []
    for part in (part for part in PARTS if part.statistic is mean):
        values = part.values(material, encoders)
        for subject in sorted(set(values["subject"])):
            need = _need(part, subject, values[values["subject"] == subject])
            if need is not None:
                found.append(need)
    return found


def seeds_for(deviation: float, margin: float) -> int | None:
    """Return the smallest number of seeds whose interval is narrower than the margin; None over 1000.

    At least the seeds that a verdict asks for.
    """
    for number in range(LEAST_SEEDS, MOST + 1):
        reach = t_quantile((1 + LEVEL) / 2, number - 1)
        if reach * deviation / math.sqrt(number) < margin:
            return number
    return None


def table(found: Sequence[Need]) -> Table:
    """Return the needs for people."""
    header = [
        "part",
        "claim",
        "encoder",
        "effect",
        "sd over seeds",
        "from the edge",
        "tasks x pairs used",
        "seeds had",
        "seeds needed",
    ]
    rows = [
        [
            one.part.key,
            f"{one.part.says} ({one.part.measure})",
            one.subject,
            one.part.unit.write(one.effect),
            one.part.unit.write(one.deviation),
            one.part.unit.write(one.margin),
            f"{one.used} of {one.there}",
            str(one.had),
            f"over {MOST}" if one.seeds is None else str(one.seeds),
        ]
        for one in found
    ]
    title = (
        f"How many seeds would decide each part, if there were at least {LEAST_PAIRS} pairs; variance over "
        "seeds only (a rough guide for planning)"
    )
    return Table(title, header, rows)


def _need(part: Part, subject: str, values: pd.DataFrame) -> Need | None:
    every = values.pivot_table(index=["task", "source", "target"], columns="seed", values="value")
    pivot = fullest(every)
    if pivot.empty:
        return None
    by_seed = pivot.mean(axis=0).to_numpy(dtype=np.float64)
    effect, deviation = float(by_seed.mean()), float(by_seed.std(ddof=1))
    margin = min(abs(effect - edge) for edge in (part.above, part.below) if math.isfinite(edge))
    return Need(
        part=part,
        subject=subject,
        effect=effect,
        deviation=deviation,
        margin=margin,
        had=len(by_seed),
        seeds=seeds_for(deviation, margin),
        used=len(pivot),
        there=len(every),
    )


def fullest(every: pd.DataFrame) -> pd.DataFrame:
    """Return the rows and the seeds (columns, at least two) without a hole that hold most cells.

    Seeds are left out one after another, the one that fewest rows have first (not every choice is tried);
    of equally many cells, more seeds are taken. No rows where no two seeds share one.
    """
    best, kept = every.iloc[:0], every
    while kept.shape[1] >= 2:
        whole = kept.dropna()
        if whole.size > best.size:
            best = whole
        kept = kept.drop(columns=kept.notna().sum().idxmin())
    return best
