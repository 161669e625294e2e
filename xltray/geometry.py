"""Norms and angle of the directions from the bilingual to the two monolingual endpoints.

The paper's appendix B: delta_src = theta_src - theta_bi and delta_tgt = theta_tgt - theta_bi, their
L2 norms and the angle between them; here also for parts of the parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from xltray.nn.flat import FlatLayout
from xltray.results import Geometry

# Elements handled at a time.
_BLOCK = 1 << 16


def measure(layout: FlatLayout, endpoints: Mapping[str, Tensor]) -> list[Geometry]:
    """Return norms and angle of the two directions, over all parameters and over groups of them.

    Args:
        layout: which parameter is where.
        endpoints: flat vectors by the names of the corners: bilingual, source, target.
    """
    groups = parameter_groups(layout)
    blocks = list(_blocks(groups["all"]))
    # Read all at once: a GPU would be waited for at each of some ten thousand blocks. In one buffer: so many
    # small ones, kept between large ones that come and go, leave holes of a model's size.
    sums_K3 = torch.empty(len(blocks), 3, dtype=torch.float64, device=endpoints["bilingual"].device)
    for block, sums_3 in zip(blocks, sums_K3, strict=True):
        _sum(block, endpoints, sums_3)
    found = dict(zip((block.start for block in blocks), sums_K3.tolist(), strict=True))
    return [_geometry(part, places, found) for part, places in groups.items()]


def parameter_groups(layout: FlatLayout) -> dict[str, list[slice]]:
    """Group parameters: all, encoder, head, embeddings, and each layer of the encoder."""
    groups: dict[str, list[slice]] = {"all": [], "encoder": [], "head": []}
    for name, place in layout.slices():
        parts = name.split(".")
        layer = next((part for part in parts[:-1] if part.isdigit()), None)
        names = ["all", parts[0]]
        if parts[0] == "encoder":
            names.append("embeddings" if "embeddings" in parts else f"layer.{layer}" if layer else "rest")
        for group in names:
            groups.setdefault(group, []).append(place)
    return groups


def _sum(block: slice, weights: Mapping[str, Tensor], sums_3: Tensor) -> None:
    """Sum delta_src², delta_tgt² and their product over a block of the parameters."""
    # In float64: the deltas are small against the weights, and there are many.
    bilingual_P = weights["bilingual"][block].double()
    delta_src_P = weights["source"][block].double() - bilingual_P
    delta_tgt_P = weights["target"][block].double() - bilingual_P
    pairs = ((delta_src_P, delta_src_P), (delta_tgt_P, delta_tgt_P), (delta_src_P, delta_tgt_P))
    for sum_, (one, other) in zip(sums_3, pairs, strict=True):
        torch.dot(one, other, out=sum_)


def _geometry(part: str, places: Sequence[slice], sums: Mapping[int, Sequence[float]]) -> Geometry:
    src_src = tgt_tgt = src_tgt = 0.0
    for block in _blocks(places):
        of_src, of_tgt, of_both = sums[block.start]
        src_src += of_src
        tgt_tgt += of_tgt
        src_tgt += of_both
    norms = (src_src**0.5, tgt_tgt**0.5)
    angle = None
    if norms[0] and norms[1]:
        cosine = torch.tensor(src_tgt / (norms[0] * norms[1]), dtype=torch.float64).clamp(-1.0, 1.0)
        angle = float(torch.rad2deg(torch.acos(cosine)))
    return Geometry(part, sum(place.stop - place.start for place in places), *norms, angle)


def _blocks(places: Sequence[slice]) -> Iterator[slice]:
    """Cut places to what can be held in float64 several times over: an embedding table is half a model."""
    for place in places:
        for start in range(place.start, place.stop, _BLOCK):
            yield slice(start, min(start + _BLOCK, place.stop))
