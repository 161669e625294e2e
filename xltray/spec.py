"""The sweep file as frozen values.

Two halves that never mix: *identity* (what changes the numbers: encoder, task, languages, recipe,
grid, evaluation dtype) goes into ids; *runtime* (storage, devices, retries, where the data lies)
does not. Fields of the runtime half that sit inside an identity model carry ``RUNTIME``, which
keeps them out of fingerprints.

``spec_types.py`` has the building blocks, ``spec_runtime.py`` the runtime half, ``spec_toy.py`` the synthetic
languages; ``sweepfile.py`` reads YAML into these models and reports what is wrong with it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from xltray.fingerprint import RUNTIME
from xltray.spec_runtime import RuntimeSpec
from xltray.spec_sources import SourcesSpec
from xltray.spec_toy import ToySpec
from xltray.spec_types import (
    Distinct,
    GridSpec,
    Items,
    Language,
    Name,
    NonNegativeInt,
    PositiveInt,
    Rate,
    Scope,
    Spec,
    Split,
    mistake,
)


class TreebankSpec(Spec):
    """Which UD treebank a language uses, and which of its files serve for what."""

    treebank: str | None = Field(None, description="folder name, e.g. UD_German-GSD; default: the paper's")
    train: Split = Field("train", description="file used for training")
    dev: Split = Field("dev", description="file used for model selection and scoring")


class DataSpec(Spec):
    """Where examples come from."""

    root: Annotated[str, RUNTIME] = Field("data", description="folder with the corpora, as released")
    sources: Annotated[SourcesSpec, RUNTIME] = Field(
        SourcesSpec(), description="where `python -m xltray.data fetch` brings corpora from"
    )
    corpora: dict[str, str] = Field(
        default_factory=dict, description="corpus of a task, where not the paper's (e.g. pos: toy)"
    )
    treebanks: dict[Language, TreebankSpec] = Field(default_factory=dict)
    toy: ToySpec = ToySpec()
    max_train: PositiveInt | None = Field(None, description="at most so many training examples a language")
    max_dev: PositiveInt | None = Field(None, description="at most so many development examples a language")


class PretrainSpec(Spec):
    """An encoder of our own: a WordPiece tokenizer and a BERT trained with masked words."""

    languages: Items[Language] = Field((), description="languages whose training text is used")
    corpus: str = Field("ud", description="corpus that the text comes from")
    text: Items[str] = Field((), description="plain-text files under data.root, one sentence a line")
    vocabulary: Annotated[int, Field(ge=6)] = Field(6000, description="subwords, five specials included")
    hidden_size: PositiveInt = 128
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    max_positions: PositiveInt = 512
    dropout: Rate = Field(0.1, description="inside the encoder, in pretraining and in fine-tuning")
    max_length: PositiveInt = Field(128, description="subwords of a training sequence")
    similar_start: float = Field(
        0.0,
        ge=0,
        description="query and key weights start equal, an orthogonal matrix scaled by this; "
        "positions smaller",
    )
    steps: NonNegativeInt = Field(2000, description="0: a randomly initialised control")
    batch_size: PositiveInt = 64
    learning_rate: float = Field(4e-4, gt=0)
    warmup: Rate = 0.1
    weight_decay: float = Field(0.01, ge=0)
    mask_rate: Rate = 0.15
    parallel: Rate = Field(
        0.0, description="share of the sequences that are a sentence and its translation in one"
    )
    next_sentence: Rate = Field(
        0.0,
        description="share of the sequences that are two texts; does the second follow the first in the "
        "corpus? BERT's second objective; the text must be in document order",
    )
    seed: int = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.languages and not self.text:
            raise mistake("neither languages nor text", "what to pretrain on: languages, text or both")
        if self.hidden_size % self.heads:
            raise mistake(
                f"hidden_size {self.hidden_size} with heads {self.heads}",
                "a hidden_size that is a multiple of heads",
            )
        if self.max_length > self.max_positions:
            raise mistake(
                f"max_length {self.max_length} above max_positions {self.max_positions}",
                "a max_length that the encoder's positions hold",
            )
        if self.parallel and len(self.languages) < 2:
            raise mistake(
                f"parallel {self.parallel:g} with {len(self.languages)} languages",
                "two languages or more, to translate between",
            )
        return self

    @property
    def parameters(self) -> int:
        """The number of parameters of this BERT, without pooler (Devlin et al. 2019)."""
        size = self.hidden_size
        norm = 2 * size
        embeddings = (self.vocabulary + self.max_positions + 2) * size + norm
        attention = 4 * (size * size + size) + norm
        feed_forward = 2 * 4 * size * size + 4 * size + size + norm
        return embeddings + self.layers * (attention + feed_forward)


class EncoderSpec(Spec):
    """A transformers checkpoint (hub id or local path), or an encoder that xltray pretrains."""

    checkpoint: str | None = Field(None, description="hub id or local path")
    revision: str = Field("main", description="commit of a hub id; a branch or tag is looked up")
    pretrain: PretrainSpec | None = None
    parameters: Annotated[PositiveInt | None, RUNTIME] = Field(
        None, description="number of parameters, for the dry run's estimates only"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.checkpoint is None) == (self.pretrain is None):
            found = "neither checkpoint nor pretrain" if self.pretrain is None else "checkpoint and pretrain"
            raise mistake(found, "one of checkpoint and pretrain")
        return self

    @property
    def known_parameters(self) -> int | None:
        """The number of parameters, as far as the sweep file tells."""
        return self.pretrain.parameters if self.pretrain else self.parameters


class FinetuneSpec(Spec):
    """The recipe; the defaults are the paper's and its authors' code's (DEVIATIONS.md)."""

    learning_rate: float = Field(2e-5, gt=0)
    epochs: PositiveInt = 5
    batch_size: PositiveInt = 32
    max_length: Annotated[int, Field(ge=8)] = Field(128, description="subwords of a sequence")
    warmup: Rate = Field(0.1, description="share of the steps with rising learning rate")
    betas: Annotated[tuple[Rate, Rate], Field(strict=False)] = (0.9, 0.99)
    epsilon: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float | None = Field(None, gt=0)
    dropout: Rate = Field(0.2, description="on the encoder's output, one mask a sequence")
    validations_per_epoch: PositiveInt = 4
    patience: PositiveInt = Field(10, description="stop after so many validations without a gain")
    min_gain: float = Field(1e-3, ge=0, description="smallest rise of the dev score that counts as a gain")
    keep: Literal["best", "last"] = Field(
        "best",
        description="the model kept: of the best validation, or of the last one; last trains to the end, "
        "without patience, so that the dev sets decide nothing",
    )
    mixed_precision: Literal["no", "bf16"] = "no"


