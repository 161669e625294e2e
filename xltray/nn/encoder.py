"""One adapter for every transformers encoder: loads it the same way and runs it on packed batches.

* Always fp32 (transformers 5 would take the checkpoint's dtype), never with a pooler (one that the
  checkpoint lacks would be initialised at random and pollute norms and angles), never with remote
  code, only fast tokenizers (they know which word a subword came from).
* Families with plain full attention run packed (``packing.py``); all others run padded with their
  own attention, and only the result is packed: DeBERTa-v2 and -v3 (relative positions inside the
  attention), ModernBERT and mmBERT (most layers attend to a window), DistilBERT.
* What a family takes as input is read off its signature and configuration: segments where it tells
  at least two apart, positions from where its table starts (XLM-R: padding_idx + 1). EuroBERT and GTE
  rotate queries and keys by position instead, and have no table.
* The tokenizer is the checkpoint's own, unchanged; ``tasks/words.py`` has words keep their spaces.

GTE checkpoints of model_type "new" (Alibaba-NLP/gte-multilingual-base) are code of their own and are
refused. transformers has the same model as "gte", and loads their weights if config.json says so:
alibaba-nlp-community/gte-multilingual-mlm-base is such a conversion.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from xltray.checkpoints import code_problems
from xltray.errors import Problem
from xltray.nn.attention import ATTENTION
from xltray.nn.packing import PackedBatch
from xltray.nn.soundness import explained, not_finite, refuse, tokenizer_problems, weight_problems

# Families whose every layer attends to the whole sequence, through transformers' attention interface.
PACKABLE = frozenset({"bert", "camembert", "electra", "eurobert", "gte", "roberta", "xlm-roberta"})
# Those of them with BERT's layers, whose last can be left unfinished where nothing is read.
LIKE_BERT = frozenset({"bert", "camembert", "electra", "roberta", "xlm-roberta"})
# Those of the others that are tested.
PADDED = frozenset({"deberta-v2", "distilbert", "modernbert"})


class Encoder(NamedTuple):
    """A loaded encoder: its model without task head, and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast


def load_encoder(checkpoint: str, revision: str | None = None) -> Encoder:
    """Load a checkpoint from a local folder or from the hub's cache (or the hub, if not offline).

    Raises:
        MissingInputError: if the checkpoint cannot be found, is not one, is broken, or does not fit
            together: weights of the encoder that are missing, not finite, or of layers that its
            configuration does not have; a tokenizer of another model; a family that is no encoder.
    """
    where = f"checkpoint {checkpoint!r}"
    encoder, _ = open_checkpoint(where, checkpoint, revision)
    refuse(not_finite(where, encoder.model.named_parameters()))
    return encoder


def open_checkpoint(
    where: str, checkpoint: str, revision: str | None = None, *, device: str | None = None
) -> tuple[Encoder, frozenset[str]]:
    """Do what ``load_encoder`` does but look at the numbers; on the device "meta" there are none.

    Returns:
        The encoder, and the names of stored weights that it has no use for (a head's, a pooler's).

    Raises:
        MissingInputError: as ``load_encoder``; ``where`` is what to call the checkpoint.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    # For weights in a pickle, transformers would ask a service of the hub to convert them, in a thread.
    os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
    source = {"revision": revision} if revision and not Path(checkpoint).is_dir() else {}
    with explained(where, "configuration"):
        described, _ = PreTrainedConfig.get_config_dict(checkpoint, **source)
        refuse([*family_problems(where, described), *_weights_elsewhere(where, described)])
        config = AutoConfig.from_pretrained(checkpoint, trust_remote_code=False, **source)
        refuse(_unfit(where, config))
    with explained(where, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False, **source)
    with explained(where, "weights"):
        model, report = AutoModel.from_pretrained(
            checkpoint,
            config=config,
            dtype=torch.float32,
            trust_remote_code=False,
            output_loading_info=True,
            # They are refused below; the error that this avoids names none of them.
            ignore_mismatched_sizes=True,
            **({"device_map": device} if device else {}),
            **_construction(config),
            **source,
        )
    rows = model.get_input_embeddings().weight.shape[0]
    refuse([*tokenizer_problems(where, tokenizer, rows), *weight_problems(where, model, report)])
    return Encoder(model, tokenizer), frozenset(report["unexpected_keys"])


def family_problems(where: str, described: Mapping[str, object]) -> list[Problem]:
    """Return that the family that config.json names is no encoder, or needs code of its own."""
    if problems := code_problems(where, dict(described)):
        return problems
    family = described.get("model_type")
    if family in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return []
    known = "which is no encoder" if family in CONFIG_MAPPING else "which transformers does not have"
    return [_other_family(where, f"model_type {family!r}, {known}")]


def _unfit(where: str, config: PreTrainedConfig) -> list[Problem]:
    """Return that a configuration is not an encoder's, or does not say what is asked of it."""
    kinds = {"is_encoder_decoder": "an encoder with a decoder", "is_decoder": "a decoder"}
    for flag, kind in kinds.items():
        if getattr(config, flag, False):
            return [_other_family(where, f"model_type {config.model_type!r}, {kind}")]
    absent = [name for name in ("hidden_size", "max_position_embeddings") if not hasattr(config, name)]
    found = f"model_type {config.model_type!r}, whose configuration has no {' and no '.join(absent)}"
    return [_other_family(where, found)] if absent else []


