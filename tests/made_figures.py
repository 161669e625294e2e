"""A store for the analysis, and reading in the figures that are drawn of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from made_results import UNEVEN, store_of_two_encoders
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.read import Results, load
from analysis.style import Drawing, Skipped

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_of_two_encoders(tmp_path_factory.mktemp("store"), plane=UNEVEN)


@pytest.fixture(scope="module")
def results(shared: Path) -> Results:
    return load(shared)


def drawn(outcomes: Iterator[Drawing | Skipped]) -> dict[str, Figure]:
    return {outcome.name: outcome.figure for outcome in outcomes if isinstance(outcome, Drawing)}


def reasons(outcomes: Iterator[Drawing | Skipped]) -> list[str]:
    return [outcome.reason for outcome in outcomes if isinstance(outcome, Skipped)]


def line_named(figure: Figure, panel: int, label: str) -> Line2D:
    return next(line for line in figure.axes[panel].get_lines() if line.get_label() == label)


def at(line: Line2D, alpha: float) -> float:
    alphas, values = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    return float(values[np.flatnonzero(np.isclose(alphas, alpha))[0]])
