"""Weights as one flat vector, and points of the plane between three of them.

The working model's parameters are views into one buffer, so that setting a point is arithmetic on
contiguous memory and needs no state dict. A point is computed from the three stored endpoints in
the affine form of the paper's Eq. 3,

    theta = w_bi * B + w_src * S + w_tgt * T,        w_bi = 1 - a_src - a_tgt,

with weights from exact fractions and never by stepping from another point. Terms of weight zero
are left out, which makes the corners bit-equal to the endpoints (``B + 1 * (S - B)`` would not
be). Only parameters are interpolated; persistent buffers must agree.

Of an embedding table only the rows that are read need to move: half of mBERT is word embeddings,
and a dev set uses a few in a hundred of them. Such rows are gathered, blended and scattered, by the
same operations in the same order, so that they come out bit for bit as in a blend of the whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from xltray.errors import EndpointError
from xltray.grid import BILINGUAL, Point
from xltray.nn.weight_file import WeightFile, write_tensors

# Elements handled at a time on a CPU: four blocks of 1 MiB fit in a core's cache.
_BLOCK = 1 << 18
# A gathered row costs up to three times one in its place: tables that are used more are blended whole.
_GATHERED_AT_MOST = 0.25


@dataclass(frozen=True)
class FlatLayout:
    """Where each parameter lies in the flat vector, in the model's own order (tied weights once)."""

    shapes: Mapping[str, torch.Size]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(shape.numel() for shape in self.shapes.values())

    def slices(self) -> Iterator[tuple[str, slice]]:
        """Yield each parameter's name and place."""
        start = 0
        for name, shape in self.shapes.items():
            yield name, slice(start, start + shape.numel())
            start += shape.numel()

    def span(self, prefix: str) -> slice:
        """Return the place of all parameters whose name starts so; they must lie together."""
        places = [place for name, place in self.slices() if name.startswith(prefix)]
        span = slice(places[0].start, places[-1].stop)
        if span.stop - span.start != sum(place.stop - place.start for place in places):
            raise EndpointError(f"parameters {prefix}* do not lie together in the model")
        return span


class FlatModel:
    """A model whose parameters are views into ``flat_P`` (P parameters), of their type or another."""

    def __init__(self, model: nn.Module, dtype: torch.dtype | None = None) -> None:
        self.model = model
        parameters = dict(model.named_parameters())
        self.layout = FlatLayout({name: parameter.shape for name, parameter in parameters.items()})
        first = next(iter(parameters.values()))
        self.flat_P = torch.empty(self.layout.size, dtype=dtype or first.dtype, device=first.device)
        with torch.no_grad():
            for name, place in self.layout.slices():
                parameter = parameters[name]
                self.flat_P[place] = parameter.flatten()
                parameter.data = self.flat_P[place].view(parameter.shape)

    def assign(self, flat_P: Tensor) -> None:
        """Copy a weight vector into the model."""
        with torch.no_grad():
            self.flat_P.copy_(flat_P)

    def as_one_parameter(self) -> nn.Parameter:
        """Return all weights as one parameter, to train: an optimiser updates it in one go.

        Its gradient is one buffer, of which the gradients of the model's parameters become views. They
        must stay so: empty it with ``zero_grad(set_to_none=False)``. A parameter that no loss reaches has a
        gradient of zeros, not None.
        """
        whole = nn.Parameter(self.flat_P)
        whole.grad = torch.zeros_like(self.flat_P)
        parameters = dict(self.model.named_parameters())
        for name, place in self.layout.slices():
            parameters[name].grad = whole.grad[place].view(self.layout.shapes[name])
        return whole

    def save(self, path: Path) -> None:
        """Write parameters and persistent buffers by name."""
        shapes = self.layout.shapes
        tensors = {name: self.flat_P[place].view(shapes[name]) for name, place in self.layout.slices()}
        # A copy each: safetensors refuses tensors that share memory, and these are views of one buffer.
        write_tensors({name: t.clone().cpu() for name, t in (tensors | _buffers(self.model)).items()}, path)

    def load(self, path: Path) -> Tensor:
        """Read an endpoint into a flat vector of this layout, on the model's device.

        Raises:
            EndpointError: if names, shapes, types or buffers are not the model's, or a weight is not finite.
        """
        flat_P = torch.empty_like(self.flat_P)
        buffers = _buffers(self.model)
        with WeightFile(path) as file:
            self._check_names(path, file.names, set(buffers))
            for name, place in self.layout.slices():
                file.read_into(flat_P[place], name, self.layout.shapes[name])
            for name, buffer in buffers.items():
                if not torch.equal(file.tensor(name), buffer.cpu()):
                    raise EndpointError(
                        f"{path}: buffer {name} differs from the model's; only parameters can be interpolated"
                    )
        # NaN where any number is; torch.isfinite(flat_P) would make copies of it.
        if not bool(torch.isfinite(torch.stack(flat_P.aminmax())).all()):
            raise EndpointError(f"{path}: has weights that are not finite; the fine-tuning diverged")
        return flat_P

    def _check_names(self, path: Path, found: set[str], buffers: set[str]) -> None:
        expected = set(self.layout.shapes) | buffers
        if found != expected:
            raise EndpointError(
                f"{path}: does not fit the model: lacks {sorted(expected - found)[:3]}, "
                f"has besides {sorted(found - expected)[:3]}"
            )


