"""Judges the paper's claims on the results at hand; docs/verdicts.md is the rule.

For every part of a claim, every encoder, and all tasks together as well as each task: the effect,
its 95% interval, the verdict, the number of cells behind it, and the same for an untrained control.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from analysis import names
from analysis.bootstrap import (
    DECIMALS,
    Interval,
    Sample,
    clustered_weights,
    estimate,
    expanded_interval,
    mean,
    percentile_interval,
    row_weights,
)
from analysis.claims import CLAIMS, LEAST_PAIRS, LEAST_SEEDS, PARTS, Part
from analysis.measures import MATCH, Material, prepare
from analysis.read import Results

NO_INTERVAL = Interval(float("nan"), float("nan"))


class Verdict(StrEnum):
    """What the results say of a claim."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    UNKNOWN = "cannot tell"


class Contrast(StrEnum):
    """What the results say of the difference from a control."""

    DIFFERS = "differs"
    NO_DIFFERENCE = "no clear difference"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """An effect with its intervals, what it is measured on, and the verdict with its reason."""

    verdict: Verdict
    why: str
    effect: float = float("nan")
    interval: Interval = NO_INTERVAL
    row_interval: Interval = NO_INTERVAL
    cells: int = 0
    pairs: int = 0
    seeds: int = 0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The same measure on a control, and how much the encoder's is above it on common cells."""

    control: str
    finding: Finding
    contrast: Contrast
    difference: float = float("nan")
    interval: Interval = NO_INTERVAL
    cells: int = 0


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A part of a claim judged for one subject, over one task or (None) all tasks."""

    part: Part
    subject: str
    task: str | None
    finding: Finding
    comparison: Comparison | None = None


def judge(results: Results, material: Material | None = None) -> list[Judgement]:
    """Judge every part for every encoder that is no control: over all tasks first, then by task.

    ``material`` is what ``prepare(results)`` gives, for callers that have it.
    """
    material = prepare(results) if material is None else material
    trained = [encoder for encoder in results.encoders if encoder not in results.controls]
    controls = [encoder for encoder in results.encoders if encoder in results.controls]
    judgements: list[Judgement] = []
    for part in PARTS:
        values = part.values(material, trained)
        untrained = part.values(material, controls)
        judgements += _without_values(part, values, trained)
        for subject in sorted(set(values["subject"])):
            control = _control_of(subject, sorted(set(untrained["subject"])), material)
            chosen = values[values["subject"] == subject]
            judgements += _of_subject(part, chosen, untrained[untrained["subject"] == control])
    return judgements


def _without_values(part: Part, values: pd.DataFrame, trained: Sequence[str]) -> Iterator[Judgement]:
    """Yield that there is nothing to judge: of nobody, or of an encoder beside others that have values."""
    finding = Finding(verdict=Verdict.UNKNOWN, why=part.missing)
    if values.empty:
        yield Judgement(part=part, subject="", task=None, finding=finding)
    elif part.single:
        for subject in sorted(set(trained) - set(values["subject"])):
            yield Judgement(part=part, subject=subject, task=None, finding=finding)


def overall(judgements: Sequence[Judgement]) -> dict[int, Verdict]:
    """Return each claim's verdict: of all its parts and encoders, over all tasks."""
    found: dict[int, Verdict] = {}
    for claim in CLAIMS:
        verdicts = {one.finding.verdict for one in judgements if one.part.claim == claim and one.task is None}
        if Verdict.NOT_SUPPORTED in verdicts:
            found[claim] = Verdict.NOT_SUPPORTED
        else:
            found[claim] = Verdict.SUPPORTED if verdicts == {Verdict.SUPPORTED} else Verdict.UNKNOWN
    return found


def _of_subject(part: Part, values: pd.DataFrame, control: pd.DataFrame) -> Iterator[Judgement]:
    tasks = names.in_order(set(values["task"]))
    for task in (None, *tasks):
        frame = values if task is None else values[values["task"] == task]
        other = control if task is None else control[control["task"] == task]
        comparison = None if other.empty else _compare(part, frame, other)
        subject = str(frame["subject"].iloc[0])
        finding = measure(part, frame)
        yield Judgement(part=part, subject=subject, task=task, finding=finding, comparison=comparison)


