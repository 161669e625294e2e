"""Parameters and disk, against models that transformers builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import POINTS, Tiny, make_tiny
from transformers import AutoModel, BertConfig, XLMRobertaConfig

from xltray.estimate import BYTES_PER_CELL, BYTES_PER_EVALUATION, estimate
from xltray.inputs import FileInputs
from xltray.plan import Plan, make_plan
from xltray.pretrain import _configuration
from xltray.spec import PretrainSpec, SweepSpec
from xltray.sweepfile import load_sweep

ROOT = Path(__file__).parent.parent
MBERT = BertConfig(vocab_size=119547)
XLMR_LARGE = XLMRobertaConfig(
    vocab_size=250002,
    hidden_size=1024,
    num_hidden_layers=24,
    num_attention_heads=16,
    intermediate_size=4096,
    max_position_embeddings=514,
    type_vocab_size=1,
)


def built(config: Any) -> int:
    """Parameters of a model without pooler; without memory for its weights."""
    with torch.device("meta"):
        model = AutoModel.from_config(config, add_pooling_layer=False)
    return sum(parameter.numel() for parameter in model.parameters())


def full() -> Plan:
    sweep = load_sweep(ROOT / "sweeps" / "full.yaml")
    return make_plan(sweep, FileInputs(sweep.data, lenient=True))


def sweep(**encoders: dict[str, Any]) -> SweepSpec:
    return SweepSpec.model_validate(
        {"name": "s", "tasks": ["pos"], "pairs": {"en": ["de"]}, "encoders": encoders}
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"vocabulary": 777, "hidden_size": 48, "heads": 6, "layers": 3, "max_positions": 199},
        {"layers": 1, "hidden_size": 8, "heads": 1},
    ],
)
def test_a_pretrained_encoder_has_as_many_parameters_as_said(changes: dict[str, int]) -> None:
    spec = PretrainSpec(languages=("en",), **changes)
    assert spec.parameters == built(_configuration(spec, spec.vocabulary))


def test_the_sweep_file_says_the_papers_encoders_sizes() -> None:
    spec = full().sweep
    assert spec.encoders["mbert"].known_parameters == built(MBERT)
    assert spec.encoders["xlmr-large"].known_parameters == built(XLMR_LARGE)


def test_the_papers_sweep_needs_about_850_gb() -> None:
    need = estimate(full())
    # 288 endpoints of each encoder, four bytes a weight.
    assert need.endpoints == 288 * 4 * (built(MBERT) + built(XLMR_LARGE))
    assert need.encoders == 0
    assert need.results == 360 * (465 * 2 * BYTES_PER_EVALUATION + BYTES_PER_CELL)
    assert need.unknown == ()
    assert 840e9 < need.total == need.endpoints + need.results < 860e9


def test_an_encoder_of_unknown_size_is_named_and_left_out() -> None:
    spec = sweep(
        known={"checkpoint": "a", "parameters": 1000},
        own={"pretrain": {"languages": ["en"]}},
        unknown={"checkpoint": "b"},
    )
    assert spec.encoders["unknown"].known_parameters is None
    assert spec.encoders["known"].known_parameters == 1000
    need = estimate(make_plan(spec, FileInputs(spec.data, lenient=True)))
    own = PretrainSpec(languages=("en",)).parameters
    assert need.unknown == ("unknown",)
    assert need.encoders == 4 * own
    assert need.endpoints == 3 * 3 * 4 * (1000 + own)  # three seeds, three endpoints


def test_the_estimate_is_near_what_a_sweep_takes(tiny: Tiny) -> None:
    need = estimate(tiny.plan)

    def taken(pattern: str) -> int:
        return sum(path.stat().st_size for path in tiny.root.glob(pattern))

    # Heads, not small here, and the files' headers come on top.
    assert need.encoders <= taken("encoders/*/model.safetensors") < 1.5 * need.encoders
    assert need.endpoints <= taken("endpoints/*/model.safetensors") < 2 * need.endpoints
    assert need.results == 4 * (POINTS * 3 * 2 * BYTES_PER_EVALUATION + BYTES_PER_CELL)


def test_scopes_are_counted(tmp_path: Path) -> None:
    one, three = (make_tiny(tmp_path, scopes=scopes) for scopes in (["all"], ["all", "encoder", "head"]))
    more = estimate(three.plan).results - estimate(one.plan).results
    assert more == 4 * POINTS * 2 * 2 * BYTES_PER_EVALUATION
    assert estimate(three.plan).endpoints == estimate(one.plan).endpoints
