"""Packed batches against one forward a sentence through transformers' own attention."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import made_models as made
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from xltray.nn import attention, packing
from xltray.nn.encoder import encode
from xltray.nn.packing import Layout, Run, Tokens, batches_by_tokens, pack

LENGTHS = [5, 3, 5, 1, 12, 3, 3]


def sequences(lengths=LENGTHS, *, types=False, seed=0) -> list[Tokens]:
    """Random sequences without special ids; with types, the second half is segment 1."""
    generator = torch.Generator().manual_seed(seed)
    return [
        Tokens(
            torch.randint(5, 49, (length,), generator=generator).tolist(),
            [int(types and place >= length // 2) for place in range(length)],
        )
        for length in lengths
    ]


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("family", made.PACKED_FAMILIES)
def test_hidden_states_are_those_of_one_forward_a_sentence(family, layout):
    model = made.encoder(family)
    twin = made.plain_twin(model)
    given = sequences(types=family in ("bert", "electra"))
    batch = pack(given, layout=layout)
    with torch.inference_mode():
        found = made.unpacked(encode(model, batch), batch)
        for sequence, hidden_LH in zip(given, found, strict=True):
            torch.testing.assert_close(hidden_LH, made.one_forward(twin, sequence), atol=1e-5, rtol=0)


@pytest.mark.parametrize("layout", list(Layout))
def test_gradients_are_those_of_one_forward_a_sentence(layout):
    model = made.encoder("bert")
    twin = made.plain_twin(model)
    batch = pack(sequences(), layout=layout)
    weights_LH = torch.randn(max(LENGTHS), 16, generator=torch.Generator().manual_seed(1))
    for hidden_LH in made.unpacked(encode(model, batch), batch):
        (hidden_LH * weights_LH[: len(hidden_LH)]).sum().backward(retain_graph=True)
    for sequence in sequences():
        hidden_LH = made.one_forward(twin, sequence)
        (hidden_LH * weights_LH[: len(hidden_LH)]).sum().backward()
    expected = dict(twin.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("layout", list(Layout))
def test_attention_is_dropped_out_in_training_alone(layout):
    model = made.encoder("bert")
    for module in model.modules():
        if (
            isinstance(module, torch.nn.Dropout)
            and module is not model.encoder.layer[0].attention.self.dropout
        ):
            module.p = 0.0
    batch = pack(sequences(), layout=layout)
    with torch.inference_mode():
        assert torch.equal(encode(model, batch), encode(model, batch))
        model.train()
        assert not torch.equal(encode(model, batch), encode(model, batch))


def test_pack_puts_the_shortest_first_and_says_where_everything_is():
    given = [Tokens([7, 8, 9], [0, 1, 1]), Tokens([5], [0]), Tokens([1, 2, 3], [0, 0, 1]), Tokens([6], [1])]
    batch = pack(given, layout=Layout.RUNS)
    assert batch.order == (1, 3, 0, 2)
    assert batch.ids_T.tolist() == [5, 6, 7, 8, 9, 1, 2, 3]
    assert batch.types_T.tolist() == [0, 1, 0, 1, 1, 0, 0, 1]
    assert batch.positions_T.tolist() == [0, 0, 0, 1, 2, 0, 1, 2]
    assert batch.sequence_T.tolist() == [0, 1, 2, 2, 2, 3, 3, 3]
    assert batch.starts == (0, 1, 2, 5)
    assert batch.lengths == (1, 1, 3, 3)
    assert batch.sequences == 4
    assert batch.runs == (Run(0, 2, 1), Run(2, 2, 3))
    assert batch.bounds.tolist() == [0, 1, 2, 5, 8]
    assert batch.padding.real_BL.tolist() == [[True, False, False]] * 2 + [[True] * 3] * 2
    assert batch.padding.token_BL.tolist() == [[0, 0, 0], [1, 0, 0], [2, 3, 4], [5, 6, 7]]
    assert batch.padding.place_T.tolist() == [0, 3, 6, 7, 8, 9, 10, 11]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12))
def test_runs_cover_the_tokens_in_order(lengths):
    runs = pack(sequences(lengths), layout=Layout.RUNS).runs
    assert [length for run in runs for length in [run.length] * run.sequences] == sorted(lengths)
    assert len(runs) == len(set(lengths))
    start = 0
    for run in runs:
        assert run.start == start
        start += run.sequences * run.length


def looped(query_TAD, key_TAD, value_TAD, bounds_q, bounds_k, longest_q, longest_k, *, scale):
    """What ``varlen_attn`` does, a sequence at a time."""
    assert bounds_q.dtype == bounds_k.dtype == torch.int32
    bounds = bounds_q.tolist()
    assert bounds == bounds_k.tolist()
    assert bounds[0] == 0
    assert bounds[-1] == len(query_TAD)
    lengths = [stop - start for start, stop in itertools.pairwise(bounds)]
    assert max(lengths) == longest_q == longest_k
    outputs = []
    for start, stop in itertools.pairwise(bounds):
        query, key, value = (x[start:stop].transpose(0, 1)[None] for x in (query_TAD, key_TAD, value_TAD))
        outputs.append(F.scaled_dot_product_attention(query, key, value, scale=scale)[0].transpose(0, 1))
    return torch.cat(outputs)


@pytest.mark.parametrize("family", made.PACKED_FAMILIES)
def test_flash_attention_is_told_where_sequences_are(family, monkeypatch):
    calls = []
    monkeypatch.setattr(attention, "_has_varlen", lambda query_TAD: calls.append(query_TAD.shape) is None)
    monkeypatch.setattr(attention, "varlen_attn", looped)
    model = made.encoder(family)
    with torch.inference_mode():
        found_TH = encode(model, pack(sequences(), layout=Layout.VARLEN))
        assert len(calls) == 2, "a call a layer"
        assert {shape[0] for shape in calls} == {sum(LENGTHS)}
        expected_TH = encode(model, pack(sequences(), layout=Layout.RUNS))
    torch.testing.assert_close(found_TH, expected_TH, atol=1e-5, rtol=0)


def test_torch_takes_what_flash_attention_is_given(monkeypatch):
    # Tensors on "meta" go through its checks and give the shape, without a GPU.
    monkeypatch.setattr(attention, "_has_varlen", lambda _: True)
    batch = pack(sequences(), layout=Layout.VARLEN, device="meta")
    query, key, value = torch.empty(3, 1, 2, sum(LENGTHS), 8, device="meta", dtype=torch.bfloat16)
    module = torch.nn.Identity()
    output, _ = attention.packed_attention(module, query, key, value, None, packed=batch, scaling=0.3)
    assert output.shape == (1, sum(LENGTHS), 2, 8)
    assert output.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("device", "dtype", "width", "capability", "expected"),
    [
        ("cuda", torch.bfloat16, 64, (8, 0), True),
        ("cuda", torch.float16, 256, (9, 0), True),
        ("cuda", torch.float32, 64, (9, 0), False),
        ("cuda", torch.bfloat16, 60, (9, 0), False),
        ("cuda", torch.bfloat16, 264, (9, 0), False),
        ("cuda", torch.bfloat16, 64, (7, 5), False),
        ("cpu", torch.bfloat16, 64, (9, 0), False),
    ],
)
def test_flash_attention_is_for_half_precision_on_gpus(
    monkeypatch, device, dtype, width, capability, expected
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    query = SimpleNamespace(is_cuda=device == "cuda", dtype=dtype, shape=(9, 2, width), device=device)
    assert attention._has_varlen(query) == expected


def test_scoring_batches_of_a_gpu_are_for_flash_attention():
    assert packing.scoring_layout("cuda") == packing.scoring_layout("cuda:1") == Layout.VARLEN
    assert packing.scoring_layout("cpu") == Layout.RUNS


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_flash_attention_on_a_gpu_gives_what_runs_give(dtype, monkeypatch):
    query, key, value = torch.randn(3, 1, 4, sum(LENGTHS), 64, device="cuda").to(dtype)
    calls = []
    real = attention.varlen_attn
    monkeypatch.setattr(attention, "varlen_attn", lambda *a, **k: (calls.append(1), real(*a, **k))[1])
    outputs = [
        attention.packed_attention(
            torch.nn.Identity(), query, key, value, None,
            packed=pack(sequences(), layout=layout, device="cuda"), scaling=0.125,
        )[0]
        for layout in (Layout.RUNS, Layout.VARLEN)
    ]  # fmt: skip
    possible = dtype == torch.bfloat16 and torch.cuda.get_device_capability() >= (8, 0)
    assert len(calls) == possible
    torch.testing.assert_close(*outputs, atol=2e-2 if possible else 1e-6, rtol=0)


def test_with_ids_changes_the_subwords_and_nothing_else():
    batch = pack(sequences(), layout=Layout.PADDED)
    other = batch.with_ids(batch.ids_T + 1)
    assert torch.equal(other.ids_T, batch.ids_T + 1)
    assert not torch.equal(other.ids_T, batch.ids_T)
    assert other == packing.replace(batch, ids_T=other.ids_T)
    model = made.encoder()
    with torch.inference_mode():
        found = made.unpacked(encode(model, other), other)
        shifted = Tokens([id_ + 1 for id_ in sequences()[0].ids], sequences()[0].types)
        expected = made.one_forward(made.plain_twin(model), shifted)
        torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=0)


@settings(deadline=None)
@given(
    items=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), max_size=40),
    by_key=st.booleans(),
    budget=st.integers(1, 60),
)
def test_batches_by_tokens(items, by_key, budget):
    lengths = [length for length, _ in items]
    keys = [key for _, key in items] if by_key else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(packing.PAIRED_BUDGET if by_key else packing.TOKEN_BUDGET, "cpu", budget)
        batches = batches_by_tokens(lengths, "cpu", keys)
        assert batches == batches_by_tokens(lengths, "cpu", keys)
    flat = [index for batch in batches for index in batch]
    sort_by = keys or lengths
    assert flat == [index for _, index in sorted((sort_by[index], index) for index in range(len(lengths)))]
    tokens = [sum(lengths[index] for index in batch) for batch in batches]
    assert all(batch for batch in batches)
    assert all(total <= budget or len(batch) == 1 for total, batch in zip(tokens, batches, strict=True))
    # Nothing is split without need: the next sequence would not have fitted.
    assert all(tokens[i] + lengths[batches[i + 1][0]] > budget for i in range(len(batches) - 1))


def test_the_budget_is_the_devices_kind():
    lengths = [100] * 100
    assert len(batches_by_tokens(lengths, "cpu")) == 3
    assert len(batches_by_tokens(lengths, "cuda:0")) == 1
