"""Fair dice for the toy languages: draws by chance, even or by Zipf's law, that no machine changes."""

from __future__ import annotations

import math
import random
from bisect import bisect
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import TypeVar

Item = TypeVar("Item")


class Dice:
    """Draws that are the same on every machine and Python version.

    Python promises that only of ``Random.random()`` seeded with a string, so nothing else is used. Sums of
    weights are ``fsum``'s, which rounds once: what ``sum`` does with floats has changed in Python 3.12.
    """

    def __init__(self, *seed: str | int) -> None:
        self._random = random.Random("/".join(map(str, seed))).random

    def chance(self, share: float) -> bool:
        """Return True in ``share`` of the cases."""
        return self._random() < share

    def one(self, items: Sequence[Item]) -> Item:
        """Draw with equal chances."""
        return items[int(self._random() * len(items))]

    def weighted(self, items: Sequence[Item], weights: Sequence[float]) -> Item:
        """Draw each item with a chance proportional to its weight; one of weight 0 never comes."""
        left = self._random() * math.fsum(weights)
        for item, weight in zip(items, weights, strict=True):
            left -= weight
            if left < 0:
                return item
        return next(item for item, weight in zip(items[::-1], weights[::-1], strict=True) if weight)

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """Return the items in an order drawn with equal chances."""
        left = list(items)
        return [left.pop(int(self._random() * len(left))) for _ in items]

    def frequent(self, items: Sequence[Item]) -> Item:
        """Draw by Zipf's law (Mandelbrot's form): rank r has a chance proportional to 1 / (r + 2)."""
        cumulative = _zipf(len(items))
        return items[bisect(cumulative, self._random() * cumulative[-1], hi=len(items) - 1)]


@cache
def _zipf(count: int) -> tuple[float, ...]:
    return tuple(accumulate(1 / (rank + 2) for rank in range(count)))
