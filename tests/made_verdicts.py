"""Stores for the verdicts: seven pairs of two sources, and what is found in a store for a part."""

from __future__ import annotations

import itertools
from pathlib import Path

from made_results import Cell, Truth, write_cell

from analysis.read import load
from analysis.verdicts import Judgement, Verdict, judge

PAIRS = [("en", target) for target in ("ar", "de", "es", "fr")] + [("ar", t) for t in ("de", "hi", "zh")]
TARGETS = len(PAIRS)
SMALL, LARGE = 1000, 9000
YES, NO, UNKNOWN = Verdict.SUPPORTED, Verdict.NOT_SUPPORTED, Verdict.UNKNOWN


def store(
    folder: Path,
    encoder: str = "mbert",
    *,
    pairs: list[tuple[str, str]] = PAIRS,
    seeds: int = 3,
    tasks: tuple[str, ...] = ("pos",),
    spread: float = 0.01,
    truth: dict[str, float] | None = None,
    **options: object,
) -> Path:
    """Cells whose zero-shot scores differ by ``spread`` from pair to pair."""
    values = {"zero_shot": 0.5, "noise_source": 0.002, "noise_target": 0.02} | (truth or {})
    for task, (number, (source, target)), seed in itertools.product(tasks, enumerate(pairs), range(seeds)):
        made = Truth(**values | {"zero_shot": values["zero_shot"] + spread * number})
        write_cell(folder, Cell(encoder, task, source, target, seed), made, **options)
    return folder


def found(folder: Path, key: str, task: str | None = None, subject: str | None = None) -> Judgement:
    chosen = [j for j in judge(load(folder)) if j.part.key == key and j.task == task]
    (one,) = [j for j in chosen if subject in (None, j.subject)]
    return one


def verdict(folder: Path, key: str) -> Verdict:
    return found(folder, key).finding.verdict
