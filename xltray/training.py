"""Training an endpoint by a recipe: what a step of fine-tuning does, and nothing about data or validation.

Several processes (``xltray.group``) may share each batch. Their gradients are summed by DDP, each weighted
with what it decides on: the loss is the mean over the decisions of the whole batch, so but for the order of
sums, and for dropout, the numbers are those of one process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, broadcast, broadcast_object_list
from torch import Tensor, nn

from xltray.nn.flat import FlatModel
from xltray.nn.model import EndpointModel, seed_of
from xltray.nn.optimisation import adamw, restore_training, training_state, warmup_then_linear
from xltray.spec import FinetuneSpec
from xltray.tasks.base import Batch, Encoded, Loss, Task

# For bits: else the gradients would be put into other buckets after the first step of a process, so that a
# training that goes on would add them in another order. Besides, some families have parameters that no loss
# reaches, for whose gradients the others would wait.
_DDP = DistributedDataParallelKwargs(find_unused_parameters=True)


class Training:
    """The optimiser and schedule of one training of so many ``steps``."""

    def __init__(
        self, task: Task, flat: FlatModel, recipe: FinetuneSpec, *, device: str, steps: int, seed: int = 0
    ) -> None:
        """Prepare to train the model behind ``flat``, on whose device ``device`` is.

        ``seed`` is that of dropout in all processes but the first, which uses torch's as it finds it.
        """
        self.task, self.device, self.clip_norm, self.seed = task, device, recipe.clip_norm, seed
        self.flat = flat
        self.model: EndpointModel = flat.model  # type: ignore[assignment]
        # A process runs many jobs, but accelerate keeps the settings of the first one for good.
        AcceleratorState._reset_state(reset_partial_state=True)
        self.accelerator = Accelerator(
            cpu=device == "cpu",
            mixed_precision=recipe.mixed_precision,
            kwargs_handlers=[_DDP],
        )
        self.rank, self.size = self.accelerator.process_index, self.accelerator.num_processes
        self._loss: Any = _LossOf(task, self.model)
        if self.size > 1:
            # On its device already. Moved there again, the parameters would no longer be views of ``flat``.
            self._loss = self.accelerator.prepare_model(self._loss, device_placement=False)
        optimizer = adamw(
            # One stretch to update: a parameter at a time costs a small encoder a twentieth of its step.
            [flat.as_one_parameter()],
            learning_rate=recipe.learning_rate,
            betas=recipe.betas,
            epsilon=recipe.epsilon,
            weight_decay=recipe.weight_decay,
        )
        self.scheduler = warmup_then_linear(optimizer, steps=steps, warmup=recipe.warmup)
        # Not the model: it would then be validated in mixed precision too, unlike at a surface's corner.
        self.optimizer: Any = self.accelerator.prepare(optimizer)

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what the next step depends on besides the weights: plain values, and tensors by name."""
        return training_state(self.optimizer, self.scheduler, self.device)

    def restore(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go on where ``state`` was taken; on another kind of device, with other random numbers."""
        restore_training(self.optimizer, self.scheduler, self.device, values, tensors)

    def align(self, steps: int) -> int:
        """Have all processes stand where the first does, which alone reads checkpoints; returns its steps."""
        if self.size == 1:
            return steps
        values, tensors = self.state() if self.rank == 0 and steps else ({}, {})
        shapes = {name: tensor.shape for name, tensor in tensors.items() if not name.startswith("random")}
        steps, values, shapes = broadcast_object_list([steps, values, shapes])
        if not steps:
            return 0
        moments = {
            name: tensors.get(name, torch.empty(shape)).to(self.device) for name, shape in shapes.items()
        }
        broadcast([self.flat.flat_P, *moments.values()])
        if self.rank:
            self.restore(values, {**moments, "random": torch.get_rng_state()})
        return steps

    def agree(self, decided: bool) -> bool:
        """Return what the first process has decided."""
        if self.size == 1:
            return decided
        return bool(broadcast(torch.tensor(int(decided), device=self.device)))

    def step(self, sequences: Sequence[Encoded]) -> Tensor:
        """Train on a batch, with the model in training mode; returns its mean loss, still on the device."""
        own = part(sequences, self.rank, self.size)
        if self.rank:
            # Anew at each step, so that it need not be in checkpoints.
            torch.manual_seed(seed_of("dropout", self.seed, self.rank, self.scheduler.last_epoch))
        # Where there is nothing to do, the others still wait for gradients: of anything, without weight.
        batch = self.task.collate(own or sequences[:1], self.device, training=True)
        with self.accelerator.autocast():
            loss: Loss = self._loss(batch)
        mean, gradients_of = self._means(loss, bool(own))
        self.optimizer.zero_grad(set_to_none=False)
        self.accelerator.backward(gradients_of)
        if self.clip_norm is not None:
            # By now all processes have the gradients of the whole batch.
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        self.scheduler.step()
        return mean.detach()

    def _means(self, loss: Loss, counts: bool) -> tuple[Tensor, Tensor]:
        """Return the mean loss of the whole batch, and what to take gradients of."""
        if self.size == 1:
            mean = loss.total / max(1, loss.decisions)
            return mean, mean
        weight = float(counts)
        own = torch.stack([loss.total.detach().double(), loss.total.new_tensor(loss.decisions).double()])
        total, decisions = self.accelerator.reduce(own * weight, reduction="sum")
        decisions = decisions.clamp(min=1)
        # DDP takes the mean over the processes.
        return (total / decisions).to(loss.total.dtype), loss.total * (weight * self.size / decisions)


def part(sequences: Sequence[Encoded], rank: int, size: int) -> Sequence[Encoded]:
    """Return what one of ``size`` processes trains on of a batch: about as many sequences, about as long."""
    if size == 1:
        return sequences
    return sorted(sequences, key=lambda sequence: len(sequence.tokens.ids))[rank::size]


class _LossOf(nn.Module):
    """The loss as a module: DDP and mixed precision are for what a module computes."""

    def __init__(self, task: Task, model: EndpointModel) -> None:
        super().__init__()
        self.task = task
        self.model = model

    def forward(self, batch: Batch) -> Loss:
        return self.task.loss(self.model, batch)
