"""A model that runs its encoder in half precision, with weights that are another model's, rounded."""

from __future__ import annotations

import copy

import torch

from xltray.nn.flat import FlatModel
from xltray.nn.model import EndpointModel


class HalfTwin:
    """The twin of a model, for scoring: its encoder in bfloat16, and the very same head.

    The head costs little and decides, so it stays in float32, as do the logits: rounded to three digits
    many would be equal. Takes half the memory of the encoder; while it is made, as much as the encoder.
    """

    def __init__(self, model: EndpointModel) -> None:
        encoder = FlatModel(copy.deepcopy(model.encoder), torch.bfloat16)
        self._flat_P = encoder.flat_P
        self._model = EndpointModel(encoder.model, model.head, model.dropout).eval()

    def following(self, flat: FlatModel) -> EndpointModel:
        """Return the twin with the weights that the model has now."""
        self._flat_P.copy_(flat.flat_P[flat.layout.span("encoder.")])
        return self._model
