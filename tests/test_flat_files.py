"""Flat weights in files: bit for bit, and files that do not fit."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest
import torch
from made_flat import AWKWARD, Vector, bits, model
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from xltray.errors import EndpointError
from xltray.nn.flat import FlatModel, weights_hash


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "model.safetensors"
    FlatModel(model(seed=5)).save(path)
    return path


def test_save_and_load(saved):
    working = FlatModel(model(seed=6))
    before = bits(working.flat_P)
    loaded_P = working.load(saved)
    assert bits(loaded_P) == bits(FlatModel(model(seed=5)).flat_P)
    assert bits(working.flat_P) == before  # reading an endpoint leaves the model alone
    stored = load_file(saved)
    assert set(stored) == {*working.layout.shapes, "encoder.scale"}
    plain = model(seed=5).state_dict()
    assert all(torch.equal(tensor, plain[name]) for name, tensor in stored.items())


def test_negative_zeros_and_denormals_survive_the_file(tmp_path):
    working = FlatModel(Vector(len(AWKWARD)))
    working.assign(torch.tensor(AWKWARD))
    working.save(tmp_path / "x.safetensors")
    assert bits(working.load(tmp_path / "x.safetensors")) == bits(torch.tensor(AWKWARD))


def rename(tensors, old, new):
    tensors[new] = tensors.pop(old)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t.pop("head.bias"), r"lacks \['head.bias'\], has besides \[\]"),
        (lambda t: t.update(extra=torch.zeros(1)), r"lacks \[\], has besides \['extra'\]"),
        (lambda t: t.pop("encoder.scale"), r"lacks \['encoder.scale'\]"),
        (lambda t: rename(t, "head.bias", "head.b"), r"lacks \['head.bias'\], has besides \['head.b'\]"),
        (
            lambda t: t.update({"head.weight": torch.zeros(4, 2)}),  # as many numbers, another shape
            r"head.weight has shape \(4, 2\); expected \(2, 4\)",
        ),
        (lambda t: t.update({"encoder.scale": torch.tensor([2.5])}), "buffer encoder.scale differs"),
        (
            lambda t: t.update({"head.bias": t["head.bias"].half()}),
            r"head.bias has type F16; expected F32",
        ),
        (lambda t: t["head.bias"].fill_(torch.nan), "not finite"),
        (lambda t: t["encoder.layer.weight"][0].fill_(-torch.inf), "not finite"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(saved, damage, message):
    tensors = load_file(saved)
    damage(tensors)
    save_file(tensors, saved)
    with pytest.raises(EndpointError, match=message) as caught:
        FlatModel(model()).load(saved)
    assert str(saved) in str(caught.value)


def test_the_order_of_tensors_in_the_file_does_not_matter(saved):
    tensors = load_file(saved)
    # The library orders by type, then by name; other writers do as they like.
    header, data = {}, b""
    for name in sorted(tensors, reverse=True):
        content = tensors[name].numpy().tobytes()
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": offsets}
        data += content
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    saved.write_bytes(struct.pack("<Q", len(text)) + text + data)
    assert bits(FlatModel(model()).load(saved)) == bits(FlatModel(model(seed=5)).flat_P)


def test_a_file_that_is_cut_short_is_refused(saved):
    saved.write_bytes(saved.read_bytes()[:-4])
    with pytest.raises(SafetensorError):
        FlatModel(model()).load(saved)


def test_the_hash_is_of_the_bytes():
    values = [1.0, -0.0, 0.5]
    expected = hashlib.sha256(struct.pack("<3f", *values)).hexdigest()
    assert weights_hash(torch.tensor(values)) == expected
    assert weights_hash(torch.tensor([1.0, 0.0, 0.5])) != expected
    assert weights_hash(nn.Parameter(torch.tensor(values))) == expected
