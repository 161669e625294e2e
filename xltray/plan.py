"""From a sweep to its jobs: ``pretrain`` -> ``finetune`` -> ``surface``.

A job is a frozen value that holds all that decides its numbers, so its id (a readable prefix and
a hash) names its result. Endpoints are shared: a source-only model serves every target, and a
bilingual model of {en, ar} serves en -> ar and ar -> en. The paper's sweep is 576 fine-tunings
and 360 surfaces.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, NamedTuple, Protocol

from pydantic import Field, TypeAdapter

from xltray.fingerprint import RUNTIME, canonical, fingerprint, short
from xltray.grid import Grid
from xltray.spec import (
    EncoderSpec,
    EvaluationSpec,
    Exact,
    FinetuneSpec,
    Items,
    ParserSpec,
    PretrainSpec,
    Role,
    Scope,
    Spec,
    SweepSpec,
)


class DataId(NamedTuple):
    """What a split is: SHA-256 of its content, and its size in bytes (for cost estimates)."""

    fingerprint: str
    size: int


class Inputs(Protocol):
    """What the plan must know about files; the layers above look it up."""

    def corpus(self, task: str) -> str:
        """Return the name of the corpus that a task reads."""
        ...

    def data(self, corpus: str, language: str, role: Role) -> DataId:
        """Identify a split of a corpus."""
        ...

    def text(self, path: str) -> DataId:
        """Identify a plain-text file of the data root."""
        ...

    def checkpoint(self, encoder: EncoderSpec) -> str:
        """Return what names a checkpoint's content: id@revision, or a hash of its files."""
        ...


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
    revision: Annotated[str | None, RUNTIME] = None
    pretrained: Annotated[str | None, RUNTIME] = Field(None, description="id of the pretrain job, if ours")
    content: str = Field(description="what names its weights: id@revision, a hash, or a pretrain job's id")


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
        }
        prefix = f"{self.task}-{self.source}-{self.target}-s{self.seed}-{self.encoder.name}"
        return f"{prefix}-{short(fingerprint(content))}"

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
        return tuple(endpoint.id for endpoint in self.endpoints.values())

    @cached_property
    def grid(self) -> Grid:
        """The points."""
        return Grid(self.plane, self.alphas)


Job = PretrainJob | FinetuneJob | SurfaceJob
_JOB: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="kind")])


def load_job(text: str) -> Job:
    """Read a job from the JSON that ``job.model_dump_json()`` gave."""
    return _JOB.validate_json(text)


def parse_job(data: object) -> Job:
    """Read a job from plain JSON data."""
    return _JOB.validate_python(data, strict=False)


@dataclass(frozen=True)
class Plan:
    """All jobs of a sweep, prerequisites first."""

    sweep: SweepSpec
    jobs: Mapping[str, Job]

    def of_kind(self, kind: str) -> Iterator[Job]:
        """Yield the jobs of one kind."""
        return (job for job in self.jobs.values() if job.kind == kind)

    @cached_property
    def points(self) -> int:
        """Points of every surface."""
        return len(self.sweep.grid.grid())

    @property
    def evaluations(self) -> int:
        """Scored (model, language) pairs: each point of each scope on source and target."""
        cells = sum(1 for _ in self.of_kind("surface"))
        return cells * self.points * len(self.sweep.scopes) * 2

    def needed(self, done: Container[str]) -> dict[str, Job]:
        """Return the jobs to run, given the ids of those whose results exist.

        Surfaces are the product: an endpoint that only finished surfaces read is not needed,
        so endpoints may be deleted to save space.
        """
        wanted: set[str] = set()
        for job in reversed(list(self.jobs.values())):
            if (isinstance(job, SurfaceJob) or job.id in wanted) and job.id not in done:
                wanted |= {job.id, *job.needs}
            else:
                wanted.discard(job.id)
        return {id_: job for id_, job in self.jobs.items() if id_ in wanted}


