"""The rows of the result: which two times a ratio is of, and what it should be.

A floor is what the tests ask for: looser than the target, so that a noisy machine fails nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np

from benchmarks.statistics import Ratio, ratio_of_medians

Times = Mapping[str, Sequence[float]]


class Sense(Enum):
    """On which side of its target a ratio should be."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


class Goal(NamedTuple):
    """A target; both numbers are ratios. ``floor`` is the looser one that the tests hold a row to.

    Without a floor is what the machine decides: wall time, where other processes want the same cores.
    """

    sense: Sense
    target: float
    floor: float | None

    def holds(self, ratio: float, bound: float) -> bool:
        """Return whether a ratio is on the right side of a bound."""
        return ratio >= bound if self.sense is Sense.AT_LEAST else ratio <= bound


class RowSpec(NamedTuple):
    """A row: ``above`` / ``below``, two contestants of the same rounds. No goal: shown only."""

    label: str
    group: str
    above: str
    below: str
    goal: Goal | None


class Row(NamedTuple):
    """A row as it came out. Seconds are of one turn."""

    spec: RowSpec
    ratio: Ratio
    above_minimum: float
    above_median: float
    below_minimum: float
    below_median: float

    @property
    def verdict(self) -> str:
        """``met`` or ``missed``; nothing where there is no target."""
        if self.spec.goal is None:
            return ""
        return "met" if self.spec.goal.holds(self.ratio.value, self.spec.goal.target) else "missed"


def _least(target: float, floor: float | None) -> Goal:
    return Goal(Sense.AT_LEAST, target, floor)


def _most(target: float, floor: float) -> Goal:
    return Goal(Sense.AT_MOST, target, floor)


TASKS = ("pos", "ner", "xnli", "parsing")
_NAIVE = {
    "pos": _least(3.5, 1.5),
    "ner": _least(3.5, 1.5),
    "xnli": _least(1.8, 1.1),
    "parsing": _least(40, 8),
}
_STRONG = {"pos": _least(1.1, 0.8), "ner": _least(1.1, 0.8)}
_FORWARD = {task: _most(1.05, 1.5) for task in ("pos", "ner", "xnli")} | {"parsing": _most(1.1, 2.0)}

ROWS: tuple[RowSpec, ...] = (
    *(RowSpec(f"{task}: naive / ours", task, "naive", "ours", _NAIVE[task]) for task in TASKS),
    *(RowSpec(f"{task}: strong / ours", task, "strong", "ours", _STRONG.get(task)) for task in TASKS),
    *(RowSpec(f"{task}: Trainer.evaluate / ours", task, "trainer", "ours", None) for task in TASKS),
    *(RowSpec(f"{task}: ours / bare forward", task, "ours", "forward", _FORWARD[task]) for task in TASKS),
    RowSpec("interpolation / plain copy", "weights", "interpolation", "copy", _most(4, 10)),
    RowSpec("fine-tuning pos: Trainer.train / ours", "training", "trainer", "ours", _least(2, 1.0)),
    RowSpec("2 servers on 2 cores / 1 server on 1", "servers", "one", "two", _least(1.8, None)),
)  # fmt: skip


def measured(spec: RowSpec, times: Times) -> Row:
    """Return a row from the times of its group's rounds.

    The servers' row is of throughputs: two servers do twice the work of one in a turn.
    """
    above, below = times[spec.above], times[spec.below]
    ratio = ratio_of_medians(above, below)
    if spec.group == "servers":
        ratio = Ratio(*(2 * number for number in ratio))
    return Row(
        spec,
        ratio,
        min(above),
        float(np.median(above)),
        min(below),
        float(np.median(below)),
    )
