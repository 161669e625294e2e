"""What xltray does with three endpoints, through the classes that sweeps use, and its parts alone."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from benchmarks.models import Endpoints
from xltray.endpoints import DevSet
from xltray.grid import Point
from xltray.nn.flat import Interpolator
from xltray.nn.word_rows import word_rows
from xltray.tasks.base import Counts, EncodedSplit
from xltray.tasks.registry import get_task

# All three endpoints have a part in it, as at most points of a plane.
POINT = Point(Fraction(3, 10), Fraction(1, 5))


class Ours:
    """Scores points on a dev set that was packed once."""

    def __init__(self, endpoints: Endpoints, split: EncodedSplit) -> None:
        task = get_task(endpoints.task)
        self.dev_set = DevSet(task, split.on(endpoints.device), task.batches(split, endpoints.device))
        self.model = endpoints.endpoint_model
        # As in a sweep: of the word embeddings, the rows that the dev set uses.
        rows = word_rows(self.model, [batch.packed for batch in self.dev_set.batches])
        self.interpolator = _between(endpoints, rows)
        self.whole = _between(endpoints)
        self.plain_P = torch.empty_like(endpoints.model.flat_P)

    def score(self, point: Point = POINT) -> Mapping[str, Counts]:
        """Set a point and score it."""
        self.interpolator.set(point)
        return self.dev_set.score(self.model).counts

    def interpolate(self) -> None:
        """Set all weights to a point's."""
        self.whole.set(POINT)

    def copy(self) -> None:
        """Copy a weight vector: what setting a point is compared with."""
        self.plain_P.copy_(self.interpolator.model.flat_P)

    def forward(self) -> list[Tensor]:
        """Run all batches up to logits, or to the energies of arcs: nothing is decided or counted."""
        self.model.eval()
        with torch.inference_mode():
            if self.dev_set.task.name == "parsing":
                return [self._energies(batch.packed, batch.labels) for batch in self.dev_set.batches]
            return [
                self.model.head(self.model(batch.packed, batch.labels["place_W"]))
                for batch in self.dev_set.batches
            ]

    def _energies(self, packed: Any, words: Mapping[str, Any]) -> Tensor:
        parser: Any = self.model.head
        scores = parser(self.model(packed)[words["token"]], words["real"])
        lengths = words["gold"].lengths_S.tolist()
        energies: Tensor = parser.energies(
            scores, words["real"], words["head"], words["relation"], lengths
        ).energies_SN1N1
        return energies


def _between(endpoints: Endpoints, rows: Mapping[str, Tensor] | None = None) -> Interpolator:
    return Interpolator(
        endpoints.model,
        bilingual_P=endpoints.weights["bilingual"],
        source_P=endpoints.weights["source"],
        target_P=endpoints.weights["target"],
        rows=rows,
    )
