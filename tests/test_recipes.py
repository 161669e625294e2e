"""The recipes of docs/recipes.md run, and those for the same question give the same answer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_results import UNEVEN, store_of_two_encoders

DOCUMENT = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")


def recipes() -> list[str]:
    found = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", DOCUMENT, flags=re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE).strip() for block in found]


RECIPES = recipes()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def with_counts(rows: pd.DataFrame) -> pd.DataFrame:
        correct = (rows["value"] * 1000).round().astype("int64")
        return rows.assign(correct=correct, predicted=1000, gold=1000)

    return store_of_two_encoders(tmp_path_factory.mktemp("store"), plane=UNEVEN, keep=with_counts)


def run(recipe: str, store: Path) -> dict[str, Any]:
    names: dict[str, Any] = {"store": str(store)}
    exec(recipe, names)  # our own document
    return names


def recipe_with(words: str) -> str:
    (found,) = (recipe for recipe in RECIPES if words in recipe)
    return found


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_every_recipe_runs(recipe: str, store: Path) -> None:
    assert len(run(recipe, store)) > 2


def test_pandas_duckdb_and_polars_agree(store: Path) -> None:
    answers = [
        run(recipe_with("zero_shot = "), store)["answer"].reset_index(),
        run(recipe_with("import duckdb"), store)["answer"],
        run(recipe_with("import polars"), store)["answer"].to_pandas(use_pyarrow_extension_array=False),
    ]
    key = ["encoder", "task", "source", "target"]
    first, *others = [
        one.astype(dict.fromkeys(key, "object"))
        .sort_values(key)
        .reset_index(drop=True)[[*key, "mean", "std"]]
        for one in answers
    ]
    assert len(first) == 8
    assert first["mean"].tolist() == pytest.approx([0.5] * 8)
    assert first["std"].tolist() == pytest.approx([0.03] * 8)
    for other in others:
        pd.testing.assert_frame_equal(first, other, check_dtype=False)


def test_curve_plane_join_and_counts_hold_what_the_store_was_made_of(store: Path) -> None:
    curve = run(recipe_with("curve = "), store)["curve"]
    target = curve["mbert", "pos", "accuracy", "target"].droplevel("point")
    assert target.loc[0.0] == pytest.approx(0.5 / 0.88)
    assert target.loc[1.0] == pytest.approx(1.0)
    plane = run(recipe_with("plane = "), store)["plane"]
    assert plane.shape == (len(UNEVEN), len(UNEVEN))
    joined = run(recipe_with("joined = "), store)["joined"]
    assert set(joined["angle"]) == {55.0}
    assert set(joined["metric"]) == {"accuracy", "las"}
    assert not joined["cell"].duplicated().any(), "one score a cell, of the primary metric"
    names = run(recipe_with("micro = "), store)
    assert names["micro"].between(0, 1).all()
    assert len(names["micro"].loc["mbert", "pos", "accuracy"]) == names["rows"]["point"].nunique()
