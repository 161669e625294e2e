"""For tests of labelling tasks: a model that says what it is told, tiny training, a tiny sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from tiny import Tiny
from torch import Tensor, nn

from xltray.nn.model import EndpointModel
from xltray.nn.packing import PackedBatch
from xltray.tasks.base import EncodedSplit, Evaluation, Task

VOCABULARY = 50


class Told(nn.Module):
    """Stands for an endpoint model: at each subword, the label that was told for its id."""

    def __init__(self, label_of_id: Mapping[int, int], labels: int) -> None:
        super().__init__()
        self.head = nn.Identity()
        label_V = torch.tensor([label_of_id.get(id_, 0) for id_ in range(VOCABULARY)])
        self.logits_VC = nn.Parameter(10.0 * F.one_hot(label_V, labels).float())

    def forward(self, batch: PackedBatch, place_M: Tensor) -> Tensor:
        return self.logits_VC[batch.ids_T[place_M]]


def score(task: Task, model: Any, split: EncodedSplit) -> Evaluation:
    return task.evaluate(model, split, task.batches(split, "cpu"))


def overfit(task: Task, model: EndpointModel, split: EncodedSplit, *, steps: int) -> None:
    """Train on all of a split at once."""
    torch.manual_seed(0)
    batch = task.collate(split.sequences, "cpu", training=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = task.loss(model, batch)
        (loss.total / loss.decisions).backward()
        optimizer.step()


def check_sweep(tiny: Tiny, task: str, sizes: Mapping[str, int]) -> Sequence[Mapping[str, Any]]:
    """Look at the rows and endpoints of a sweep of one task that has been run; return the rows.

    ``sizes`` are gold counts of the dev sets.
    """
    cell = tiny.cell(task)
    rows: list[dict[str, Any]] = tiny.store.read_table(tiny.store.surface_path(cell)).to_pylist()
    assert len(rows) == len(cell.grid) * len(sizes)
    for row in rows:
        assert row["gold"] == sizes[row["eval_language"]]
        assert row["correct"] <= min(row["predicted"], row["gold"])
        assert row["examples"] == 30
        assert row["loss"] > 0
    metric = rows[0]["metric"]
    for endpoint, corner in ((cell.source_endpoint, (1, 0)), (cell.target_endpoint, (0, 1))):
        for language, counts in tiny.done(endpoint)["counts"].items():
            (row,) = (
                row
                for row in rows
                if (row["a_src"], row["a_tgt"]) == corner and row["eval_language"] == language
            )
            assert [row["correct"], row["predicted"], row["gold"]] == counts[metric]
    return rows
