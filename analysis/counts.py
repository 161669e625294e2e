"""How many things each line or panel of a figure is the mean of: not how many the figure holds in all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from analysis import names


class Counts(NamedTuple):
    """The fewest and the most that a line of the figure is made of; 0 if there is no line."""

    least: int
    most: int

    def of(self, noun: str) -> str:
        """Return "12 cells", or "6 to 12 cells" where lines differ."""
        most = names.count(self.most, noun)
        return most if self.least == self.most else f"{self.least} to {most}"

    def band(self, noun: str) -> str:
        """Return the sentence on bootstrap bands; nothing where no line can have one."""
        return f" Band: 95% interval of the mean (bootstrap over {noun})." if self.most > 1 else ""


def per_line(frames: Iterable[pd.DataFrame], line: Sequence[str], unit: Sequence[str]) -> Counts:
    """Count units a line: ``frames`` are the rows of each panel, ``line`` tells lines of a panel apart."""
    numbers = [
        int(number)
        for rows in frames
        for number in rows[[*line, *unit]].drop_duplicates().groupby(list(line), observed=True).size()
    ]
    return Counts(min(numbers, default=0), max(numbers, default=0))