class ParserSpec(Spec):
    """The biaffine parser's sizes (Dozat and Manning 2017, as in AllenNLP)."""

    arc_dim: PositiveInt = 512
    label_dim: PositiveInt = 128
    dropout: Rate = 0.33


class EvaluationSpec(Spec):
    """How points are scored."""

    dtype: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="what encoders compute in; bfloat16 only in cells where it changes no score, of eight "
        "points on each of the cell's languages, by more than 0.1 points",
    )


def _targets(pairs: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    own = sorted(source for source, targets in pairs.items() if source in targets)
    if own:
        raise mistake(f"{', '.join(own)} among its own targets", "targets other than the source")
    return pairs


def _changes(changes: Any) -> Any:
    # Errors of a nested validation keep their own locations. Every field of the recipe has a
    # default, so changes can be judged alone.
    if isinstance(changes, dict):
        FinetuneSpec.model_validate(changes)
    return changes


RecipeChanges = Annotated[dict[str, Any], BeforeValidator(_changes, json_schema_input_type=FinetuneSpec)]


class SweepSpec(Spec):
    """A whole sweep: the grid task x (source, target) x seed x encoder and how to run it."""

    name: Name = Field(description="names the sweep in the store; default: the file's name")
    storage: str = Field("", description="where everything is kept; default: results/<name>")
    data: DataSpec = DataSpec()
    tasks: Annotated[Items[str], Field(min_length=1), Distinct] = Field(description="what is fine-tuned for")
    pairs: Annotated[
        dict[Language, Annotated[Items[Language], Field(min_length=1), Distinct]],
        Field(min_length=1),
        AfterValidator(_targets),
    ] = Field(description="source language: its target languages")
    third_languages: Annotated[Items[Language], Distinct] = Field(
        (), description="languages that every cell is scored on besides its own two; none is trained on"
    )
    seeds: Annotated[Items[NonNegativeInt], Field(min_length=1), Distinct] = (0, 1, 2)
    encoders: Annotated[dict[Name, EncoderSpec], Field(min_length=1)] = Field(
        description="short name: a checkpoint, or an encoder to pretrain"
    )
    finetune: FinetuneSpec = FinetuneSpec()
    finetune_task: dict[str, RecipeChanges] = Field(
        default_factory=dict, description="changes to the recipe for one task, e.g. pos: {epochs: 3}"
    )
    parser: ParserSpec = ParserSpec()
    grid: GridSpec = GridSpec()
    scopes: Annotated[Items[Scope], Field(min_length=1), Distinct] = ("all",)
    evaluation: EvaluationSpec = EvaluationSpec()
    runtime: RuntimeSpec = RuntimeSpec()

    @model_validator(mode="after")
    def _name_storage(self) -> Self:
        if not self.storage:
            object.__setattr__(self, "storage", f"results/{self.name}")
        return self

    def recipe(self, task: str) -> FinetuneSpec:
        """Return the fine-tuning recipe of one task."""
        changes = self.finetune_task.get(task, {})
        return FinetuneSpec.model_validate(self.finetune.model_dump() | changes)

    def languages(self) -> tuple[str, ...]:
        """Return every language that is trained on, sorted."""
        return tuple(sorted({*self.pairs, *(t for targets in self.pairs.values() for t in targets)}))