def make_plan(sweep: SweepSpec, inputs: Inputs) -> Plan:
    """Lay out the jobs of a sweep."""
    return _Planner(sweep, inputs).plan()


class _Planner:
    def __init__(self, sweep: SweepSpec, inputs: Inputs) -> None:
        self.sweep = sweep
        self.inputs = inputs
        self.jobs: dict[str, Job] = {}

    def plan(self) -> Plan:
        surfaces: list[SurfaceJob] = []
        for name, encoder in self.sweep.encoders.items():
            ref = self._encoder(name, encoder)
            for task in self.sweep.tasks:
                for seed in self.sweep.seeds:
                    for source, targets in self.sweep.pairs.items():
                        surfaces += [self._surface(ref, task, seed, source, target) for target in targets]
        self.jobs |= {surface.id: surface for surface in surfaces}
        return Plan(self.sweep, self.jobs)

    def _encoder(self, name: str, encoder: EncoderSpec) -> EncoderRef:
        if encoder.pretrain is None:
            return EncoderRef(
                name=name,
                checkpoint=encoder.checkpoint,
                revision=encoder.revision,
                content=self.inputs.checkpoint(encoder),
            )
        spec = encoder.pretrain
        text = {language: self.inputs.data(spec.corpus, language, "train") for language in spec.languages}
        text |= {path: self.inputs.text(path) for path in spec.text}
        job = PretrainJob(
            name=name,
            # A step sees batch_size sequences of roughly 4 bytes a subword, forward and backward.
            cost=3.0 * 4 * spec.steps * spec.batch_size * spec.max_length / 2,
            encoder=spec,
            text={key: data.fingerprint for key, data in text.items()},
        )
        self.jobs[job.id] = job
        return EncoderRef(name=name, content=job.id, pretrained=job.id)

    def _endpoint(self, encoder: EncoderRef, task: str, seed: int, languages: set[str]) -> FinetuneJob:
        corpus = self.inputs.corpus(task)
        data = {
            language: (self.inputs.data(corpus, language, "train"), self.inputs.data(corpus, language, "dev"))
            for language in sorted(languages)
        }
        recipe = self.sweep.recipe(task)
        validations = recipe.epochs * recipe.validations_per_epoch
        job = FinetuneJob(
            task=task,
            corpus=corpus,
            languages=tuple(sorted(languages)),
            seed=seed,
            encoder=encoder,
            data={
                language: LanguageData(train=train.fingerprint, dev=dev.fingerprint)
                for language, (train, dev) in data.items()
            },
            max_train=self.sweep.data.max_train,
            max_dev=self.sweep.data.max_dev,
            recipe=recipe,
            parser=self.sweep.parser if task == "parsing" else None,
            # A backward pass costs about two forward passes.
            cost=sum(
                3.0 * recipe.epochs * train.size + validations * dev.size for train, dev in data.values()
            ),
        )
        self.jobs.setdefault(job.id, job)
        return job

    def _surface(self, encoder: EncoderRef, task: str, seed: int, source: str, target: str) -> SurfaceJob:
        grid = self.sweep.grid
        dev_bytes = sum(
            self.inputs.data(self.inputs.corpus(task), language, "dev").size for language in (source, target)
        )
        return SurfaceJob(
            source=source,
            target=target,
            source_endpoint=self._endpoint(encoder, task, seed, {source}),
            target_endpoint=self._endpoint(encoder, task, seed, {target}),
            bilingual_endpoint=self._endpoint(encoder, task, seed, {source, target}),
            plane=tuple(sorted(set(grid.plane.values()))) if grid.plane else (),
            alphas=tuple(sorted(set(grid.lines.values()))) if grid.lines else (),
            scopes=self.sweep.scopes,
            evaluation=self.sweep.evaluation,
            cost=float(dev_bytes) * len(grid.grid()) * len(self.sweep.scopes),
        )
