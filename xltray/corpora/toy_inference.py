"""Which form of a premise and of a hypothesis go together, so that neither alone betrays the label.

The sentences about one scene differ in three things, their *form*:

* ``positive``: whether the sentence is affirmed or negated;
* ``side``: whether it has a predicate or the predicate's antonym ("big", "small"). Antonyms are
  contrary: not both hold of the same, but both may fail;
* ``level``: how many of the scene's specifications the predicate has ("sees an animal", "sees a
  dog", "sees a dog in the city"). Each says more than the one before; negated, each says less.

``relation`` follows from that. Forms with all labels are then balanced: for each label there is a
table of weights over (premise's form, hypothesis's form) that is 0 where the label does not hold,
and whose sums over rows and over columns are the same for all three labels. Drawn from these
tables, premises and hypotheses have one and the same distribution under every label: what is told
of the label is told by the two together.

Left out of entailments is what takes two steps at once, the antonym denied ("is big" does entail "is not
small"). Without, small encoders learn the rest from half the pairs.

A sentence of *another* scene (a word of the first replaced) is neutral to every form of this one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from xltray.corpora.toy_dice import Dice

Table = tuple[tuple[float, ...], ...]

PREMISE_LEVELS = ((1.0,), (0.25, 0.75), (0.1, 0.3, 0.6))
"""Chances of each level of an affirmed premise, by the number of specifications; mirrored if negated."""
HYPOTHESIS_LEVELS = ((1.0,), (0.6, 0.4), (0.4, 0.4, 0.2))
"""The same for hypotheses. An entailed one says less, so that premises must tend to say more."""
MOST_LEVELS = len(PREMISE_LEVELS) - 1
AFFIRMED = 0.6
"""Share of either sentences where there are antonyms: "not big" decides nothing about "small", so fewer
may be negated. The two shares must be equal, as both or none of a premise and what it entails is negated.
"""
WITHIN = 0.5
"""How much more often a neutral pair is of one scene, where the forms allow it, than of two."""
ROUNDS = 300


class Form(NamedTuple):
    """How a sentence puts its scene."""

    positive: bool
    side: int
    level: int


class Drawn(NamedTuple):
    """The forms of a pair, and whether the hypothesis is about another scene."""

    premise: Form
    hypothesis: Form
    other: bool


def relation(premise: Form, hypothesis: Form) -> str:
    """Return how two sentences about the same scene relate."""
    more = premise.level >= hypothesis.level
    less = premise.level <= hypothesis.level
    same_side = premise.side == hypothesis.side
    if premise.positive and hypothesis.positive:
        if not same_side:
            return "contradiction"
        return "entailment" if more else "neutral"
    if premise.positive:
        if not same_side:
            return "entailment"
        return "contradiction" if more else "neutral"
    if not same_side:
        return "neutral"
    if hypothesis.positive:
        return "contradiction" if less else "neutral"
    return "entailment" if less else "neutral"


@cache
def forms(levels: int, sides: int) -> tuple[Form, ...]:
    """Return all forms of a scene with so many specifications and one predicate or two."""
    return tuple(
        Form(positive, side, level)
        for positive in (True, False)
        for side in range(sides)
        for level in range(levels + 1)
    )


def _shares(levels: int, sides: int, by_level: Sequence[Sequence[float]], affirmed: float) -> list[float]:
    """Return how often each form occurs."""
    return [
        (affirmed * by_level[levels][form.level] if form.positive
         else (1 - affirmed) * by_level[levels][levels - form.level]) / sides
        for form in forms(levels, sides)
    ]  # fmt: skip


@cache
def weights(label: str, levels: int, sides: int) -> Table:
    """Return the weight of each (premise's form, hypothesis's form), by iterative proportional fitting."""
    affirmed = AFFIRMED if sides > 1 else 0.5
    rows = _shares(levels, sides, PREMISE_LEVELS, affirmed)
    columns = _shares(levels, sides, HYPOTHESIS_LEVELS, affirmed)
    start = _allowed(label)
    table = [[start(row, column) for column in forms(levels, sides)] for row in forms(levels, sides)]
    for _ in range(ROUNDS):
        for number, share in enumerate(rows):
            scale = share / math.fsum(table[number])
            table[number] = [weight * scale for weight in table[number]]
        for number, share in enumerate(columns):
            scale = share / math.fsum(row[number] for row in table)
            for row in table:
                row[number] *= scale
    return tuple(map(tuple, table))


def _allowed(label: str) -> Callable[[Form, Form], float]:
    # Every pair of forms may be neutral: about two scenes.
    if label == "neutral":
        return lambda premise, hypothesis: 1 + WITHIN * (relation(premise, hypothesis) == label)
    return lambda premise, hypothesis: float(
        relation(premise, hypothesis) == label and not two_steps(premise, hypothesis)
    )


def two_steps(premise: Form, hypothesis: Form) -> bool:
    """Return whether the sentences have antonyms of which one is denied."""
    return premise.side != hypothesis.side and premise.positive != hypothesis.positive


def draw(label: str, levels: int, sides: int, dice: Dice) -> Drawn:
    """Draw the forms of a pair with this label."""
    all_forms = forms(levels, sides)
    cells = [(premise, hypothesis) for premise in all_forms for hypothesis in all_forms]
    flat = [weight for row in weights(label, levels, sides) for weight in row]
    premise, hypothesis = dice.weighted(cells, flat)
    within = relation(premise, hypothesis) == label
    other = not within or (label == "neutral" and dice.chance(1 / (1 + WITHIN)))
    return Drawn(premise, hypothesis, other)
