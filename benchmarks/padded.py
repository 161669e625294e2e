"""The same models as others run them: transformers' own attention, on batches padded to their longest.

Shapes: B sequences, L subwords of the longest, N words of the longest, C labels, H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel

from benchmarks.models import Size
from benchmarks.pairwise import PaddedParser, Trees
from xltray.corpora.ud import DEPRELS
from xltray.tasks.base import Encoded
from xltray.tasks.registry import get_task

IGNORED = -100
"""The label of what is not scored, as transformers and PyTorch have it."""


def item(task: str, sequence: Encoded) -> dict[str, list[int]]:
    """Return a sequence as a row of a data set: labels at the subwords that are scored."""
    ids = list(sequence.tokens.ids)
    row = {"input_ids": ids, "token_type_ids": list(sequence.tokens.types)}
    if task == "parsing":
        columns = {name: list(sequence.labels[name]) for name in ("head", "relation", "scored")}
        return row | {"word": list(sequence.words)} | columns
    if task == "xnli":
        return row | {"labels": list(sequence.labels["label"])}
    labels = [IGNORED] * len(ids)
    for place, label in zip(sequence.words, sequence.labels["label"], strict=True):
        labels[place] = label
    return row | {"labels": labels}


def collate(items: Sequence[Mapping[str, list[int]]]) -> dict[str, Tensor]:
    """Pad rows to the longest of them."""

    def padded(name: str, value: int) -> Tensor:
        rows = [torch.tensor(row[name]) for row in items]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)

    fill = {"labels": IGNORED, "head": IGNORED, "relation": IGNORED}
    batch = {name: padded(name, fill.get(name, 0)) for name in items[0]}
    lengths_B = torch.tensor([len(row["input_ids"]) for row in items])
    longest = batch["input_ids"].shape[1]
    batch["attention_mask"] = (torch.arange(longest) < lengths_B[:, None]).long()
    return batch


class PaddedModel(nn.Module):
    """Encoder, dropout, head; its parameters have the names of ``xltray.nn.model.EndpointModel``'s.

    Args:
        task: a task's name.
        size: the encoder's sizes.
        dropout: probability of dropping a number of the encoder's output, in training.
        pairwise: score the parser's labels by nn.Bilinear over all pairs of words.
    """

    def __init__(self, task: str, size: Size, *, dropout: float = 0.0, pairwise: bool = False) -> None:
        super().__init__()
        self.task = task
        self.encoder = AutoModel.from_config(size.config(), dtype=torch.float32, add_pooling_layer=False)
        self.head: nn.Module
        if task == "parsing":
            self.head = PaddedParser(size.hidden, len(DEPRELS), size.parser, pairwise=pairwise)
        else:
            self.head = get_task(task).head(size.hidden, size.parser)
        self.dropout = nn.Dropout(dropout)

    def hidden(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the encoder's output hidden_BLH."""
        names = ("input_ids", "attention_mask", "token_type_ids")
        output = self.encoder(**{name: batch[name] for name in names})
        hidden_BLH: Tensor = self.dropout(output.last_hidden_state)
        return hidden_BLH

    def logits(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return logits_BLC of taggers, or logits_B1C of pairs."""
        hidden_BLH = self.hidden(batch)
        logits_BLC: Tensor = self.head(hidden_BLH[:, :1] if self.task == "xnli" else hidden_BLH)
        return logits_BLC

    def trees(self, batch: Mapping[str, Tensor]) -> Trees:
        """Parse."""
        hidden_BLH = self.hidden(batch)
        words_BNH = hidden_BLH.gather(1, batch["word"][..., None].expand(-1, -1, hidden_BLH.shape[2]))
        parser: Any = self.head
        trees: Trees = parser.parse(words_BNH, batch["head"] != IGNORED)
        return trees

    def forward(self, **batch: Tensor) -> dict[str, Tensor]:
        """Return the mean loss and the predictions, as Trainer wants them.

        The parser's are heads and labels, in the last of three dimensions; it has no loss here.
        """
        if self.task == "parsing":
            heads_BN, relations_BN = self.trees(batch)
            nothing = torch.zeros((), device=heads_BN.device)
            return {"loss": nothing, "logits": torch.stack([heads_BN, relations_BN], 2)}
        logits_BLC = self.logits(batch)
        loss = F.cross_entropy(logits_BLC.flatten(0, 1), batch["labels"].flatten(), ignore_index=IGNORED)
        return {"loss": loss, "logits": logits_BLC}
