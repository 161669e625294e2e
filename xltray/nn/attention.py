"""Attention in packed batches, as a function that transformers' models call; ``packing.py`` has the layouts.

Shapes: T tokens, A attention heads, D dimensions of one head.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from xltray.nn.packing import Layout, PackedBatch

ATTENTION = "xltray_packed"
# What flash attention takes: the widest head, and the oldest kind of GPU.
_VARLEN_WIDTH, _VARLEN_CAPABILITY = 256, (8, 0)


def _attend_runs(
    query_TAD: Tensor,
    key_TAD: Tensor,
    value_TAD: Tensor,
    batch: PackedBatch,
    scale: float | None,
    dropout: float,
) -> Tensor:
    outputs = []
    for start, count, length in batch.runs:
        query, key, value = (
            x[start : start + count * length].view(count, length, *x.shape[1:]).transpose(1, 2)
            for x in (query_TAD, key_TAD, value_TAD)
        )
        output = F.scaled_dot_product_attention(query, key, value, scale=scale, dropout_p=dropout)
        outputs.append(output.transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs)


def _attend_padded(
    query_TAD: Tensor,
    key_TAD: Tensor,
    value_TAD: Tensor,
    batch: PackedBatch,
    scale: float | None,
    dropout: float,
) -> Tensor:
    token_BL, real_BL, place_T = batch.padding
    query, key, value = (x[token_BL].transpose(1, 2) for x in (query_TAD, key_TAD, value_TAD))
    output = F.scaled_dot_product_attention(
        query, key, value, attn_mask=real_BL[:, None, None, :], scale=scale, dropout_p=dropout
    )
    return output.transpose(1, 2).flatten(0, 1)[place_T]


def _has_varlen(query_TAD: Tensor) -> bool:
    """Return whether flash attention can be asked: half precision, heads that fit, a GPU from Ampere on."""
    return (
        query_TAD.is_cuda
        and query_TAD.dtype in (torch.float16, torch.bfloat16)
        and query_TAD.shape[-1] % 8 == 0
        and query_TAD.shape[-1] <= _VARLEN_WIDTH
        and torch.cuda.get_device_capability(query_TAD.device) >= _VARLEN_CAPABILITY
    )


def _attend_varlen(
    query_TAD: Tensor,
    key_TAD: Tensor,
    value_TAD: Tensor,
    batch: PackedBatch,
    scale: float | None,
    dropout: float,
) -> Tensor:
    if dropout or not _has_varlen(query_TAD):
        return _attend_runs(query_TAD, key_TAD, value_TAD, batch, scale, dropout)
    longest = max(batch.lengths)
    output_TAD = varlen_attn(
        query_TAD, key_TAD, value_TAD, batch.bounds, batch.bounds, longest, longest, scale=scale
    )
    assert isinstance(output_TAD, Tensor), "nothing else was asked for"
    return output_TAD


_ATTEND = {Layout.RUNS: _attend_runs, Layout.PADDED: _attend_padded, Layout.VARLEN: _attend_varlen}


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed: PackedBatch,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention in transformers' interface: (1, A, T, D) in, (1, T, A, D) out."""
    query_TAD, key_TAD, value_TAD = (x[0].transpose(0, 1) for x in (query, key, value))
    # Several query heads may share one of keys and values (the larger EuroBERTs).
    if shared := query_TAD.shape[1] // key_TAD.shape[1] - 1:
        key_TAD, value_TAD = (x.repeat_interleave(shared + 1, dim=1) for x in (key_TAD, value_TAD))
    return _ATTEND[packed.layout](query_TAD, key_TAD, value_TAD, packed, scaling, dropout)[None], None


AttentionInterface.register(ATTENTION, packed_attention)
# No mask is built for a packed row: the layout says which tokens belong together.
AttentionMaskInterface.register(ATTENTION, lambda *_, **__: None)
