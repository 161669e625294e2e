"""The models of the sweep file: what they accept, what they refuse, what follows from them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from xltray.spec import EncoderSpec, FinetuneSpec, PretrainSpec, SweepSpec, ToySpec
from xltray.spec_runtime import RuntimeSpec
from xltray.spec_types import AxisSpec, GridSpec

MINIMAL: dict[str, Any] = {
    "name": "mini",
    "tasks": ["pos"],
    "pairs": {"en": ["de"]},
    "encoders": {"a": {"checkpoint": "x"}},
}


def sweep(**changes: Any) -> SweepSpec:
    return SweepSpec.model_validate(MINIMAL | changes)


def test_the_defaults_are_the_papers_recipe() -> None:
    recipe = FinetuneSpec()
    assert (recipe.learning_rate, recipe.epochs, recipe.batch_size, recipe.max_length) == (2e-5, 5, 32, 128)
    assert (recipe.warmup, recipe.betas, recipe.weight_decay, recipe.clip_norm) == (
        0.1,
        (0.9, 0.99),
        0.0,
        None,
    )
    assert sweep().seeds == (0, 1, 2)
    assert sweep().scopes == ("all",)


def test_storage_defaults_to_the_sweeps_name() -> None:
    assert sweep().storage == "results/mini"
    assert sweep(storage="s3://bucket/x").storage == "s3://bucket/x"


def test_specs_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        sweep().name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("value", ["5", True, 3.0, 3.7, None, [5]])
def test_a_whole_number_is_nothing_else(value: Any) -> None:
    for model, field in ((FinetuneSpec, "epochs"), (ToySpec, "seed"), (RuntimeSpec, "retries")):
        with pytest.raises(ValidationError):
            model.model_validate({field: value})


@pytest.mark.parametrize("value", ["3e-5", True, None, float("nan"), float("inf")])
def test_a_number_is_nothing_else(value: Any) -> None:
    with pytest.raises(ValidationError):
        FinetuneSpec.model_validate({"learning_rate": value})
    with pytest.raises(ValidationError):
        AxisSpec.model_validate({"start": value})


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_a_flag_is_true_or_false(value: Any) -> None:
    with pytest.raises(ValidationError):
        RuntimeSpec.model_validate({"dashboard": value})


def test_a_whole_number_serves_as_a_number() -> None:
    rate = FinetuneSpec.model_validate({"learning_rate": 1}).learning_rate
    assert rate == 1.0
    assert isinstance(rate, float)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ["pos", "pos"]}, "pos given more than once"),
        ({"seeds": [0, 1, 0]}, "0 given more than once"),
        ({"scopes": ["all", "all"]}, "all given more than once"),
        ({"pairs": {"en": ["de", "de"]}}, "de given more than once"),
        ({"pairs": {"en": ["de", "en"]}}, "en among its own targets"),
        ({"pairs": {"en": []}}, "at least 1 item"),
        ({"pairs": {}}, "at least 1 item"),
        ({"tasks": []}, "at least 1 item"),
        ({"encoders": {}}, "at least 1 item"),
        ({"encoders": {"a": {}}}, "neither checkpoint nor pretrain"),
        (
            {"encoders": {"a": {"checkpoint": "x", "pretrain": {"languages": ["en"]}}}},
            "checkpoint and pretrain",
        ),
        ({"encoders": {"a": {"pretrain": {}}}}, "neither languages nor text"),
        (
            {"encoders": {"a": {"pretrain": {"languages": ["en"], "heads": 5}}}},
            "hidden_size 128 with heads 5",
        ),
        ({"grid": {"plane": None, "lines": None}}, "neither plane nor lines"),
        ({"grid": {"plane": {"step": 0}}}, "step 0"),
        ({"grid": {"plane": {"start": 2}}}, "stop 1.5 below start 2"),
        ({"grid": {"plane": {"step": 1e-9}}}, "an axis of 2000000001 numbers"),
        ({"grid": {"plane": []}}, "at least 1 item"),
        ({"finetune_task": {"pos": {"epoch": 3}}}, "finetune_task.pos.epoch\n"),
        ({"finetune_task": {"pos": {"epochs": "3"}}}, "finetune_task.pos.epochs\n"),
    ],
)
def test_mistakes_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        sweep(**changes)
    assert message in str(caught.value)
    assert caught.value.error_count() == 1


def test_a_tasks_recipe_is_the_common_one_with_its_changes() -> None:
    spec = sweep(finetune={"epochs": 3}, finetune_task={"pos": {"learning_rate": 1e-3, "betas": [0.8, 0.9]}})
    assert spec.recipe("pos") == FinetuneSpec(epochs=3, learning_rate=1e-3, betas=(0.8, 0.9))
    assert spec.recipe("ner") == FinetuneSpec(epochs=3)


def test_languages_are_sources_and_targets() -> None:
    assert sweep(pairs={"en": ["vi", "ar"], "ar": ["de"]}).languages() == ("ar", "de", "en", "vi")


def test_axis_values_are_exact_and_end_at_stop() -> None:
    axis = AxisSpec.model_validate({"start": 0, "stop": 1, "step": 0.1, "also": [0.25]})
    assert axis.values() == (*(Fraction(n, 10) for n in range(11)), Fraction(1, 4))
    assert AxisSpec.model_validate({"start": 0, "stop": 1, "step": 0.3}).values()[-1] == Fraction(9, 10)


def test_a_list_is_an_axis() -> None:
    grid = GridSpec.model_validate({"plane": [0.1, -0.5, 1], "lines": None})
    assert grid.plane is not None
    assert grid.plane.values() == (Fraction(1, 10), Fraction(-1, 2), Fraction(1))
    assert len(grid.grid()) == 9


@settings(deadline=None)
@given(st.lists(st.decimals(min_value=-3, max_value=3, places=4), min_size=1, max_size=5))
def test_numbers_are_read_as_they_are_written_and_survive_json(decimals: list[Any]) -> None:
    grid = GridSpec.model_validate({"plane": [float(number) for number in decimals]})
    assert grid.plane is not None
    assert grid.plane.values() == tuple(Fraction(number) for number in decimals)
    assert GridSpec.model_validate_json(grid.model_dump_json()) == grid


def test_a_sweep_survives_json() -> None:
    spec = sweep(
        encoders={"own": {"pretrain": {"languages": ["en"]}}},
        data={"treebanks": {"de": {"train": "dev", "dev": "test"}}},
        finetune_task={"pos": {"epochs": 3}},
    )
    assert SweepSpec.model_validate_json(spec.model_dump_json()) == spec
    assert SweepSpec.model_validate(spec.model_dump()) == spec


def test_an_encoder_is_a_checkpoint_or_pretrained() -> None:
    assert EncoderSpec(checkpoint="x").revision == "main"
    assert EncoderSpec(pretrain=PretrainSpec(text=("a.txt",))).checkpoint is None
