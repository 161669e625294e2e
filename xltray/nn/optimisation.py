"""Optimiser and learning-rate schedule, the same for pretraining and fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR


def adamw(
    parameters: Iterable[nn.Parameter],
    *,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.99),
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> AdamW:
    """Return AdamW in its fused form, which updates all parameters in one call."""
    return AdamW(
        parameters, lr=learning_rate, betas=betas, eps=epsilon, weight_decay=weight_decay, fused=True
    )


def warmup_then_linear(optimizer: AdamW, *, steps: int, warmup: float) -> LambdaLR:
    """Rise linearly over the first ``warmup`` share of the steps, then fall linearly to 0."""
    rising = int(steps * warmup)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return max(0.0, (steps - step) / max(1, steps - rising))

    return LambdaLR(optimizer, factor)
