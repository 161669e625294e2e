"""The learning-rate schedule by hand, and one step of the optimiser by its formula."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xltray.nn.device import set_threads
from xltray.nn.optimisation import adamw, warmup_then_linear


def rates(steps: int, warmup: float, *, learning_rate: float = 1.0) -> list[float]:
    """The rate that each step was made with, and the one left at the end."""
    optimizer = adamw([nn.Parameter(torch.ones(1))], learning_rate=learning_rate)
    scheduler = warmup_then_linear(optimizer, steps=steps, warmup=warmup)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return [*found, optimizer.param_groups[0]["lr"]]


def test_a_tenth_of_the_steps_rises_and_the_rest_falls_to_zero():
    falling = [left / 18 for left in range(18, 0, -1)]
    assert rates(20, 0.1) == pytest.approx([0.5, 1.0, *falling, 0.0])
    assert rates(20, 0.1, learning_rate=2e-5) == pytest.approx([2e-5 * x for x in [0.5, 1, *falling, 0]])


def test_a_longer_rise():
    assert rates(10, 0.4) == pytest.approx(
        [0.25, 0.5, 0.75, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0.0]
    )


def test_without_rise_it_only_falls():
    assert rates(4, 0.0) == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])


def test_too_few_steps_for_a_rise():
    assert rates(5, 0.1) == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.0])


def test_all_rise():
    assert rates(4, 1.0) == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.0])


def test_the_rate_stays_zero_after_the_last_step():
    optimizer = adamw([nn.Parameter(torch.ones(1))], learning_rate=1.0)
    scheduler = warmup_then_linear(optimizer, steps=2, warmup=0.0)
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.0


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_two_steps_of_adamw_by_its_formula(decay):
    parameter = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = adamw([parameter], learning_rate=0.1, **({"weight_decay": decay} if decay else {}))
    expected, first, second = torch.tensor([1.0, -2.0]), torch.zeros(2), torch.zeros(2)
    for step, gradient in enumerate([torch.tensor([0.3, -4.0]), torch.tensor([-0.1, 2.0])], start=1):
        parameter.grad = gradient.clone()
        optimizer.step()
        first, second = 0.9 * first + 0.1 * gradient, 0.99 * second + 0.01 * gradient**2
        update = first / (1 - 0.9**step) / ((second / (1 - 0.99**step)).sqrt() + 1e-8)
        expected = expected * (1 - 0.1 * decay) - 0.1 * update
        torch.testing.assert_close(parameter.detach(), expected)
    assert optimizer.defaults["fused"]
    assert optimizer.defaults["eps"] == 1e-8


def test_threads_are_limited():
    before = torch.get_num_threads()
    try:
        set_threads(before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
