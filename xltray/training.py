"""Training an endpoint by a recipe: what a step of fine-tuning does, and nothing about data or validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor

from xltray.nn.flat import FlatModel
from xltray.nn.model import EndpointModel
from xltray.nn.optimisation import adamw, restore_training, training_state, warmup_then_linear
from xltray.spec import FinetuneSpec
from xltray.tasks.base import Encoded, Loss, Task


class Training:
    """The optimiser and schedule of one training of so many ``steps``."""

    def __init__(self, task: Task, flat: FlatModel, recipe: FinetuneSpec, *, device: str, steps: int) -> None:
        """Prepare to train the model behind ``flat``, on whose device ``device`` is."""
        self.task, self.device, self.clip_norm = task, device, recipe.clip_norm
        self.model: EndpointModel = flat.model  # type: ignore[assignment]
        # A process runs many jobs, but accelerate keeps the settings of the first one for good.
        AcceleratorState._reset_state(reset_partial_state=True)
        self.accelerator = Accelerator(cpu=device == "cpu", mixed_precision=recipe.mixed_precision)
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

    def step(self, sequences: Sequence[Encoded]) -> Tensor:
        """Train on a batch, with the model in training mode; returns its mean loss, still on the device."""
        batch = self.task.collate(sequences, self.device, training=True)
        with self.accelerator.autocast():
            loss: Loss = self.task.loss(self.model, batch)
            mean = loss.total / max(1, loss.decisions)
        self.optimizer.zero_grad(set_to_none=False)
        self.accelerator.backward(mean)
        if self.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        self.scheduler.step()
        return mean.detach()
