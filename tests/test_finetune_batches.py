"""Batches of an epoch, and the steps at which a fine-tuning validates.

A sequence is known by its language and number, which stand in its tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from hypothesis import given
from hypothesis import strategies as st

from xltray.epochs import epoch_batches, validation_steps
from xltray.nn.packing import Tokens
from xltray.tasks.base import Encoded, EncodedSplit


def splits(sizes: Sequence[int]) -> dict[str, EncodedSplit]:
    def sequence(language: int, number: int) -> Encoded:
        return Encoded(Tokens([language, number], [0, 0]), [0], {})

    return {
        f"q{language}": EncodedSplit([sequence(language, number) for number in range(size)], size)
        for language, size in enumerate(sizes)
    }


def names(batch: Sequence[Encoded]) -> list[tuple[int, ...]]:
    return [tuple(sequence.tokens.ids) for sequence in batch]


def drawn(sizes: Sequence[int], batch_size: int, seed: int = 0) -> list[list[tuple[int, ...]]]:
    generator = torch.Generator().manual_seed(seed)
    return [names(batch) for batch in epoch_batches(splits(sizes), batch_size, generator)]


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 5))
def test_one_language_keeps_every_sequence_once(size: int, batch_size: int, seed: int) -> None:
    batches = drawn([size], batch_size, seed)
    assert sorted(name for batch in batches for name in batch) == [(0, number) for number in range(size)]
    assert sum(len(batch) != batch_size for batch in batches) == (size % batch_size != 0)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=3), st.integers(1, 20), st.integers(0, 5))
def test_bilingual_batches_are_full_and_of_one_language(sizes: list[int], batch_size: int, seed: int) -> None:
    batches = drawn(sizes, batch_size, seed)
    for language, size in enumerate(sizes):
        own = [batch for batch in batches if batch[0][0] == language]
        assert all(name[0] == language for batch in own for name in batch)
        # In proportion to size; a language without a full batch keeps the one that it has.
        assert len(own) == max(1, size // batch_size)
        assert {len(batch) for batch in own} == {min(batch_size, size)}
        assert len({name for batch in own for name in batch}) == len(own) * min(batch_size, size)
    assert len(batches) == sum(max(1, size // batch_size) for size in sizes)


def test_epochs_differ_in_batches_and_order_and_repeat_with_the_seed() -> None:
    generator = torch.Generator().manual_seed(0)
    two = [[names(b) for b in epoch_batches(splits([40, 40]), 10, generator)] for _ in range(2)]
    assert {frozenset(batch) for batch in two[0]} != {frozenset(batch) for batch in two[1]}
    assert drawn([40, 40], 10, 0) == two[0]
    orders = {tuple(batch[0][0] for batch in drawn([40, 40], 10, seed)) for seed in range(8)}
    assert len(orders) > 4, "the languages take turns at random"


@given(st.integers(1, 500), st.integers(1, 12))
def test_validations_are_spread_and_the_last_step_is_one(steps: int, times: int) -> None:
    chosen = sorted(validation_steps(steps, times))
    assert chosen[-1] == steps
    assert chosen[0] >= 1
    assert len(chosen) == min(steps, times)
    gaps = [after - before for before, after in zip([0, *chosen], chosen, strict=False)]
    assert max(gaps) - min(gaps) <= 1


def test_validation_steps_of_the_paper() -> None:
    assert validation_steps(12272, 4) == {3068, 6136, 9204, 12272}
