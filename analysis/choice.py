"""Which encoders and tasks to take (``--encoders``, ``--tasks``), and what that means for a plan."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from analysis.tables import AnalysisError

_CELL_ID = re.compile(r"(?P<task>[^-]+)-.+?-s\d+-(?P<encoder>.+)")
_HASH = re.compile(r"-[0-9a-f]{8}$")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Names of encoders and of tasks; empty takes all."""

    encoders: frozenset[str] = frozenset()
    tasks: frozenset[str] = frozenset()

    @property
    def note(self) -> str:
        """Say what was chosen; nothing if all."""
        parts = [
            f"{option} {' '.join(sorted(names))}"
            for option, names in (("--encoders", self.encoders), ("--tasks", self.tasks))
            if names
        ]
        return f"Only cells of {', '.join(parts)}." if parts else ""

    def of(self, *frames: pd.DataFrame) -> tuple[pd.DataFrame, ...]:
        """Return the rows of each table that are chosen.

        Raises:
            AnalysisError: if no table has a row of a chosen name.
        """
        for column, wanted in (("encoder", self.encoders), ("task", self.tasks)):
            if wanted:
                frames = tuple(self._of_column(frames, column, wanted))
        return frames

    def unchosen(self, *frames: pd.DataFrame) -> frozenset[str]:
        """Return the encoders with rows of a chosen task that the choice of encoders leaves out."""
        if not self.encoders:
            return frozenset()
        of_tasks = [frame[frame["task"].isin(list(self.tasks))] if self.tasks else frame for frame in frames]
        return (
            frozenset(str(name) for frame in of_tasks for name in frame["encoder"].unique()) - self.encoders
        )

    def planned(self, cells: frozenset[str] | None) -> frozenset[str] | None:
        """Return the planned cells that are chosen, by what their ids begin and end with."""
        if cells is None or not (self.encoders or self.tasks):
            return cells
        return frozenset(cell for cell in cells if self._has(cell))

    def _has(self, cell: str) -> bool:
        found = _CELL_ID.fullmatch(cell)
        if found is None:
            return True
        named = {found["encoder"], _HASH.sub("", found["encoder"])}
        return (not self.tasks or found["task"] in self.tasks) and (
            not self.encoders or bool(named & self.encoders)
        )

    @staticmethod
    def _of_column(
        frames: Collection[pd.DataFrame], column: str, wanted: Collection[str]
    ) -> list[pd.DataFrame]:
        there = {str(name) for frame in frames for name in frame[column].unique()}
        absent = sorted(set(wanted) - there)
        if absent:
            raise AnalysisError(
                f"--{column}s {' '.join(absent)}: no such {column} in these results. "
                f"There: {', '.join(sorted(there)) or 'none'}."
            )
        return [frame[frame[column].isin(list(wanted))] for frame in frames]
