"""The rows of the result: which two times a ratio is of, and what it should be."""

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
    """What a ratio should be."""

    sense: Sense
    target: float

    def is_met_by(self, ratio: float) -> bool:
        """Return whether a ratio is on the right side of the target."""
        return ratio >= self.target if self.sense is Sense.AT_LEAST else ratio <= self.target


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
        return "met" if self.spec.goal.is_met_by(self.ratio.value) else "missed"


def _least(target: float) -> Goal:
    return Goal(Sense.AT_LEAST, target)


def _most(target: float) -> Goal:
    return Goal(Sense.AT_MOST, target)


TASKS = ("pos", "ner", "xnli", "parsing")
_NAIVE = {"pos": _least(3.5), "ner": _least(3.5), "xnli": _least(1.8), "parsing": _least(40)}
_STRONG = {"pos": _least(1.1), "ner": _least(1.1)}
_FORWARD = {task: _most(1.05) for task in ("pos", "ner", "xnli")} | {"parsing": _most(1.1)}

ROWS: tuple[RowSpec, ...] = (
    *(RowSpec(f"{task}: naive / ours", task, "naive", "ours", _NAIVE[task]) for task in TASKS),
    *(RowSpec(f"{task}: strong / ours", task, "strong", "ours", _STRONG.get(task)) for task in TASKS),
    *(RowSpec(f"{task}: Trainer.evaluate / ours", task, "trainer", "ours", None) for task in TASKS),
    *(RowSpec(f"{task}: ours / bare forward", task, "ours", "forward", _FORWARD[task]) for task in TASKS),
    RowSpec("interpolation / plain copy", "weights", "interpolation", "copy", _most(4)),
    RowSpec("fine-tuning pos: Trainer.train / ours", "training", "trainer", "ours", _least(2)),
    RowSpec("2 servers on 2 cores / 1 server on 1", "servers", "one", "two", _least(1.8)),
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
