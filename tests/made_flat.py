"""A small model, flat weights for it, and their bits."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from xltray.nn.flat import FlatModel, Interpolator

SIZE = 3 * 4 + 4 * 4 + 4 + 2 * 4 + 2


class Encoder(nn.Module):
    """Embeddings, tied with an output layer; one persistent and one other buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(3, 4)
        self.layer = nn.Linear(4, 4)
        self.output = nn.Linear(4, 3, bias=False)
        self.output.weight = self.embeddings.weight
        self.register_buffer("scale", torch.tensor([2.0]))
        self.register_buffer("positions", torch.arange(3), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.layer(self.embeddings(ids)) * self.scale


def model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(OrderedDict(encoder=Encoder(), head=nn.Linear(4, 2)))


def vector(seed: int, size: int = SIZE) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def interpolator(working: FlatModel | None = None) -> Interpolator:
    bilingual_P, source_P, target_P = vector(1), vector(2), vector(3)
    return Interpolator(
        working or FlatModel(model()), bilingual_P=bilingual_P, source_P=source_P, target_P=target_P
    )


def bits(tensor: Tensor) -> list[int]:
    return tensor.detach().contiguous().view(torch.int32).tolist()


class Vector(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((size,), torch.nan))


AWKWARD = [0.0, -0.0, 1e-45, -1e-45, 1.1754942e-38, -1.1754942e-38, 3.4028235e38, -3.4028235e38, 0.1, -1.0]
