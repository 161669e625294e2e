"""Which rows of the word embeddings a model reads, so that only those need to be interpolated.

A row is read for every subword of a batch, and padded families read the padding's besides. That
no row is read in another way is known of the families that are tested, and only where the table is
an embedding, once in the model and without a part elsewhere (an output layer that is tied to it
would read it whole). Of any other model nothing is promised, and all rows count as read.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from xltray.nn.encoder import PACKABLE, PADDED, padding_id
from xltray.nn.model import EndpointModel
from xltray.nn.packing import PackedBatch


def word_rows(model: EndpointModel, batches: Iterable[PackedBatch]) -> dict[str, Tensor]:
    """Return the rows of the word embeddings that the model reads in some batches.

    Returns:
        By the name of the table among the model's parameters, the numbers of its rows, sorted, on the
        batches' device. Empty where the table may be read whole.
    """
    encoder = model.encoder
    table = encoder.get_input_embeddings()
    # A subclass may do more with its weight than look up; a maximal norm changes rows as they are read.
    if type(table) is not nn.Embedding or table.max_norm is not None:
        return {}
    named = model.named_parameters(remove_duplicate=False)
    names = [name for name, parameter in named if parameter is table.weight]
    if encoder.config.model_type not in PACKABLE | PADDED or len(names) != 1:
        return {}
    ids = [batch.ids_T for batch in batches]
    if not ids:
        return {}
    return {names[0]: torch.unique(torch.cat([*ids, ids[0].new_tensor([padding_id(encoder)])]))}
