"""transformers' Trainer: evaluation at a point, and an epoch of fine-tuning; beside it, our epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainingArguments

from benchmarks.models import DROPOUT, Endpoints, Size, untrained
from benchmarks.ours import POINT
from benchmarks.padded import IGNORED, PaddedModel, collate, item
from benchmarks.peers import BATCH, METRIC, Scores, interpolated
from benchmarks.python_counts import label_counts_of_arrays, span_counts
from xltray.epochs import epoch_batches
from xltray.grid import Point
from xltray.nn.flat import FlatModel
from xltray.spec import FinetuneSpec
from xltray.tasks.base import Counts, EncodedSplit
from xltray.tasks.registry import get_task
from xltray.training import Training

RECIPE = FinetuneSpec()


def _trainer(model: PaddedModel, folder: Path, device: str, **keywords: Any) -> Any:
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_eval_batch_size=BATCH,
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=RECIPE.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=RECIPE.warmup,
        adam_beta2=RECIPE.betas[1],
        use_cpu=device == "cpu",
        remove_unused_columns=False,
        label_names=["head", "relation", "scored"] if model.task == "parsing" else ["labels"],
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    trainer = Trainer(model=model, args=arguments, data_collator=collate, **keywords)
    trainer.remove_callback(PrinterCallback)
    return trainer


class TrainerEvaluation:
    """Scores points by ``Trainer.evaluate``; trees as in ``Strong``, entities sentence by sentence."""

    def __init__(self, endpoints: Endpoints, split: EncodedSplit, folder: Path) -> None:
        self.task = endpoints.task
        self.states = endpoints.states()
        self.model = PaddedModel(self.task, endpoints.size)
        self.trainer = _trainer(
            self.model,
            folder,
            endpoints.device,
            eval_dataset=[item(self.task, sequence) for sequence in split.sequences],
            compute_metrics=self._count,
            # Without it, Trainer would keep all logits; the documentation advises it.
            preprocess_logits_for_metrics=None if self.task == "parsing" else _most_likely,
        )

    def score(self, point: Point = POINT) -> Scores:
        """Set a point and score it."""
        self.model.load_state_dict(interpolated(self.states, point))
        found = self.trainer.evaluate()
        names = ("las", "uas") if self.task == "parsing" else (METRIC[self.task],)
        return {name: Counts(*found[f"eval_{name}"]) for name in names}

    def _count(self, output: Any) -> Mapping[str, tuple[int, ...]]:
        if self.task == "parsing":
            gold_head_EN, gold_relation_EN, scored_EN = output.label_ids
            head_EN = (output.predictions[..., 0] == gold_head_EN) & (scored_EN == 1)
            both_EN = head_EN & (output.predictions[..., 1] == gold_relation_EN)
            total = int((scored_EN == 1).sum())
            return {"las": (int(both_EN.sum()), total, total), "uas": (int(head_EN.sum()), total, total)}
        predicted_EL, gold_EL = output.predictions, output.label_ids
        scored_EL = gold_EL != IGNORED
        if self.task == "ner":
            rows = zip(predicted_EL, gold_EL, scored_EL, strict=True)
            pairs = [(guess_L[real_L].tolist(), gold_L[real_L].tolist()) for guess_L, gold_L, real_L in rows]
            counts = span_counts([guess for guess, _ in pairs], [gold for _, gold in pairs])
        else:
            nothing = np.zeros(0, dtype=np.int64)
            counts = label_counts_of_arrays(predicted_EL[scored_EL], gold_EL[scored_EL], nothing)
        # A plain tuple: Trainer rebuilds whatever is in here from an iterator.
        return {METRIC[self.task]: tuple(counts)}


def _most_likely(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.argmax(-1)


class TrainerTraining:
    """An epoch of fine-tuning by ``Trainer.train``, each time from the same weights."""

    def __init__(self, task: str, size: Size, split: EncodedSplit, device: str, folder: Path) -> None:
        self.initial = untrained(task, size, device).state_dict()
        self.model = PaddedModel(task, size, dropout=DROPOUT)
        items = [item(task, sequence) for sequence in split.sequences]
        self.trainer = _trainer(self.model, folder, device, train_dataset=items)

    def train(self) -> None:
        """Train."""
        self.model.load_state_dict(self.initial)
        # A Trainer goes on with the optimiser that it has.
        self.trainer.optimizer = self.trainer.lr_scheduler = None
        self.trainer.train()

    def first_loss(self, sequences: Sequence[Any]) -> float:
        """Return the loss of a batch before training, without dropout."""
        self.model.load_state_dict(self.initial)
        self.model.eval()
        batch = collate([item(self.model.task, sequence) for sequence in sequences])
        device = next(self.model.parameters()).device
        with torch.no_grad():
            output: Any = self.model(**{name: tensor.to(device) for name, tensor in batch.items()})
        return float(output["loss"])


class OurTraining:
    """An epoch of fine-tuning by the steps of ``xltray.finetune``, without its validations and records."""

    def __init__(self, task: str, size: Size, split: EncodedSplit, device: str) -> None:
        self.task, self.split, self.device = get_task(task), split, device
        self.model = untrained(task, size, device)
        self.flat = FlatModel(self.model)
        self.initial_P = self.flat.flat_P.clone()

    def train(self) -> None:
        """Train."""
        self.flat.assign(self.initial_P)
        self.model.train()
        batches = epoch_batches({"en": self.split}, BATCH, torch.Generator().manual_seed(0))
        training = Training(self.task, self.flat, RECIPE, device=self.device, steps=len(batches))
        for sequences in batches:
            training.step(sequences)

    def first_loss(self, sequences: Sequence[Any]) -> float:
        """Return the loss of a batch before training, without dropout."""
        self.flat.assign(self.initial_P)
        self.model.eval()
        with torch.no_grad():
            loss = self.task.loss(self.model, self.task.collate(sequences, self.device, training=True))
        return float(loss.total) / loss.decisions
