"""An endpoint: encoder, dropout on its output, task head.

The dropout is "variational" as in the authors' code: one mask a sequence, shared by all of its
tokens. Parameters are named ``encoder.*`` and ``head.*``, in this order, which is what the scopes
of a surface and the groups of its geometry refer to.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from xltray.nn.encoder import encode
from xltray.nn.packing import PackedBatch


class EndpointModel(nn.Module):
    """What is fine-tuned and interpolated."""

    def __init__(self, encoder: PreTrainedModel, head: nn.Module, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.dropout = dropout

    def forward(self, batch: PackedBatch) -> Tensor:
        """Return hidden_TH at every token of the batch; dropped out in training mode."""
        hidden_TH = encode(self.encoder, batch)
        if not self.training or self.dropout == 0.0:
            return hidden_TH
        keep = 1.0 - self.dropout
        mask_BH = torch.empty(batch.sequences, hidden_TH.shape[1], device=hidden_TH.device)
        mask_BH.bernoulli_(keep).div_(keep)
        return hidden_TH * mask_BH[batch.sequence_T]


def hidden_size(encoder: PreTrainedModel) -> int:
    """Return the size of the encoder's output vectors."""
    return int(encoder.config.hidden_size)


def seed_of(*parts: object) -> int:
    """Return a torch seed from anything printable; the same on every machine."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big")
