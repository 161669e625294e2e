"""Training with masked words: which tokens are masked."""

from __future__ import annotations

import pytest
import torch

from xltray.nn.masked_words import CLS, MASK, SEP, SPECIALS, Masked, mask_words


def masked(ids: torch.Tensor, rate: float = 0.15, vocabulary: int = 1000) -> Masked:
    return mask_words(ids, rate, vocabulary, torch.Generator().manual_seed(3))


def test_of_the_chosen_most_are_masked_some_replaced_some_kept() -> None:
    vocabulary = 1000
    ids = torch.randint(len(SPECIALS), vocabulary, (200_000,), generator=torch.Generator().manual_seed(0))
    seen, chosen = masked(ids, 0.15, vocabulary)
    assert float(chosen.float().mean()) == pytest.approx(0.15, abs=0.003)
    assert torch.equal(seen[~chosen], ids[~chosen])
    before, after = ids[chosen], seen[chosen]
    replaced = after[(after != MASK) & (after != before)]
    assert float((after == MASK).float().mean()) == pytest.approx(0.8, abs=0.01)
    assert float((after == before).float().mean()) == pytest.approx(0.1, abs=0.01)
    assert len(replaced) / len(after) == pytest.approx(0.1, abs=0.01)
    # Random tokens come from the whole vocabulary without the specials.
    assert (int(replaced.min()), int(replaced.max())) == (len(SPECIALS), vocabulary - 1)


def test_only_ordinary_tokens_are_chosen() -> None:
    ids = torch.tensor([CLS, 7, 0, 1, SEP, 8, MASK, 9] * 500)
    seen, chosen = masked(ids, 0.9)
    assert bool(chosen[ids >= len(SPECIALS)].any())
    assert not bool(chosen[ids < len(SPECIALS)].any())
    assert torch.equal(seen[ids < len(SPECIALS)], ids[ids < len(SPECIALS)])


@pytest.mark.parametrize("rate", [0.0, 1e-9])
def test_at_least_one_token_is_chosen(rate: float) -> None:
    chosen = masked(torch.tensor([CLS, 7, 8, SEP]), rate).chosen_T
    assert int(chosen.sum()) == 1
    assert bool(chosen[1:3].any())