class _Part(NamedTuple):
    """A stretch of the flat vector that is set at once.

    With ``rows_U``, the stretch is a table (V, ``width``) of which U rows are set.
    """

    place: slice
    rows_U: Tensor | None = None
    width: int = 1

    @property
    def size(self) -> int:
        """Number of weights that are set."""
        return self.place.stop - self.place.start if self.rows_U is None else len(self.rows_U) * self.width

    def table(self, flat_P: Tensor) -> Tensor:
        """Return the stretch of a flat vector as a table."""
        return flat_P[self.place].view(-1, self.width)


class Interpolator:
    """Sets a model to any point of the plane of three endpoints.

    ``rows`` gives, by the name of a parameter, the only rows of it that the model will read, without
    repetition. All other rows of it are the bilingual model's at every point and in every scope:
    finite numbers that depend on nothing that was set before, but not the point's.
    """

    def __init__(
        self,
        model: FlatModel,
        *,
        bilingual_P: Tensor,
        source_P: Tensor,
        target_P: Tensor,
        rows: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.model = model
        self.endpoints = {"bilingual": bilingual_P, "source": source_P, "target": target_P}
        self._parts = _parts(model.layout, rows or {})
        if self.weights < model.layout.size:
            model.assign(bilingual_P)

    @property
    def weights(self) -> int:
        """Number of weights that are set at each point."""
        return sum(part.size for part in self._parts)

    def set(self, point: Point, scope: str = "all") -> None:
        """Set the model's weights.

        Args:
            point: coordinates of Eq. 3.
            scope: ``all``, or ``encoder`` / ``head`` to move only those; the rest is the bilingual
                model's (the paper's footnote 2).
        """
        layout = self.model.layout
        span = slice(0, layout.size) if scope == "all" else layout.span(f"{scope}.")
        for part in self._parts:
            moves = span.start <= part.place.start and part.place.stop <= span.stop
            terms = [
                (float(weight), self.endpoints[corner])
                for corner, weight in (point if moves else BILINGUAL).weights._asdict().items()
                if weight != 0
            ]
            if part.rows_U is None:
                _blend(self.model.flat_P[part.place], [(weight, end[part.place]) for weight, end in terms])
            else:
                tables = [(weight, part.table(end)) for weight, end in terms]
                _blend_rows(part.table(self.model.flat_P), part.rows_U, tables)


def _parts(layout: FlatLayout, rows: Mapping[str, Tensor]) -> list[_Part]:
    """Cut the flat vector at tables with few rows to set, and between encoder and head."""
    parts: list[_Part] = []
    growing = ""
    for name, place in layout.slices():
        shape, rows_U, scope = layout.shapes[name], rows.get(name), name.partition(".")[0]
        few = rows_U is not None and len(rows_U) <= _GATHERED_AT_MOST * shape[0]
        if few:
            parts.append(_Part(place, rows_U, shape[1:].numel()))
        elif scope == growing:
            parts[-1] = _Part(slice(parts[-1].place.start, place.stop))
        else:
            parts.append(_Part(place))
        growing = "" if few else scope
    return parts


def _blend(out_P: Tensor, terms: list[tuple[float, Tensor]]) -> None:
    """Write the weighted sum of vectors to ``out_P``, a block at a time on a CPU."""
    block = _BLOCK if out_P.device.type == "cpu" else max(out_P.numel(), 1)
    (first_weight, first_P), *others = terms
    with torch.no_grad():
        for start in range(0, out_P.numel(), block):
            piece = slice(start, start + block)
            torch.mul(first_P[piece], first_weight, out=out_P[piece])
            for weight, endpoint_P in others:
                out_P[piece].add_(endpoint_P[piece], alpha=weight)


def _blend_rows(out_VH: Tensor, rows_U: Tensor, terms: list[tuple[float, Tensor]]) -> None:
    """Write the weighted sum of U rows of tables to the same rows of ``out_VH``; as ``_blend``.

    Faster than a call for each of thousands of stretches; takes no more memory than a block.
    """
    block = max(_BLOCK // out_VH.shape[1], 1) if out_VH.device.type == "cpu" else max(len(rows_U), 1)
    (first_weight, first_VH), *others = terms
    with torch.no_grad():
        for piece_U in torch.split(rows_U, block):
            blended_UH = first_VH.index_select(0, piece_U).mul_(first_weight)
            for weight, endpoint_VH in others:
                blended_UH.add_(endpoint_VH.index_select(0, piece_U), alpha=weight)
            out_VH.index_copy_(0, piece_U, blended_UH)


def weights_hash(flat_P: Tensor) -> str:
    """Return the SHA-256 of a weight vector's bytes."""
    return hashlib.sha256(flat_P.detach().cpu().contiguous().numpy().data).hexdigest()


def _buffers(model: nn.Module) -> dict[str, Tensor]:
    parameters = dict(model.named_parameters(remove_duplicate=False))
    return {name: tensor for name, tensor in model.state_dict().items() if name not in parameters}
