"""From a sweep to its jobs (``jobs.py``), prerequisites first.

Endpoints are shared: a source-only model serves every target, and a
bilingual model of {en, ar} serves en -> ar and ar -> en. The paper's sweep is 576 fine-tunings
and 360 surfaces.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

from xltray.jobs import (
    PRETRAINING_VERSION,
    EncoderRef,
    FinetuneJob,
    Job,
    LanguageData,
    PretrainJob,
    SurfaceJob,
)
from xltray.spec import EncoderSpec, SweepSpec
from xltray.spec_types import Role

# Stands for an encoder whose size the sweep file does not tell: mBERT's.
TYPICAL_PARAMETERS = 177_262_848


class DataId(NamedTuple):
    """What a split is: SHA-256 of its content, and its size in bytes (for cost estimates)."""

    fingerprint: str
    size: int


class Checkpoint(NamedTuple):
    """What names an encoder's content, and where to load it from.

    ``content`` is id@commit, or a hash of a folder's files. ``location`` is the hub id, or the folder's
    absolute path; ``revision`` is the commit of a hub id.
    """

    content: str
    location: str
    revision: str | None


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

    def checkpoint(self, name: str, encoder: EncoderSpec) -> Checkpoint:
        """Identify the checkpoint of the encoder that the sweep file calls ``name``."""
        ...


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
    def models(self) -> int:
        """Models scored: each point of each scope of each cell."""
        return sum(1 for _ in self.of_kind("surface")) * self.points * len(self.sweep.scopes)

    @property
    def evaluations(self) -> int:
        """Scored (model, language) pairs: each point of each scope on all languages of its cell."""
        scored = sum(len(job.languages) for job in self.jobs.values() if isinstance(job, SurfaceJob))
        return scored * self.points * len(self.sweep.scopes)

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
        # Once: it takes a hundredth of a second, and there are hundreds of surfaces.
        self.points = len(sweep.grid.grid())
        # What a byte of text costs with each encoder, as far as the sweep file tells its size.
        self.weight = {
            name: (encoder.known_parameters or TYPICAL_PARAMETERS) / TYPICAL_PARAMETERS
            for name, encoder in sweep.encoders.items()
        }

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
            content, location, revision = self.inputs.checkpoint(name, encoder)
            return EncoderRef(name=name, checkpoint=location, revision=revision, content=content)
        spec = encoder.pretrain
        text = {language: self.inputs.data(spec.corpus, language, "train") for language in spec.languages}
        text |= {path: self.inputs.text(path) for path in spec.text}
        job = PretrainJob(
            name=name,
            # A step sees batch_size sequences of roughly 4 bytes a subword, forward and backward.
            cost=self.weight[name] * 3.0 * 4 * spec.steps * spec.batch_size * spec.max_length / 2,
            encoder=spec,
            text={key: data.fingerprint for key, data in text.items()},
            version=PRETRAINING_VERSION,
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
            cost=self.weight[encoder.name]
            * sum(3.0 * recipe.epochs * train.size + validations * dev.size for train, dev in data.values()),
        )
        self.jobs.setdefault(job.id, job)
        return job

    def _surface(self, encoder: EncoderRef, task: str, seed: int, source: str, target: str) -> SurfaceJob:
        grid, corpus = self.sweep.grid, self.inputs.corpus(task)
        third = [language for language in self.sweep.third_languages if language not in (source, target)]
        dev = {language: self.inputs.data(corpus, language, "dev") for language in (source, target, *third)}
        evaluated_bytes = sum(one.size for one in dev.values()) * self.points * len(self.sweep.scopes)
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
            third={language: dev[language].fingerprint for language in third},
            cost=self.weight[encoder.name] * evaluated_bytes,
        )