def _control_of(subject: str, controls: Sequence[str], material: Material) -> str | None:
    """Return the control whose size is nearest; the first by name where sizes do not tell."""
    size = material.parameters(subject)
    apart = {control: abs(material.parameters(control) - size) for control in controls}
    return min(controls, key=lambda name: np.nan_to_num(apart[name], nan=np.inf), default=None)


def measure(part: Part, frame: pd.DataFrame) -> Finding:
    """Estimate a part's measure on some cells and judge it."""
    sample = sample_of(frame, list(frame.columns.difference(["subject", *MATCH])))
    pairs = frame[["source", "target"]].drop_duplicates()
    effect = estimate(part.statistic, sample)
    drawn = part.statistic(clustered_weights(frame), sample)
    interval = expanded_interval(drawn, len(pairs))
    # A variance is that of a group of seeds, so a row is a group there and a cell elsewhere.
    rows = np.arange(len(frame), dtype=np.int64) if part.statistic is mean else sample.groups_C
    row_drawn = part.statistic(row_weights(rows), sample)
    verdict, why = _decide(part, effect, interval, _lack(frame))
    return Finding(
        verdict=verdict,
        why=why,
        effect=effect,
        interval=interval,
        row_interval=percentile_interval(row_drawn, len(np.unique(rows))),
        cells=len(frame),
        pairs=len(pairs),
        seeds=frame["seed"].nunique(),
    )


def sample_of(frame: pd.DataFrame, columns: Sequence[str]) -> Sample:
    """Return columns as values, with the seeds of a task and pair as one group."""
    groups = np.asarray(frame.groupby(["task", "source", "target"]).ngroup(), dtype=np.int64)
    return Sample(frame[list(columns)].to_numpy(dtype=np.float64), groups)


def _lack(frame: pd.DataFrame) -> str:
    """Say what there is too little of; nothing if there is enough."""
    seeds = frame.groupby(["source", "target"])["seed"].nunique()
    if len(seeds) < LEAST_PAIRS:
        return f"{names.count(len(seeds), 'language pair')}, {LEAST_PAIRS} are needed"
    enough = int((seeds >= LEAST_SEEDS).sum())
    if enough < LEAST_PAIRS:
        return f"{names.count(enough, 'pair')} with {LEAST_SEEDS} seeds, {LEAST_PAIRS} are needed"
    return ""


def _decide(part: Part, effect: float, interval: Interval, lack: str) -> tuple[Verdict, str]:
    known = bool(np.isfinite(interval).all())
    low, high = interval if known else (effect, effect)
    if low > part.above and high < part.below:
        verdict, side = Verdict.SUPPORTED, "inside the range"
    elif high <= part.above or low >= part.below:
        verdict, side = Verdict.NOT_SUPPORTED, "outside the range"
    else:
        verdict, side = Verdict.UNKNOWN, "across the edge of the range"
    where = f"the {'interval' if known else 'effect'} lies {side}"
    return (Verdict.UNKNOWN, f"{lack}; so far {where}") if lack else (verdict, where)


def _compare(part: Part, frame: pd.DataFrame, other: pd.DataFrame) -> Comparison:
    control = str(other["subject"].iloc[0])
    finding = measure(part, other)
    both = frame.merge(other, on=MATCH, suffixes=("", "_control"))
    if part.statistic is not mean:
        # A variance takes two seeds, and those that each has need not be common.
        both = both[both.groupby(["task", "source", "target"])["seed"].transform("nunique") > 1]
    if both.empty:
        return Comparison(control=control, finding=finding, contrast=Contrast.UNKNOWN)
    columns = list(frame.columns.difference(["subject", *MATCH]))
    ours, theirs = sample_of(both, columns), sample_of(both, [f"{name}_control" for name in columns])
    weights = clustered_weights(both)
    drawn = part.statistic(weights, ours) - part.statistic(weights, theirs)
    interval = expanded_interval(drawn, len(both[["source", "target"]].drop_duplicates()))
    if _lack(both) or not np.isfinite(interval).all():
        contrast = Contrast.UNKNOWN
    else:
        apart = interval.low > 0 or interval.high < 0
        contrast = Contrast.DIFFERS if apart else Contrast.NO_DIFFERENCE
    return Comparison(
        control=control,
        finding=finding,
        contrast=contrast,
        difference=round(estimate(part.statistic, ours) - estimate(part.statistic, theirs), DECIMALS),
        interval=interval,
        cells=len(both),
    )
