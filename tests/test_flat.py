"""Flat weights: bit-exact corners, points against numpy, files that do not fit."""

from __future__ import annotations

import hashlib
import json
import struct
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xltray.errors import EndpointError
from xltray.grid import BILINGUAL, CORNERS, SOURCE, TARGET, Point
from xltray.nn import flat
from xltray.nn.flat import FlatLayout, FlatModel, Interpolator, weights_hash

SIZE = 3 * 4 + 4 * 4 + 4 + 2 * 4 + 2


class Encoder(nn.Module):
    """Embeddings, tied with an output layer; one persistent and one other buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(3, 4)
        self.layer = nn.Linear(4, 4)
        self.output = nn.Linear(4, 3, bias=False)
        self.output.weight = self.embeddings.weight
        self.register_buffer("scale", torch.tensor([2.0]))
        self.register_buffer("positions", torch.arange(3), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.layer(self.embeddings(ids)) * self.scale


def model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(OrderedDict(encoder=Encoder(), head=nn.Linear(4, 2)))


def vector(seed: int, size: int = SIZE) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def interpolator(working: FlatModel | None = None) -> Interpolator:
    bilingual_P, source_P, target_P = vector(1), vector(2), vector(3)
    return Interpolator(
        working or FlatModel(model()), bilingual_P=bilingual_P, source_P=source_P, target_P=target_P
    )


def bits(tensor: Tensor) -> list[int]:
    return tensor.detach().contiguous().view(torch.int32).tolist()


def point(a_src: object, a_tgt: object) -> Point:
    return Point(Fraction(str(a_src)), Fraction(str(a_tgt)))


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


# --- points of the plane ---

coordinates = st.builds(Fraction, st.integers(-80, 80), st.integers(1, 40))
weights = st.floats(-1e3, 1e3, width=32)
vectors = st.lists(st.tuples(weights, weights, weights), min_size=1, max_size=9)


class Vector(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((size,), torch.nan))


@settings(deadline=None, max_examples=200)
@given(rows=vectors, a_src=coordinates, a_tgt=coordinates, block=st.integers(1, 10))
def test_points_are_equation_3(rows, a_src, a_tgt, block):
    endpoints = np.array(rows, dtype=np.float32).T
    working = FlatModel(Vector(len(rows)))
    bilingual_P, source_P, target_P = (torch.from_numpy(np.ascontiguousarray(row)) for row in endpoints)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat, "_BLOCK", block)
        Interpolator(working, bilingual_P=bilingual_P, source_P=source_P, target_P=target_P).set(
            Point(a_src, a_tgt)
        )
    bilingual, source, target = endpoints.astype(np.float64)
    expected = bilingual + float(a_src) * (source - bilingual) + float(a_tgt) * (target - bilingual)
    terms = np.abs(bilingual * float(1 - a_src - a_tgt)) + np.abs(source * float(a_src))
    # Every product, sum and weight is rounded once: a few units in the last place of the largest term.
    allowed = 4 * np.finfo(np.float32).eps * (terms + np.abs(target * float(a_tgt))) + 1e-30
    # So is what is expected, in float64: at the target's corner it is B + (T - B), to the digits of B.
    steps = np.abs(bilingual) * float(1 + abs(a_src) + abs(a_tgt)) + terms + np.abs(target * float(a_tgt))
    allowed += 4 * np.finfo(np.float64).eps * steps
    found = working.model.weight.detach().numpy().astype(np.float64)
    assert (np.abs(found - expected) <= allowed).all()


def test_the_weights_are_the_ones_that_were_asked_for():
    working = interpolator()
    working.set(point("1.5", "-0.25"))  # -0.25 B + 1.5 S - 0.25 T: all exact in binary
    bilingual_P, source_P, target_P = (endpoint_P.double() for endpoint_P in working.endpoints.values())
    expected = -0.25 * bilingual_P + 1.5 * source_P - 0.25 * target_P
    torch.testing.assert_close(working.model.flat_P.double(), expected, atol=2e-6, rtol=0)


AWKWARD = [0.0, -0.0, 1e-45, -1e-45, 1.1754942e-38, -1.1754942e-38, 3.4028235e38, -3.4028235e38, 0.1, -1.0]


@pytest.mark.parametrize("corner", CORNERS)
def test_corners_are_bit_equal(corner):
    vectors = {name: torch.tensor(AWKWARD).roll(shift) for shift, name in enumerate(CORNERS)}
    working = FlatModel(Vector(len(AWKWARD)))  # starts as NaN: nothing of it may stay
    Interpolator(
        working,
        bilingual_P=vectors["bilingual"],
        source_P=vectors["source"],
        target_P=vectors["target"],
    ).set(CORNERS[corner])
    assert bits(working.model.weight) == bits(vectors[corner])


@given(seed=st.integers(0, 2**31), corner=st.sampled_from(sorted(CORNERS)))
@settings(deadline=None)
def test_corners_are_bit_equal_for_any_bits(seed, corner):
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, 2**32, size=(3, 50), dtype=np.uint32).view(np.float32)
    drawn[~np.isfinite(drawn)] = 1.0
    vectors = dict(zip(CORNERS, map(torch.from_numpy, drawn), strict=True))
    working = FlatModel(Vector(50))
    Interpolator(
        working, bilingual_P=vectors["bilingual"], source_P=vectors["source"], target_P=vectors["target"]
    ).set(CORNERS[corner])
    assert bits(working.flat_P) == bits(vectors[corner])


@pytest.mark.parametrize("scope", ["encoder", "head"])
@pytest.mark.parametrize("where", [point("0.3", "-0.4"), SOURCE, TARGET, BILINGUAL])
def test_a_scope_moves_its_part_and_leaves_the_bilingual_rest(scope, where):
    working = interpolator()
    working.set(where)
    whole = {name: bits(p) for name, p in working.model.model.named_parameters()}
    working.set(BILINGUAL)
    bilingual = {name: bits(p) for name, p in working.model.model.named_parameters()}
    working.set(where, scope)
    for name, parameter in working.model.model.named_parameters():
        expected = whole if name.startswith(f"{scope}.") else bilingual
        assert bits(parameter) == expected[name], name
    if where != BILINGUAL:
        assert whole["head.weight"] != bilingual["head.weight"]


def test_a_point_does_not_depend_on_what_was_set_before():
    steps = [
        (point("0.3", "0.1"), "all"),
        (point("-0.5", "1.5"), "all"),
        (SOURCE, "all"),
        (point("0.3", "0.1"), "encoder"),
        (point("0.3", "0.1"), "head"),
        (TARGET, "head"),
        (BILINGUAL, "all"),
    ]
    alone = {}
    for step in steps:
        fresh = interpolator()
        fresh.set(*step)
        alone[step] = bits(fresh.model.flat_P)
    assert len({tuple(found) for found in alone.values()}) == len(steps)
    working = interpolator()
    for before in steps:
        for step in steps:
            working.set(*before)
            working.set(*step)
            assert bits(working.model.flat_P) == alone[step]


def test_endpoints_are_never_written_to():
    working = interpolator()
    before = [bits(endpoint_P) for endpoint_P in working.endpoints.values()]
    for where in (SOURCE, BILINGUAL, point("0.3", "0.1")):
        working.set(where)
        working.set(where, "head")
    assert [bits(endpoint_P) for endpoint_P in working.endpoints.values()] == before


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


# --- files ---


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
