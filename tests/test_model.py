"""The endpoint model: dropout by sequence, names of parameters, seeds."""

from __future__ import annotations

import made_models as made
import pytest
import torch
from torch import nn

from xltray.nn import model as module
from xltray.nn.encoder import encode
from xltray.nn.model import EndpointModel, hidden_size, seed_of
from xltray.nn.packing import Layout, Tokens, pack

LENGTHS = [4, 2, 7, 1] * 25


@pytest.fixture
def batch():
    return pack([Tokens([5] * length, [0] * length) for length in LENGTHS], layout=Layout.PADDED)


@pytest.fixture
def endpoint() -> EndpointModel:
    return EndpointModel(made.encoder(), nn.Linear(16, 3), dropout=0.2)


def test_a_sequence_has_one_mask(endpoint, batch, monkeypatch):
    monkeypatch.setattr(module, "encode", lambda encoder, batch: torch.ones(len(batch.ids_T), 16))
    torch.manual_seed(0)
    hidden_TH = endpoint.train()(batch)
    assert set(hidden_TH.flatten().tolist()) == {0.0, 1.25}
    masks = [hidden_TH[batch.sequence_T == sequence].unique(dim=0) for sequence in range(batch.sequences)]
    assert all(len(mask) == 1 for mask in masks)
    assert len({tuple(mask[0].tolist()) for mask in masks}) > 50
    kept = torch.cat(masks).count_nonzero() / (len(masks) * 16)
    assert 0.77 < kept < 0.83  # 1600 draws: a standard deviation is 0.01


def test_some_tokens_have_the_masks_of_their_sequences(endpoint, batch, monkeypatch):
    monkeypatch.setattr(module, "encode_at", lambda encoder, batch, place_M: torch.ones(len(place_M), 16))
    place_M = torch.arange(0, len(batch.ids_T), 3)
    torch.manual_seed(0)
    hidden_MH = endpoint.train()(batch, place_M)
    assert set(hidden_MH.flatten().tolist()) == {0.0, 1.25}
    sequence_M = batch.sequence_T[place_M]
    found = {int(one): hidden_MH[sequence_M == one].unique(dim=0) for one in sequence_M}
    assert all(len(mask) == 1 for mask in found.values())
    monkeypatch.setattr(module, "encode", lambda encoder, batch: torch.ones(len(batch.ids_T), 16))
    torch.manual_seed(0)
    assert torch.equal(endpoint(batch)[place_M], hidden_MH)


def test_the_mask_lets_gradients_through(endpoint, batch):
    endpoint.train()(batch).sum().backward()
    assert all(parameter.grad is not None for parameter in endpoint.encoder.parameters())


def test_evaluation_drops_nothing(endpoint, batch):
    with torch.inference_mode():
        assert torch.equal(endpoint.eval()(batch), encode(endpoint.encoder, batch))


def test_without_dropout_training_drops_nothing_of_the_output(batch, monkeypatch):
    monkeypatch.setattr(module, "encode", lambda encoder, batch: torch.ones(len(batch.ids_T), 16))
    assert (EndpointModel(made.encoder(), nn.Linear(16, 3), dropout=0.0).train()(batch) == 1).all()


def test_parameters_are_the_encoders_then_the_heads(endpoint):
    groups = [name.partition(".")[0] for name, _ in endpoint.named_parameters()]
    assert groups == sorted(groups)
    assert set(groups) == {"encoder", "head"}


@pytest.mark.parametrize("family", ["bert", "electra", "distilbert"])
def test_hidden_size_is_the_width_of_the_output(family):
    model = made.encoder(family)
    batch = pack([Tokens([5, 6], [0, 0])], layout=Layout.RUNS)
    with torch.inference_mode():
        assert encode(model, batch).shape == (2, hidden_size(model))


def test_seeds_are_the_same_on_every_machine():
    assert seed_of("head", "pos", 0) == 102938861312209
    assert seed_of("a", "b") != seed_of("a", "c")
    torch.manual_seed(seed_of("head", "pos", 0))  # small enough for torch
