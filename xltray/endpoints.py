"""Endpoint models as jobs see them: built from a job, its data encoded, saved and loaded.

Shared by ``finetune`` (which makes them) and ``surface`` (which blends them), so that both build
the same model, score it in the same batches and therefore get the same counts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xltray.as_planned import check_checkpoint, check_unchanged, this_machines_files
from xltray.context import JobContext
from xltray.corpora.base import Corpus, at_most
from xltray.corpora.registry import open_corpus
from xltray.errors import CornerMismatchError, DamagedError, EndpointError, Problem
from xltray.folders import DONE
from xltray.jobs import EncoderRef, FinetuneJob, SurfaceJob
from xltray.nn.encoder import Encoder, load_encoder, max_tokens
from xltray.nn.flat import FlatModel
from xltray.nn.model import EndpointModel, hidden_size, seed_of
from xltray.results import Score
from xltray.spec_types import Role
from xltray.store import WEIGHTS, Store
from xltray.tasks.base import Batch, EncodedSplit, Evaluation, Pending, Predicted, Task
from xltray.tasks.registry import get_task

KEPT_SPLITS, KEPT_SEQUENCES = 8, 5000
"""So many encoded splits of at most so many sequences are kept by a process, at 145 bytes a subword. That is
25 MB for the quickstart's sentences, and 200 MB at most for a treebank's of 35 subwords each."""
_kept: OrderedDict[tuple[object, ...], EncodedSplit] = OrderedDict()


def open_encoder(ref: EncoderRef, context: JobContext) -> Encoder:
    """Load the encoder that endpoints start from.

    Raises:
        MissingInputError: if it is not there, or cannot be loaded.
        CorpusError: if a folder holds another one than the plan saw.
    """
    if ref.pretrained is not None:
        folder = context.store.intact_directory(context.store.encoder_path(ref.pretrained))
        return load_encoder(str(folder))
    with this_machines_files(f"encoder {ref.name}"):
        check_checkpoint(ref)
        return load_encoder(str(ref.checkpoint), ref.revision)


def build_model(job: FinetuneJob, encoder: Encoder, device: str) -> EndpointModel:
    """Build the model as it is before fine-tuning.

    The head depends on task and seed alone, not on the languages: the three endpoints of a cell
    start from identical weights.
    """
    task = get_task(job.task)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("head", job.task, job.seed))
        head = task.head(hidden_size(encoder.model), job.parser)
    return EndpointModel(encoder.model, head, job.recipe.dropout).to(device)


@dataclass(frozen=True)
class DevSet:
    """A dev set, tokenised and packed once; ``score`` is the only way that models are scored."""

    task: Task
    split: EncodedSplit
    batches: Sequence[Batch]

    def score(self, model: EndpointModel) -> Evaluation:
        """Score a model."""
        return self.queue(model)()

    def queue(self, model: EndpointModel) -> Pending:
        """Begin to score a model; see ``Task.queue``."""
        return self.task.queue(model, self.split, self.batches)

    def predict(self, model: EndpointModel) -> list[Predicted]:
        """Return what ``score`` counts, one entry an example."""
        return self.task.predict(model, self.split, self.batches)


def load_dev_set(job: FinetuneJob, language: str, encoder: Encoder, context: JobContext) -> DevSet:
    """Read, tokenise and pack a dev set."""
    task = get_task(job.task)
    split = load_split(job, language, "dev", encoder, context)
    return DevSet(task, split.on(context.device), task.batches(split, context.device))


def load_split(
    job: FinetuneJob, language: str, role: Role, encoder: Encoder, context: JobContext
) -> EncodedSplit:
    """Read and tokenise a split; errors as for ``read_examples``.

    A process runs many jobs on the same data, so the last few splits that are not large are kept.
    """
    limit = max_tokens(encoder.model)
    key = (
        *(job.task, job.corpus, language, role, getattr(job.data[language], role), _limit(job, role)),
        *(job.encoder.content, job.recipe.max_length, limit),
    )
    if key in _kept:
        _check_split(job, language, role, open_corpus(job.corpus, context.data))
        _kept.move_to_end(key)
        return _kept[key]
    split = get_task(job.task).encode(
        read_examples(job, language, role, context),
        encoder.tokenizer,
        role=role,
        max_length=job.recipe.max_length,
        limit=limit,
    )
    if len(split.sequences) <= KEPT_SEQUENCES:
        _kept[key] = split
        while len(_kept) > KEPT_SPLITS:
            _kept.popitem(last=False)
    return split


def read_examples(job: FinetuneJob, language: str, role: Role, context: JobContext) -> list[Any]:
    """Read the examples of a split, after making sure that it is still what the plan saw.

    Raises:
        CorpusError: if the files changed since.
    """
    corpus = open_corpus(job.corpus, context.data)
    _check_split(job, language, role, corpus)
    with this_machines_files(f"{job.corpus} {language} {role}"):
        return at_most(get_task(job.task).read(corpus, language, role), _limit(job, role))


def _check_split(job: FinetuneJob, language: str, role: Role, corpus: Corpus) -> None:
    where = f"{job.corpus} {language} {role}"
    with this_machines_files(where):
        found = corpus.identify(language, role).fingerprint
        check_unchanged(where, found=found, expected=getattr(job.data[language], role))


def _limit(job: FinetuneJob, role: Role) -> int | None:
    return job.max_train if role == "train" else job.max_dev


def absent_weights(job: SurfaceJob, store: Store) -> list[Problem]:
    """Return what models of a cell need and the store does not have, or not any more.

    A finished cell may have lost its endpoints: they may be deleted to save space.
    """
    folders = [store.endpoint_path(endpoint.id) for endpoint in job.endpoints.values()]
    if job.encoder.pretrained:
        folders.append(store.encoder_path(job.encoder.pretrained))
    absent = [folder for folder in folders if not store.exists(f"{folder}/{DONE}")]
    advice = f"Delete {store.surface_path(job)} and run the sweep again: it makes them anew."
    found = f"no {', '.join(absent)} in the store"
    return [Problem(f"cell {job.id}", found, "the weights of its endpoints", advice)] if absent else []


@contextmanager
def outside_a_sweep(job: SurfaceJob, store: Store) -> Iterator[None]:
    """Let the error about a damaged folder say what to do where no sweep runs that would set it aside.

    Raises:
        DamagedError: with that advice.
    """
    try:
        yield
    except DamagedError as damage:
        surface = store.surface_path(job)
        scored = store.exists(surface)
        # A sweep makes only what it will read.
        where = f"{damage.folder} and {surface}" if scored else damage.folder
        advice = (
            f"Outside a sweep nothing is set aside. Delete {where} from the store and run the sweep again: "
        )
        advice += f"it makes {'both' if scored else 'it'} anew."
        if scored:
            advice += (
                " On a GPU its last bits will differ: other cells that read it keep the scores of the old "
                "one until their files are deleted too."
            )
        raise DamagedError(damage.folder, damage.problem, advice) from damage


def load_endpoints(job: SurfaceJob, model: FlatModel, context: JobContext) -> dict[str, Tensor]:
    """Load the three endpoints as flat vectors, by the names of the corners.

    Raises:
        DamagedError: if a file is not what was written.
        EndpointError: if the three did not start from identical weights, or cannot be used.
    """
    initial = {}
    weights = {}
    for corner, endpoint in job.endpoints.items():
        path = context.store.endpoint_path(endpoint.id)
        file = context.store.intact_directory(path) / WEIGHTS
        done = context.store.read_done(path)
        initial[corner] = done["initial_weights"]
        weights[corner] = model.load(file)
    if len(set(initial.values())) != 1:
        found = ", ".join(f"{job.endpoints[corner].id}: {hash_[:12]}" for corner, hash_ in initial.items())
        raise EndpointError(
            f"{job.id}: the three endpoints started from different weights ({found}); expected the same. "
            "Delete these endpoints from the store and run the sweep again."
        )
    return weights


def check_corner(job: SurfaceJob, corner: str, scores: Sequence[Score], context: JobContext) -> None:
    """Compare scores at a corner with what the endpoint scored when it was fine-tuned.

    At a corner the weights are bit-equal to the endpoint's, so the counts must be equal too.

    Raises:
        CornerMismatchError: naming the cell, the corner and the numbers.
    """
    path = context.store.endpoint_path(job.endpoints[corner].id)
    done = context.store.read_done(path)
    for score in scores:
        expected = done["counts"].get(score.language, {}).get(score.metric)
        found = [score.correct, score.predicted, score.gold]
        if expected is not None and found != expected:
            raise CornerMismatchError(
                f"cell {job.id}: at the {corner} corner, {score.metric} on {score.language} has counts "
                f"{found}; its endpoint had {expected} when it was fine-tuned (on "
                f"{done['provenance'].get('device')}). The surface is refused. Was the endpoint made on "
                f"another kind of device, or by another version? Delete {path} from the store and run "
                "the sweep again."
            )
