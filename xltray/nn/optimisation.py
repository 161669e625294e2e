"""Optimiser and learning-rate schedule, and their state: the same for pretraining and fine-tuning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
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


def training_state(
    optimizer: Any, scheduler: LambdaLR, device: str
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return what the next step depends on besides weights and data: plain values, and tensors by name.

    These are the optimiser's moments, the schedule's place, and the state of this process's random numbers.
    """
    state = optimizer.state_dict()
    tensors = {
        f"{number}.{name}": tensor.detach().cpu()
        for number, moments in state["state"].items()
        for name, tensor in moments.items()
    }
    tensors["random"] = torch.get_rng_state()
    if device != "cpu":
        tensors["random_cuda"] = torch.cuda.get_rng_state(device)
    return {"groups": state["param_groups"], "schedule": scheduler.state_dict()}, tensors


def restore_training(
    optimizer: Any, scheduler: LambdaLR, device: str, values: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Go on where ``training_state`` was taken; on another kind of device, with other random numbers.

    Other tensors may be among ``tensors``: those of the optimiser begin with a number and a dot.
    """
    moments: dict[int, dict[str, Tensor]] = {}
    for full_name, tensor in tensors.items():
        number, _, name = full_name.partition(".")
        if number.isdigit():
            moments.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": values["groups"]})
    scheduler.load_state_dict(dict(values["schedule"]))
    torch.set_rng_state(tensors["random"])
    if device != "cpu" and "random_cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random_cuda"], device)
