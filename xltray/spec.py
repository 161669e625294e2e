"""The sweep file as frozen values.

Two halves that never mix: *identity* (what changes the numbers: encoder, task, languages, recipe,
grid, evaluation dtype) goes into ids; *runtime* (storage, devices, retries, where the data lies)
does not. Fields of the runtime half that sit inside an identity model carry ``RUNTIME``, which
keeps them out of fingerprints.

``sweepfile.py`` reads YAML into these models and reports what is wrong with it.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from xltray.fingerprint import RUNTIME
from xltray.grid import Grid

Split = Literal["train", "dev", "test"]
Role = Literal["train", "dev"]
Scope = Literal["all", "encoder", "head"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]*$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]


def _exact(value: Any) -> Fraction:
    """Read a number as it is written: 0.1 is one tenth, not the nearest binary float."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Fraction):
        raise ValueError("a number was expected")
    try:
        return Fraction(value if isinstance(value, Fraction | int) else Decimal(str(value)))
    except (ArithmeticError, ValueError) as error:
        raise ValueError("a finite decimal number was expected") from error


Exact = Annotated[
    Fraction,
    BeforeValidator(_exact, json_schema_input_type=float),
    PlainSerializer(float, return_type=float, when_used="json"),
]


class Spec(BaseModel):
    """Base of all models of the sweep file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class TreebankSpec(Spec):
    """Which UD treebank a language uses, and which of its files serve for what."""

    treebank: str | None = Field(None, description="folder name, e.g. UD_German-GSD; default: the paper's")
    train: Split = Field("train", description="file used for training")
    dev: Split = Field("dev", description="file used for model selection and scoring")


class ToySpec(Spec):
    """The synthetic languages: how many sentences each split has."""

    seed: int = 0
    train: PositiveInt = Field(800, description="training sentences a language")
    dev: PositiveInt = Field(200, description="development sentences a language")


class DataSpec(Spec):
    """Where examples come from."""

    root: Annotated[str, RUNTIME] = Field("data", description="folder with the corpora, as released")
    corpora: dict[str, str] = Field(
        default_factory=dict, description="corpus of a task, where not the paper's (e.g. pos: toy)"
    )
    treebanks: dict[Language, TreebankSpec] = Field(default_factory=dict)
    toy: ToySpec = ToySpec()
    max_train: PositiveInt | None = Field(None, description="at most so many training examples a language")
    max_dev: PositiveInt | None = Field(None, description="at most so many development examples a language")


class PretrainSpec(Spec):
    """An encoder of our own: a WordPiece tokenizer and a BERT trained with masked words."""

    languages: tuple[Language, ...] = Field((), description="languages whose training text is used")
    corpus: str = Field("ud", description="corpus that the text comes from")
    text: tuple[str, ...] = Field((), description="plain-text files under data.root, one sentence a line")
    vocabulary: PositiveInt = 6000
    hidden_size: PositiveInt = 128
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    max_positions: PositiveInt = 512
    max_length: PositiveInt = Field(128, description="subwords of a training sequence")
    steps: NonNegativeInt = Field(2000, description="0: a randomly initialised control")
    batch_size: PositiveInt = 64
    learning_rate: float = Field(4e-4, gt=0)
    warmup: Rate = 0.1
    weight_decay: float = Field(0.01, ge=0)
    mask_rate: Rate = 0.15
    seed: int = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.languages and not self.text:
            raise ValueError("name the text to pretrain on: languages, or text")
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of heads {self.heads}")
        return self


class EncoderSpec(Spec):
    """A transformers checkpoint (hub id or local path), or an encoder that xltray pretrains."""

    checkpoint: str | None = Field(None, description="hub id or local path")
    revision: str = Field("main", description="branch, tag or commit of a hub id; pin a commit")
    pretrain: PretrainSpec | None = None
    parameters: Annotated[int | None, Field(gt=0), RUNTIME] = Field(
        None, description="number of parameters, for the dry run's estimates only"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.checkpoint is None) == (self.pretrain is None):
            raise ValueError("give either checkpoint or pretrain")
        return self


class FinetuneSpec(Spec):
    """The recipe; the defaults are the paper's and its authors' code's (DEVIATIONS.md)."""

    learning_rate: float = Field(2e-5, gt=0)
    epochs: PositiveInt = 5
    batch_size: PositiveInt = 32
    max_length: Annotated[int, Field(ge=8)] = Field(128, description="subwords of a sequence")
    warmup: Rate = Field(0.1, description="share of the steps with rising learning rate")
    betas: tuple[Rate, Rate] = (0.9, 0.99)
    epsilon: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float | None = Field(None, gt=0)
    dropout: Rate = Field(0.2, description="on the encoder's output, one mask a sequence")
    validations_per_epoch: PositiveInt = 4
    patience: PositiveInt = Field(10, description="stop after so many validations without a gain")
    min_gain: float = Field(1e-3, ge=0, description="smallest rise of the dev score that counts as a gain")
    mixed_precision: Literal["no", "bf16"] = "no"


