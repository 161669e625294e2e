"""A model on flat weights: one parameter to train, its point in use, its layout."""

from __future__ import annotations

import pytest
import torch
from made_flat import SIZE, bits, interpolator, model, vector
from torch import nn

from xltray.errors import EndpointError
from xltray.grid import SOURCE, TARGET
from xltray.nn.flat import FlatLayout, FlatModel

# --- training ---


def test_one_parameter_trains_as_all_of_them_do() -> None:
    ids, gold = torch.tensor([0, 2, 2]), torch.tensor([1, 0, 1])
    plain, whole = model(), FlatModel(model())
    one = whole.as_one_parameter()
    optimizers = [torch.optim.AdamW(plain.parameters(), lr=0.1), torch.optim.AdamW([one], lr=0.1)]
    gradient_P = one.grad
    for _ in range(3):
        for trained, optimizer in zip((plain, whole.model), optimizers, strict=True):
            optimizer.zero_grad(set_to_none=False)
            nn.functional.cross_entropy(trained(ids), gold).backward()
            optimizer.step()
    assert one.grad is gradient_P
    expected = dict(plain.named_parameters())
    for name, parameter in whole.model.named_parameters():
        assert not torch.equal(parameter, dict(model().named_parameters())[name])
        assert torch.equal(parameter, expected[name]), name
    assert bits(whole.flat_P) == bits(one)


# --- the working model ---


def test_flattening_changes_nothing_and_parameters_are_views():
    plain, flattened = model(), FlatModel(model())
    assert {name: bits(p) for name, p in plain.named_parameters()} == {
        name: bits(p) for name, p in flattened.model.named_parameters()
    }
    assert flattened.layout.size == len(flattened.flat_P) == SIZE
    flattened.assign(torch.arange(float(SIZE)))
    assert flattened.model.encoder.embeddings.weight.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert flattened.model.head.bias.tolist() == [SIZE - 2, SIZE - 1]


def test_the_forward_pass_uses_the_point():
    working = interpolator()
    ids = torch.tensor([0, 2])
    working.set(SOURCE)
    found = working.model.model(ids)
    plain = model()
    start = 0
    for parameter in plain.parameters():
        parameter.data = vector(2)[start : start + parameter.numel()].view(parameter.shape)
        start += parameter.numel()
    assert torch.equal(found, plain(ids))
    working.set(TARGET)
    assert not torch.equal(found, working.model.model(ids))


def test_training_the_model_moves_the_flat_vector():
    working = FlatModel(model())
    before = working.flat_P.clone()
    optimizer = torch.optim.SGD(working.model.parameters(), lr=0.1)
    working.model(torch.tensor([1])).sum().backward()
    optimizer.step()
    moved = {name for name, place in working.layout.slices() if (working.flat_P != before)[place].any()}
    assert moved == {
        "encoder.embeddings.weight",
        "encoder.layer.weight",
        "encoder.layer.bias",
        "head.weight",
        "head.bias",
    }


def test_tied_weights_are_held_once_and_stay_tied():
    working = interpolator()
    encoder = working.model.model.encoder
    assert encoder.output.weight is encoder.embeddings.weight
    assert "encoder.output.weight" not in working.model.layout.shapes
    working.set(SOURCE)
    assert bits(encoder.output.weight) == bits(vector(2)[:12].view(3, 4))


# --- layout ---


def test_spans_lie_together():
    layout = FlatModel(model()).layout
    assert layout.span("encoder.") == slice(0, 32)
    assert layout.span("head.") == slice(32, SIZE)
    assert layout.span("encoder.layer.") == slice(12, 32)


def test_a_span_with_something_between_is_refused():
    layout = FlatLayout(
        {"encoder.a": torch.Size([2]), "head.a": torch.Size([3]), "encoder.b": torch.Size([1])}
    )
    assert layout.span("head.") == slice(2, 5)
    with pytest.raises(EndpointError, match=r"encoder\.\* do not lie together"):
        layout.span("encoder.")
