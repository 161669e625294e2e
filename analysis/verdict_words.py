"""Verdicts in words for people, and as a table for programs (``verdicts.csv``)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from analysis import names
from analysis.bootstrap import Interval, mean
from analysis.claims import CLAIMS, Part
from analysis.statistics import LEVEL
from analysis.texts import Table
from analysis.verdicts import Comparison, Contrast, Finding, Judgement, Verdict, overall


def interval(ends: Interval, part: Part) -> str:
    """Return "[1.0, 2.0]", or a dash where there is none."""
    if pd.isna(ends.low):
        return "–"
    return f"[{part.unit.write(ends.low)}, {part.unit.write(ends.high)}]"


def effect(finding: Finding, part: Part) -> str:
    """Return the effect with its unit and its interval; a dash if nothing was measured."""
    if not finding.cells:
        return "–"
    unit = f" {part.unit.name}" if part.unit.name[:1].isalpha() else part.unit.name
    return f"{part.unit.write(finding.effect)}{unit} {interval(finding.interval, part)}"


def basis(finding: Finding) -> str:
    """Return how many cells, pairs and seeds are behind a finding."""
    return ", ".join(
        names.count(number, noun)
        for number, noun in ((finding.cells, "cell"), (finding.pairs, "pair"), (finding.seeds, "seed"))
    )


def against(comparison: Comparison | None, part: Part) -> str:
    """Say how a control compares; a dash where there is none."""
    if comparison is None:
        return "–"
    own = f"{comparison.control} (control) {effect(comparison.finding, part)}"
    if not comparison.cells:
        lacks = "cell" if part.statistic is mean else "pair with two seeds"
        return f"{own}; no {lacks} in common"
    difference = f"{part.unit.write(comparison.difference)} {interval(comparison.interval, part)}"
    return f"{own}; difference {difference}: {comparison.contrast}"


def headlines(judgements: Sequence[Judgement]) -> list[str]:
    """Return a line for each claim with its verdict over all parts, encoders and tasks."""
    verdicts = overall(judgements)
    return [f"Claim {claim}: {verdicts[claim]}. {text}." for claim, text in CLAIMS.items()]


def table(judgements: Sequence[Judgement]) -> Table:
    """Return the verdicts over all tasks: effect, interval, rule, what is behind it."""
    header = ["part", "claim", "encoder", "effect, 95% interval", "supported if", "measured on", "verdict"]
    rows = [
        [
            one.part.key,
            f"{one.part.says} ({one.part.measure})",
            one.subject or "–",
            effect(one.finding, one.part),
            one.part.rule,
            basis(one.finding) if one.finding.cells else "–",
            str(one.finding.verdict),
        ]
        for one in judgements
        if one.task is None
    ]
    return Table("Verdicts over all tasks", header, rows)


def details(judgements: Sequence[Judgement]) -> Table:
    """Return every verdict with the row bootstrap, the control and the reason beside it."""
    header = [
        "part",
        "encoder",
        "task",
        "effect, 95% interval (clustered)",
        "row bootstrap",
        "cells",
        "verdict",
        "why",
        "against the control",
    ]
    rows = [
        [
            f"{one.part.key} {one.part.says}",
            one.subject,
            names.task(one.task) if one.task else "all tasks",
            effect(one.finding, one.part),
            interval(one.finding.row_interval, one.part),
            str(one.finding.cells),
            str(one.finding.verdict),
            one.finding.why,
            against(one.comparison, one.part),
        ]
        for one in judgements
        if one.finding.cells
    ]
    return Table("Every verdict, by task", header, rows)


def notes(
    judgements: Sequence[Judgement], controls: Collection[str], unchosen: Collection[str] = ()
) -> list[str]:
    """Return what qualifies the verdicts: reasons for not telling, controls, their number."""
    return [
        *_reasons(judgements),
        *_contrasts(judgements),
        control_note(judgements, controls, unchosen),
        comparisons_note(judgements),
    ]


def _reasons(judgements: Sequence[Judgement]) -> list[str]:
    """Say why parts cannot be told over all tasks, each reason once."""
    by_reason: dict[str, list[str]] = {}
    for one in judgements:
        if one.task is None and one.finding.verdict is Verdict.UNKNOWN:
            name = f"{one.part.key} {one.subject}".strip()
            by_reason.setdefault(one.finding.why, []).append(name)
    return [f"Cannot tell {', '.join(of_reason)}: {why}." for why, of_reason in by_reason.items()]


def _contrasts(judgements: Sequence[Judgement]) -> list[str]:
    return [
        f"{one.part.key} {one.part.says}, {one.subject} against {against(one.comparison, one.part)}."
        for one in judgements
        if one.task is None and one.comparison is not None
    ]


def control_note(
    judgements: Sequence[Judgement], controls: Collection[str], unchosen: Collection[str] = ()
) -> str:
    """Say what the control changes, or what its absence leaves open; ``unchosen`` were left out on demand."""
    compared = [one for one in judgements if one.comparison is not None and one.task is None]
    if not compared:
        kind = "randomly initialised control"
        lack = names.left_out(unchosen) or (
            f"These results hold no {f'cell of a {kind} to compare with' if controls else kind}."
        )
        return (
            f"{lack} An untrained encoder, fine-tuned the same way, can show a flat source and a rising "
            "target too, so it stays open whether any of this has to do with multilingual pretraining."
        )
    same = [one for one in compared if _holds_for_control_too(one)]
    if not same:
        return "Nothing that is supported holds for the untrained control as well without a clear difference."
    listed = ", ".join(f"{one.part.key} ({one.part.says}, {one.subject})" for one in same)
    return (
        "Supported, but for the untrained control as well and without a clear difference, so no evidence of "
        f"what pretraining taught: {listed}."
    )


def _holds_for_control_too(judgement: Judgement) -> bool:
    comparison = judgement.comparison
    return (
        comparison is not None
        and judgement.finding.verdict is Verdict.SUPPORTED
        and comparison.finding.verdict is Verdict.SUPPORTED
        and comparison.contrast is not Contrast.DIFFERS
    )


def comparisons_note(judgements: Sequence[Judgement]) -> str:
    """Say how many intervals decided something, and how many of them chance alone would get wrong."""
    made = [one for one in judgements if one.finding.cells]
    decided = [one for one in made if one.finding.verdict is not Verdict.UNKNOWN]
    if not decided:
        return f"Many comparisons: {len(made)} were made (by encoder, part and task), none was decided."
    wrong = (1 - LEVEL) * len(decided)
    return (
        f"Many comparisons: {len(made)} were made (by encoder, part and task), {len(decided)} of them "
        f"decided. At 95% each, chance alone would get about {wrong:.1f} of those wrong. Nothing is adjusted "
        "for their number."
    )


def frame(judgements: Sequence[Judgement]) -> pd.DataFrame:
    """Return one row a judgement, scores as fractions; docs/verdicts.md says what the columns mean."""
    rows = []
    for one in judgements:
        finding, other = one.finding, one.comparison
        row: dict[str, object] = {
            "claim": one.part.claim,
            "part": one.part.key,
            "measure": one.part.measure,
            "above": one.part.above,
            "below": one.part.below,
            "encoder": one.subject,
            "task": one.task or "all",
            "verdict": str(finding.verdict),
            "why": finding.why,
            **_numbers(finding),
            "row_low": finding.row_interval.low,
            "row_high": finding.row_interval.high,
        }
        if other is not None:
            row |= {
                "control": other.control,
                **{f"control_{name}": value for name, value in _numbers(other.finding).items()},
                "control_verdict": str(other.finding.verdict),
                "difference": other.difference,
                "difference_low": other.interval.low,
                "difference_high": other.interval.high,
                "difference_cells": other.cells,
                "contrast": str(other.contrast),
            }
        rows.append(row)
    return pd.DataFrame(rows)


def _numbers(finding: Finding) -> dict[str, object]:
    return {
        "effect": finding.effect,
        "low": finding.interval.low,
        "high": finding.interval.high,
        "cells": finding.cells,
        "pairs": finding.pairs,
        "seeds": finding.seeds,
    }
