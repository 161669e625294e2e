"""Verdicts in words for people, and as a table for programs (``verdicts.csv``)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from analysis import names
from analysis.bootstrap import Interval
from analysis.claims import CLAIMS, Part
from analysis.statistics import LEVEL
from analysis.verdicts import Comparison, Contrast, Finding, Judgement, Verdict, overall


def interval(ends: Interval, part: Part) -> str:
    """Return "[1.0, 2.0]", or a dash where there is none."""
    if pd.isna(ends.low):
        return "–"
    return f"[{part.unit.write(ends.low)}, {part.unit.write(ends.high)}]"


def effect(finding: Finding, part: Part) -> str:
    """Return the effect with its unit and its interval."""
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
        return f"{own}; no cell in common"
    difference = f"{part.unit.write(comparison.difference)} {interval(comparison.interval, part)}"
    return f"{own}; difference {difference}: {comparison.contrast}"


def sentences(judgements: Sequence[Judgement], controls: Collection[str]) -> list[str]:
    """Return a sentence for each claim, then what qualifies all of them."""
    verdicts = overall(judgements)
    said = []
    for claim, text in CLAIMS.items():
        of_claim = [one for one in judgements if one.part.claim == claim and one.task is None]
        parts = [_sentence(one) for one in of_claim]
        said.append(f"Claim {claim}. {text}: {str(verdicts[claim]).upper()}. {' '.join(parts)}")
    return [*said, control_note(judgements, controls), comparisons_note(judgements)]


def _sentence(judgement: Judgement) -> str:
    part, finding = judgement.part, judgement.finding
    if not finding.cells:
        return f"{part.says[0].upper()}{part.says[1:]}: {finding.verdict}: {finding.why}."
    text = (
        f"{part.says[0].upper()}{part.says[1:]}, {judgement.subject}: {part.measure} "
        f"{effect(finding, part)}, supported if {part.rule}; {basis(finding)}: {finding.verdict}"
    )
    text += f" ({finding.why})." if finding.verdict is Verdict.UNKNOWN else "."
    if judgement.comparison is not None:
        text += f" {against(judgement.comparison, part)}."
    return text


def control_note(judgements: Sequence[Judgement], controls: Collection[str]) -> str:
    """Say what the control changes, or what its absence leaves open."""
    compared = [one for one in judgements if one.comparison is not None and one.task is None]
    if not compared:
        there = (
            "no cell of a randomly initialised control to compare with"
            if controls
            else ("no randomly initialised control")
        )
        return (
            f"These results hold {there}. An untrained encoder, fine-tuned the same way, can show a flat source "
            "and a rising target too, so it stays open whether any of this has to do with multilingual "
            "pretraining."
        )
    same = [one for one in compared if _holds_for_control_too(one)]
    if not same:
        return "No part that is supported is supported for the untrained control as well without a clear difference."
    listed = ", ".join(f"{one.part.key} ({one.part.says}, {one.subject})" for one in same)
    return (
        "Supported, but for the untrained control as well and without a clear difference, so no evidence of what "
        f"pretraining taught: {listed}."
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
        f"Many comparisons: {len(made)} were made (by encoder, part and task), {len(decided)} of them decided; at "
        f"95% each, chance alone would get about {wrong:.1f} of those wrong. Nothing is adjusted for their number."
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
