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

from xltray.nn.encoder import encode, encode_at
from xltray.nn.packing import PackedBatch


class EndpointModel(nn.Module):
    """What is fine-tuned and interpolated."""

    def __init__(self, encoder: PreTrainedModel, head: nn.Module, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.dropout = dropout

    def forward(self, batch: PackedBatch, place_M: Tensor | None = None) -> Tensor:
        """Return hidden_MH at some tokens of the batch, by default at all; dropped out in training mode."""
        if place_M is None:
            hidden_MH = encode(self.encoder, batch)
        else:
            hidden_MH = encode_at(self.encoder, batch, place_M)
        # An encoder in half precision (half.py) ends here; in float32 this does nothing.
        hidden_MH = hidden_MH.float()
        if not self.training or self.dropout == 0.0:
            return hidden_MH
        keep = 1.0 - self.dropout
        mask_BH = torch.empty(batch.sequences, hidden_MH.shape[1], device=hidden_MH.device)
        mask_BH.bernoulli_(keep).div_(keep)
        return hidden_MH * mask_BH[batch.sequence_T if place_M is None else batch.sequence_T[place_M]]


def hidden_size(encoder: PreTrainedModel) -> int:
    """Return the size of the encoder's output vectors."""
    return int(encoder.config.hidden_size)


def seed_of(*parts: object) -> int:
    """Return a torch seed from anything printable; the same on every machine."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big")