def _other_family(where: str, found: str) -> Problem:
    known = ", ".join(sorted(PACKABLE | PADDED))
    expected = f"{known}, or another encoder with a masked language model in transformers"
    return Problem(where, found, expected, "Use an encoder.")


def _weights_elsewhere(where: str, config: Mapping[str, object]) -> list[Problem]:
    """Return that config.json names the file of weights: an id says nothing of such a file."""
    key = "transformers_weights"
    if config.get(key) is None:
        return []
    advice = f"Rename the file to model.safetensors and remove {key} from config.json."
    return [Problem(where, f"{key} {config[key]!r} in config.json", "weights in the usual file", advice)]


def build_encoder(config: object) -> PreTrainedModel:
    """Build an encoder with random weights from a transformers configuration."""
    return AutoModel.from_config(config, dtype=torch.float32, **_construction(config))


def _construction(config: object) -> dict[str, object]:
    """Return the keywords that build a family without a pooler and, where it can, packed."""
    model_class = AutoModel._model_mapping[type(config)]
    keywords: dict[str, object] = {}
    if "add_pooling_layer" in inspect.signature(model_class.__init__).parameters:
        keywords["add_pooling_layer"] = False
    if config.model_type in PACKABLE:  # type: ignore[attr-defined]
        keywords["attn_implementation"] = ATTENTION
    return keywords


def max_tokens(model: PreTrainedModel) -> int:
    """Return the longest sequence that the encoder can read.

    That is what its position table holds. A family without a table (rotary, relative) would take any
    length; it gets the longest that its configuration says it was made for.
    """
    return int(model.config.max_position_embeddings) - _position_offset(model)


def padding_id(model: PreTrainedModel) -> int:
    """Return the subword that padded families read where a sequence has ended."""
    return model.config.pad_token_id or 0


def encode(model: PreTrainedModel, batch: PackedBatch) -> Tensor:
    """Run the encoder on a packed batch.

    Returns:
        hidden_TH, the last layer at every token, in the batch's order.
    """
    if model.config.model_type in PACKABLE:
        output = model(
            input_ids=batch.ids_T[None],
            position_ids=batch.positions_T[None] + _position_offset(model),
            packed=batch,
            **({"token_type_ids": _types(model, batch)[None]} if _takes_types(model) else {}),
        )
        hidden_1TH: Tensor = output.last_hidden_state
        return hidden_1TH[0]
    token_BL, real_BL, place_T = batch.padding
    output = model(
        input_ids=torch.where(real_BL, batch.ids_T[token_BL], padding_id(model)),
        attention_mask=real_BL.long(),
        **({"token_type_ids": _types(model, batch)[token_BL]} if _takes_types(model) else {}),
    )
    hidden_BLH: Tensor = output.last_hidden_state
    return hidden_BLH.flatten(0, 1)[place_T]


def encode_at(model: PreTrainedModel, batch: PackedBatch, place_M: Tensor) -> Tensor:
    """Run the encoder on a packed batch for M of its tokens: ``encode(model, batch)[place_M]``.

    What follows attention works on each token by itself, so a BERT's last layer does its dense parts,
    most of its work, for these tokens alone.
    """
    if model.config.model_type not in LIKE_BERT:
        return encode(model, batch)[place_M]

    def at_places(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(hidden_1TH[:, place_M] for hidden_1TH in inputs)

    handle = model.encoder.layer[-1].attention.output.register_forward_pre_hook(at_places)
    try:
        return encode(model, batch)
    finally:
        handle.remove()


def _takes_types(model: PreTrainedModel) -> bool:
    return "token_type_ids" in inspect.signature(model.forward).parameters


def _types(model: PreTrainedModel, batch: PackedBatch) -> Tensor:
    # XLM-R and GTE know a single segment, whatever their tokenizer says of a pair.
    several = getattr(model.config, "type_vocab_size", 0) > 1
    return batch.types_T if several else torch.zeros_like(batch.types_T)


def _position_offset(model: PreTrainedModel) -> int:
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = table.padding_idx if isinstance(table, nn.Embedding) else None
    return 0 if padding is None else padding + 1
