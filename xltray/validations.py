"""What validation has found of a fine-tuning: its history, which model is kept, when patience ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from xltray.spec import FinetuneSpec
from xltray.tasks.base import Evaluation

_SAVED = ("best_score", "best_step", "best_counts", "since_gain", "gained_score")


@dataclass
class Validations:
    """Judges validations by the mean of the ``primary`` metric over the dev sets.

    ``best_*`` are those of the model to keep: with ``keep: last``, of the last validation.
    """

    primary: str
    recipe: FinetuneSpec
    rows: list[dict[str, Any]] = field(default_factory=list)
    best_score: float = float("-inf")
    best_step: int = 0
    best_counts: dict[str, Any] = field(default_factory=dict)
    since_gain: int = 0
    gained_score: float = float("-inf")

    @property
    def exhausted(self) -> bool:
        """Whether the score has not risen for ``patience`` validations, and that matters."""
        return self.recipe.keep == "best" and self.since_gain >= self.recipe.patience

    def add(self, step: int, epoch: float, train_loss: float, evaluations: Mapping[str, Evaluation]) -> bool:
        """Note a validation; returns whether its model is the one to keep so far."""
        self.rows += _rows(step, epoch, train_loss, evaluations)
        score = self._score(evaluations)
        keep = self.recipe.keep == "last" or score > self.best_score
        if keep:
            self._keep(step, score, evaluations)
        if score > self.gained_score and score >= self.gained_score + self.recipe.min_gain:
            self.gained_score, self.since_gain = score, 0
        else:
            self.since_gain += 1
        return keep

    def rescore(self, evaluations: Mapping[str, Evaluation]) -> None:
        """Replace what was found of the best model by what another device finds of it."""
        old = [row for row in self.rows if row["step"] == self.best_step]
        new = _rows(self.best_step, old[0]["epoch"], old[0]["train_loss"], evaluations)
        before = self.rows.index(old[0])
        self.rows[before : before + len(old)] = new
        self._keep(self.best_step, self._score(evaluations), evaluations)

    def latest(self) -> dict[str, float]:
        """Return the training loss and the dev scores of the last validation, by name."""
        rows = [row for row in self.rows if row["step"] == self.rows[-1]["step"]]
        scores = {f"{row['metric']}/{row['language']}": row["value"] for row in rows}
        return {"train_loss": rows[0]["train_loss"], **scores}

    def history(self) -> list[dict[str, Any]]:
        """Return the rows of ``results.HISTORY_SCHEMA``."""
        return [{**row, "selected": row["step"] == self.best_step} for row in self.rows]

    def state(self) -> dict[str, Any]:
        """Return all but the rows as plain values."""
        return {name: getattr(self, name) for name in _SAVED}

    def restore(self, state: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> None:
        """Go on where ``state`` was taken."""
        for name in _SAVED:
            setattr(self, name, state[name])
        self.rows = [dict(row) for row in rows]

    def _score(self, evaluations: Mapping[str, Evaluation]) -> float:
        values = [evaluation.counts[self.primary].value for evaluation in evaluations.values()]
        return sum(values) / len(values)

    def _keep(self, step: int, score: float, evaluations: Mapping[str, Evaluation]) -> None:
        self.best_step, self.best_score = step, score
        self.best_counts = {
            language: {metric: list(counts) for metric, counts in evaluation.counts.items()}
            for language, evaluation in evaluations.items()
        }


def _rows(
    step: int, epoch: float, train_loss: float, evaluations: Mapping[str, Evaluation]
) -> list[dict[str, Any]]:
    return [
        {
            "step": step,
            "epoch": epoch,
            "train_loss": train_loss,
            "language": language,
            "metric": metric,
            "value": counts.value,
            **counts._asdict(),
            "loss": evaluation.loss,
        }
        for language, evaluation in evaluations.items()
        for metric, counts in evaluation.counts.items()
    ]