class ParserSpec(Spec):
    """The biaffine parser's sizes (Dozat and Manning 2017, as in AllenNLP)."""

    arc_dim: PositiveInt = 512
    label_dim: PositiveInt = 128
    dropout: Rate = 0.33


class AxisSpec(Spec):
    """Numbers from start to stop in equal steps, and any others."""

    start: Exact = Fraction(-1, 2)
    stop: Exact = Fraction(3, 2)
    step: Exact = Fraction(1, 10)
    also: tuple[Exact, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.step <= 0:
            raise ValueError("step must be above 0")
        if self.stop < self.start:
            raise ValueError("stop is below start: the axis is empty")
        return self

    def values(self) -> tuple[Fraction, ...]:
        """Return the axis's numbers."""
        count = int((self.stop - self.start) / self.step) + 1
        return (*(self.start + self.step * i for i in range(count)), *self.also)


def _axis(value: Any) -> Any:
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("the list is empty; give at least one number, or null")
        first = _exact(value[0])
        return {"start": first, "stop": first, "step": 1, "also": list(value[1:])}
    return value


Axis = Annotated[AxisSpec, BeforeValidator(_axis, json_schema_input_type=AxisSpec | list[float])]

PAPER_EXTRA_ALPHAS = tuple(
    Fraction(n, 1000) for n in (25, 50, 75, 125, 150, 175, 825, 850, 875, 925, 950, 975)
)


class GridSpec(Spec):
    """The points of every surface: a plane and two lines; the default is the paper's."""

    plane: Axis | None = Field(AxisSpec(), description="a_src and a_tgt of Eq. 3")
    lines: Axis | None = Field(AxisSpec(also=PAPER_EXTRA_ALPHAS), description="alpha of Eq. 1 and Eq. 2")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.plane is None and self.lines is None:
            raise ValueError("the grid is empty: give plane, lines or both")
        return self

    def grid(self) -> Grid:
        """Return the distinct points."""
        return Grid(self.plane.values() if self.plane else (), self.lines.values() if self.lines else ())


class EvaluationSpec(Spec):
    """How points are scored."""

    dtype: Literal["float32"] = "float32"


class RuntimeSpec(Spec):
    """How the sweep runs; nothing here changes a number."""

    address: str | None = Field(
        None, description="Ray address; default: RAY_ADDRESS, else a running Ray here, else a new local one"
    )
    dashboard: bool = Field(True, description="start Ray's dashboard with a new local Ray")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveInt = Field(1, description="CPU threads, and CPUs reserved, of a job or server")
    servers_per_surface: PositiveInt = Field(1, description="EndpointServers that share a surface's points")
    points_per_chunk: PositiveInt = Field(16, description="points handed to a server at a time")
    retries: NonNegativeInt = Field(1, description="how often a failed job is tried again")


class SweepSpec(Spec):
    """A whole sweep: the grid task x (source, target) x seed x encoder and how to run it."""

    name: Name
    storage: str = Field("", description="where everything is kept; default: results/<name>")
    data: DataSpec = DataSpec()
    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    pairs: Annotated[dict[Language, tuple[Language, ...]], Field(min_length=1)] = Field(
        description="source language: its target languages"
    )
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0, 1, 2)
    encoders: Annotated[dict[Name, EncoderSpec], Field(min_length=1)]
    finetune: FinetuneSpec = FinetuneSpec()
    finetune_task: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="changes to the recipe for one task, e.g. pos: {epochs: 3}"
    )
    parser: ParserSpec = ParserSpec()
    grid: GridSpec = GridSpec()
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)] = ("all",)
    evaluation: EvaluationSpec = EvaluationSpec()
    runtime: RuntimeSpec = RuntimeSpec()

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, values in (("tasks", self.tasks), ("seeds", self.seeds), ("scopes", self.scopes)):
            _distinct(name, values)
        for source, targets in self.pairs.items():
            _distinct(f"pairs.{source}", targets)
            if not targets:
                raise ValueError(f"pairs.{source}: no target language")
            if source in targets:
                raise ValueError(f"pairs.{source}: the source language is among its own targets")
        for task in self.finetune_task:
            self.recipe(task)
        if not self.storage:
            object.__setattr__(self, "storage", f"results/{self.name}")
        return self

    def recipe(self, task: str) -> FinetuneSpec:
        """Return the fine-tuning recipe of one task."""
        changes = self.finetune_task.get(task, {})
        return FinetuneSpec.model_validate(self.finetune.model_dump() | changes)

    def languages(self) -> tuple[str, ...]:
        """Return every language of the sweep, sorted."""
        return tuple(sorted({*self.pairs, *(t for targets in self.pairs.values() for t in targets)}))


def _distinct(name: str, values: tuple[Any, ...]) -> None:
    repeated = sorted({str(value) for value in values if values.count(value) > 1})
    if repeated:
        raise ValueError(f"{name}: {', '.join(repeated)} given more than once")
