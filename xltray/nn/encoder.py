"""One adapter for every transformers encoder: loads it the same way and runs it on packed batches.

* Always fp32 (transformers 5 would take the checkpoint's dtype), never with a pooler (one that the
  checkpoint lacks would be initialised at random and pollute norms and angles), never with remote
  code, only fast tokenizers (they know which word a subword came from).
* Families with plain full attention run packed (``packing.py``); all others run padded with their
  own attention, and only the result is packed.
* What a family takes as input is read off its signature; where it counts positions from is read
  off its position embeddings (XLM-R starts at padding_idx + 1).
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from xltray.errors import EndpointError, MissingInputError, Problem
from xltray.nn.packing import ATTENTION, PackedBatch

# Families whose every layer attends to the whole sequence, through transformers' attention interface.
PACKABLE = frozenset({"bert", "camembert", "electra", "roberta", "xlm-roberta"})


class Encoder(NamedTuple):
    """A loaded encoder: its model without task head, and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast


def load_encoder(checkpoint: str, revision: str | None = None) -> Encoder:
    """Load a checkpoint from a local folder or from the hub's cache (or the hub, if not offline).

    Raises:
        MissingInputError: if the checkpoint cannot be found, is not one, or is broken.
        EndpointError: if it lacks weights of the encoder, or has no fast tokenizer with a vocabulary.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    source = {"revision": revision} if revision and not Path(checkpoint).is_dir() else {}
    try:
        config = AutoConfig.from_pretrained(checkpoint, trust_remote_code=False, **source)
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False, **source)
        model, report = AutoModel.from_pretrained(
            checkpoint,
            config=config,
            dtype=torch.float32,
            trust_remote_code=False,
            output_loading_info=True,
            **_construction(config),
            **source,
        )
    # RuntimeError: weights that do not fit config.json.
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        problem = Problem(
            f"checkpoint {checkpoint!r}",
            (str(error).strip() or type(error).__name__).splitlines()[0],
            "a transformers checkpoint: a hub id, or a folder with config.json, weights and tokenizer",
            "Check the name, or download it first.",
        )
        raise MissingInputError("An encoder cannot be loaded.", [problem]) from error
    if report["missing_keys"]:
        raise EndpointError(
            f"checkpoint {checkpoint!r} lacks weights of the encoder: {sorted(report['missing_keys'])[:5]}; "
            "they would be random. Use a complete checkpoint."
        )
    if not tokenizer.is_fast:
        raise EndpointError(f"checkpoint {checkpoint!r} has no fast tokenizer, which word alignment needs.")
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        # What transformers makes up for a folder without tokenizer files.
        raise EndpointError(
            f"checkpoint {checkpoint!r} has a tokenizer without vocabulary: every word would be unknown. "
            "Put the tokenizer's files (tokenizer.json) beside the weights."
        )
    _separate_words(tokenizer)
    return Encoder(model, tokenizer)


def build_encoder(config: object) -> PreTrainedModel:
    """Build an encoder with random weights from a transformers configuration."""
    return AutoModel.from_config(config, dtype=torch.float32, **_construction(config))


def _separate_words(tokenizer: PreTrainedTokenizerFast) -> None:
    """Make a byte-level tokenizer (RoBERTa) put the space before each word that is there in text.

    Given words, one without prefix space reads "the dog" as "thedog".
    """
    backend = tokenizer.backend_tokenizer
    if isinstance(backend.pre_tokenizer, ByteLevel):
        pre_tokenizer = backend.pre_tokenizer
        pre_tokenizer.add_prefix_space = True
        backend.pre_tokenizer = pre_tokenizer


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
    """Return the longest sequence that the encoder's position table holds."""
    return int(model.config.max_position_embeddings) - _position_offset(model)


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
            **({"token_type_ids": batch.types_T[None]} if _takes_types(model) else {}),
        )
        hidden_1TH: Tensor = output.last_hidden_state
        return hidden_1TH[0]
    token_BL, real_BL, place_T = batch.padding
    output = model(
        input_ids=torch.where(real_BL, batch.ids_T[token_BL], model.config.pad_token_id or 0),
        attention_mask=real_BL.long(),
        **({"token_type_ids": batch.types_T[token_BL]} if _takes_types(model) else {}),
    )
    hidden_BLH: Tensor = output.last_hidden_state
    return hidden_BLH.flatten(0, 1)[place_T]


def _takes_types(model: PreTrainedModel) -> bool:
    return "token_type_ids" in inspect.signature(model.forward).parameters


def _position_offset(model: PreTrainedModel) -> int:
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = table.padding_idx if isinstance(table, nn.Embedding) else None
    return 0 if padding is None else padding + 1
