"""The three kinds of jobs: ``pretrain`` -> ``finetune`` -> ``surface``.

A job is a frozen value that holds all that decides its numbers, so its id (a readable prefix and
a hash) names its result. Fields marked ``RUNTIME`` say how to run it and stay out of the hash.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from xltray.fingerprint import RUNTIME, canonical, fingerprint, short
from xltray.grid import Grid
from xltray.spec import EvaluationSpec, FinetuneSpec, ParserSpec, PretrainSpec
from xltray.spec_types import Exact, Items, Scope, Spec

PRETRAINING_VERSION = 6
"""Raise it whenever a job of pretraining would give other numbers (tokenizer, batches, order of random
draws), so that no encoder made by the old code stands under endpoints of the new, or the other way round.

1: until the last layer worked at masked words only, which changed the draws of its dropout.
2: until positions started small at a ``similar_start``, and ties between pieces of the tokenizer were broken
   in the same way by every process.
3, 4: until positions at a ``similar_start`` began at 0.6 of BERT's, instead of 0.1.
5: until each Chinese character was a word of its own.
"""


class LanguageData(Spec):
    """The data of one language that an endpoint was trained and selected on."""

    train: str
    dev: str


class PretrainJob(Spec):
    """Train a tokenizer and an encoder from scratch."""

    kind: Literal["pretrain"] = "pretrain"
    name: Annotated[str, RUNTIME]
    cost: Annotated[float, RUNTIME] = 0.0
    encoder: PretrainSpec
    text: dict[str, str] = Field(description="fingerprint of each language's and file's text")
    version: int = Field(1, description="of the procedure; jobs of old plans have none")

    @cached_property
    def id(self) -> str:
        """The name of the encoder's folder."""
        return f"{self.name}-{short(fingerprint(self))}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of the jobs whose results this one reads."""
        return ()


class EncoderRef(Spec):
    """The encoder that an endpoint starts from."""

    name: Annotated[str, RUNTIME] = Field(description="short name in the sweep file")
    checkpoint: Annotated[str | None, RUNTIME] = Field(None, description="hub id or local path")
    revision: Annotated[str | None, RUNTIME] = Field(None, description="the commit, of a hub id")
    pretrained: Annotated[str | None, RUNTIME] = Field(None, description="id of the pretrain job, if ours")
    content: str = Field(description="what names its weights: id@commit, a hash, or a pretrain job's id")


class FinetuneJob(Spec):
    """Fine-tune one endpoint on one or two languages."""

    kind: Literal["finetune"] = "finetune"
    cost: Annotated[float, RUNTIME] = 0.0
    task: str
    corpus: str
    languages: Items[str] = Field(description="sorted; two for a bilingual endpoint")
    seed: int
    encoder: EncoderRef
    data: dict[str, LanguageData]
    max_train: int | None = None
    max_dev: int | None = None
    recipe: FinetuneSpec
    parser: ParserSpec | None = None

    @cached_property
    def id(self) -> str:
        """The name of the endpoint's folder."""
        languages = "+".join(self.languages)
        return f"{self.task}-{languages}-s{self.seed}-{self.encoder.name}-{short(fingerprint(self))}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of the jobs whose results this one reads."""
        return (self.encoder.pretrained,) if self.encoder.pretrained else ()


class SurfaceJob(Spec):
    """Score every point of one cell."""

    kind: Literal["surface"] = "surface"
    cost: Annotated[float, RUNTIME] = 0.0
    source: str
    target: str
    source_endpoint: FinetuneJob
    target_endpoint: FinetuneJob
    bilingual_endpoint: FinetuneJob
    plane: Items[Exact] = Field(description="coordinates of the plane's axes")
    alphas: Items[Exact] = Field(description="mixing coefficients of the lines")
    scopes: Items[Scope]
    evaluation: EvaluationSpec = EvaluationSpec()
    third: dict[str, str] = Field({}, description="other languages scored, and what their dev sets are")

    @property
    def task(self) -> str:
        """The task scored."""
        return self.bilingual_endpoint.task

    @property
    def seed(self) -> int:
        """The seed of all three endpoints."""
        return self.bilingual_endpoint.seed

    @property
    def encoder(self) -> EncoderRef:
        """The encoder that all three endpoints start from."""
        return self.bilingual_endpoint.encoder

    @cached_property
    def id(self) -> str:
        """The cell: names its Parquet files."""
        content = {
            "source": self.source,
            "target": self.target,
            "endpoints": [endpoint.id for endpoint in self.endpoints.values()],
            "plane": self.plane,
            "alphas": self.alphas,
            "scopes": self.scopes,
            "evaluation": canonical(self.evaluation),
            **({"third": self.third} if self.third else {}),
        }
        prefix = f"{self.task}-{self.source}-{self.target}-s{self.seed}-{self.encoder.name}"
        return f"{prefix}-{short(fingerprint(content))}"

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages scored: source, target, and others by name."""
        return (self.source, self.target, *sorted(self.third))

    @cached_property
    def reader(self) -> FinetuneJob:
        """The bilingual endpoint, with the dev sets of the other languages: all are read alike."""
        third = {language: LanguageData(train="", dev=dev) for language, dev in self.third.items()}
        return self.bilingual_endpoint.model_copy(update={"data": self.bilingual_endpoint.data | third})

    @property
    def endpoints(self) -> dict[str, FinetuneJob]:
        """The three endpoints by the names of the corners."""
        return {
            "bilingual": self.bilingual_endpoint,
            "source": self.source_endpoint,
            "target": self.target_endpoint,
        }

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of the jobs whose results this one reads."""
        pretrained = (self.encoder.pretrained,) if self.encoder.pretrained else ()
        return (*pretrained, *(endpoint.id for endpoint in self.endpoints.values()))

    @cached_property
    def grid(self) -> Grid:
        """The points."""
        return Grid(self.plane, self.alphas)


Job = PretrainJob | FinetuneJob | SurfaceJob
KINDS = ("pretrain", "finetune", "surface")
"""In the order in which they follow one another."""
_JOB: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="kind")])


def load_job(text: str) -> Job:
    """Read a job from the JSON that ``job.model_dump_json()`` gave."""
    return _JOB.validate_json(text)


def parse_job(data: object) -> Job:
    """Read a job from plain JSON data."""
    return _JOB.validate_python(data, strict=False)
