"""Packed batches against one forward a sentence through transformers' own attention."""

from __future__ import annotations

import made_models as made
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xltray.nn import packing
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
        patch.setitem(packing.TOKEN_BUDGET, "cpu", budget)
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
