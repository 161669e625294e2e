"""What a sweep reads from outside: which files and checkpoints, whether they are there and sound.

``FileInputs`` answers the plan's questions about content. ``check_names`` finds unknown tasks,
corpora and languages in a sweep file; ``check_inputs`` reads everything that jobs are about to
read, so that bad input is reported, all at once, before any work starts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial

from xltray.checkpoints import (
    absent_folder,
    folder_content,
    folder_of,
    is_commit,
    resolve,
)
from xltray.corpora.base import READERS, Corpus, Kind
from xltray.corpora.registry import (
    CORPORA,
    lacks,
    lacks_translations,
    offers,
    open_corpus,
    text_kind,
    translates,
)
from xltray.corpora.text import identify_text, text_sentences
from xltray.encoders import check_checkpoint
from xltray.errors import CorpusError, MissingInputError, Problem, did_you_mean
from xltray.jobs import FinetuneJob, Job, PretrainJob
from xltray.plan import Checkpoint, DataId
from xltray.spec import DataSpec, EncoderSpec, SweepSpec
from xltray.spec_types import Role
from xltray.tasks.registry import TASKS, corpus_name, example_kind

# Stands for content that is not there, where only counts are asked for (dry run).
UNKNOWN = DataId("unknown", 0)


class FileInputs:
    """Identifies the content of corpora and checkpoints.

    With ``lenient``, what is missing is noted in ``missing`` instead of raised, and nothing is asked of
    the network. ``commits``, by checkpoint and revision, are taken for branches and tags that stand
    there; the others are looked up. ``notes`` are warnings, a line each.
    """

    def __init__(
        self, data: DataSpec, *, lenient: bool = False, commits: Mapping[tuple[str, str], str] | None = None
    ) -> None:
        self.spec = data
        self.lenient = lenient
        self.commits = commits or {}
        self.missing: list[Problem] = []
        self.notes: list[str] = []
        self.data = cache(self._data)
        self.text = cache(self._text)
        self._corpus = cache(lambda name: open_corpus(name, data))

    def corpus(self, task: str) -> str:
        """Return the name of the corpus that a task reads."""
        return corpus_name(task, self.spec)

    def checkpoint(self, name: str, encoder: EncoderSpec) -> Checkpoint:
        """Identify a checkpoint: a folder by a hash of its files, an id of the hub by its commit."""
        checkpoint = str(encoder.checkpoint)
        if folder := folder_of(checkpoint):
            # Absolute: workers may run elsewhere.
            return Checkpoint(folder_content(folder), str(folder.resolve()), None)
        if absent := absent_folder(checkpoint):
            self.missing += absent
            return Checkpoint(f"{checkpoint}@{encoder.revision}", checkpoint, encoder.revision)
        revision = self.commits.get((checkpoint, encoder.revision)) or self._commit(
            f"encoders.{name}.revision", checkpoint, encoder.revision
        )
        return Checkpoint(f"{checkpoint}@{revision}", checkpoint, revision)

    def _commit(self, where: str, checkpoint: str, revision: str) -> str:
        """Return the commit that a revision is, or the revision as it is after noting what is missing."""
        commit, why = resolve(checkpoint, revision, ask=not self.lenient)
        if commit is None:
            found = f"{revision!r} of {checkpoint}, which is no known commit: {why}"
            advice = (
                "Fetch it where there is a network (python -m xltray.data fetch SWEEP.yaml), check name "
                "and revision, or give the commit itself."
            )
            expected = "a commit (40 hexadecimal digits), or a branch or tag that can be looked up"
            self.missing.append(Problem(where, found, expected, advice))
        elif not is_commit(revision):
            self.notes.append(f"{where}: {revision!r} may move; to keep what it is now, pin {commit}")
        return commit or revision

    def _data(self, corpus: str, language: str, role: Role) -> DataId:
        if corpus not in CORPORA:
            problem = Problem(f"corpus {corpus!r}", "no reader in this version", ", ".join(CORPORA))
            return self._absent([problem])
        try:
            opened: Corpus = self._corpus(corpus)
            return opened.identify(language, role)
        except MissingInputError as error:
            return self._absent(error.problems)

    def _text(self, path: str) -> DataId:
        try:
            return identify_text(self.spec, path)
        except MissingInputError as error:
            return self._absent(error.problems)

    def _absent(self, problems: Iterable[Problem]) -> DataId:
        self.missing += problems
        return UNKNOWN

    def raise_missing(self) -> None:
        """Raise all that was found missing since the start, together."""
        if self.missing and not self.lenient:
            raise MissingInputError("The sweep's data is not all there.", _each(self.missing))


def _each(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems, each once, however many jobs have it."""
    return list(dict.fromkeys(problems))


def check_names(sweep: SweepSpec) -> list[Problem]:
    """Return what a sweep file names but xltray does not know."""
    problems = [
        Problem(where, repr(task), "a task", did_you_mean(task, TASKS))
        for where, task in (
            *((f"tasks[{index}]", task) for index, task in enumerate(sweep.tasks)),
            *((f"finetune_task.{task}", task) for task in sweep.finetune_task),
            *((f"data.corpora.{task}", task) for task in sweep.data.corpora),
        )
        if task not in TASKS
    ]
    pretrained = {
        f"encoders.{name}.pretrain": encoder.pretrain
        for name, encoder in sweep.encoders.items()
        if encoder.pretrain
    }
    problems += [
        Problem(where, repr(name), "a corpus", did_you_mean(name, CORPORA))
        for where, name in (
            *((f"data.corpora.{task}", name) for task, name in sweep.data.corpora.items()),
            *((f"{where}.corpus", spec.corpus) for where, spec in pretrained.items()),
        )
        if name not in CORPORA
    ]
    corpora = {task: corpus_name(task, sweep.data) for task in sweep.tasks if task in TASKS}
    problems += [
        lacks(name, example_kind(task), f"data.corpora.{task}")
        for task, name in corpora.items()
        if name in CORPORA and not offers(name, example_kind(task))
    ]
    if any(name in CORPORA for name in corpora.values()):
        for name in dict.fromkeys(corpora.values()):
            problems += _unknown_languages(name, "pairs", sweep.languages(), sweep.data)
            problems += _unknown_languages(name, "third_languages", sweep.third_languages, sweep.data)
    else:
        problems += _languages_of_none(sweep)
    for where, spec in pretrained.items():
        problems += _unknown_languages(spec.corpus, f"{where}.languages", spec.languages, sweep.data)
        if spec.parallel and spec.corpus in CORPORA and not translates(spec.corpus):
            problems.append(lacks_translations(spec.corpus, f"{where}.parallel"))
    return problems


def _languages_of_none(sweep: SweepSpec) -> list[Problem]:
    """Return the pairs' languages that no corpus has; for when the sweep's own corpora are unknown."""
    known = {language for name in CORPORA for language in open_corpus(name, sweep.data).languages()}
    return [
        Problem("pairs", repr(language), "a language of some corpus", did_you_mean(language, known))
        for language in sweep.languages()
        if language not in known
    ]


def _unknown_languages(corpus: str, where: str, languages: Iterable[str], data: DataSpec) -> list[Problem]:
    if corpus not in CORPORA:
        return []
    known = open_corpus(corpus, data).languages()
    hint = " To add one: data.treebanks.<language>.treebank" if corpus == "ud" else ""
    return [
        Problem(
            where, repr(language), f"a language of the {corpus} corpus", did_you_mean(language, known) + hint
        )
        for language in languages
        if language not in known
    ]


def check_inputs(jobs: Iterable[Job], data: DataSpec, absent: Iterable[Problem] = ()) -> None:
    """Read all that these jobs are about to read; ``absent`` is what the plan already found missing.

    Raises:
        CorpusError: with every problem of every file.
        MissingInputError: for files that are not there, and checkpoints that are not or do not load.
    """
    jobs = list(jobs)
    broken: list[Problem] = []
    missing = list(absent)
    for where, read in _readings(jobs, data):
        try:
            if not list(read()):
                broken.append(Problem(where, "no example", "at least one"))
        except CorpusError as error:
            broken += error.problems
        except MissingInputError as error:
            missing += error.problems
    encoders = [job.encoder for job in jobs if not isinstance(job, PretrainJob)]
    # A revision that is no commit stands for a checkpoint that the plan has found missing.
    checkpoints = {
        (ref.checkpoint, ref.revision)
        for ref in encoders
        if ref.checkpoint and (ref.revision is None or is_commit(ref.revision))
    }
    for checkpoint, revision in sorted(checkpoints, key=str):
        missing += check_checkpoint(checkpoint, revision).problems
    if missing:
        also = " Some of the rest is broken." if broken else ""
        raise MissingInputError(
            f"Something that the sweep reads is not there.{also}", _each([*missing, *broken])
        )
    if broken:
        raise CorpusError("The sweep's data is broken.", broken)


def _readings(jobs: Sequence[Job], data: DataSpec) -> Iterator[tuple[str, Callable[[], Iterable[object]]]]:
    """Yield each split and text file: what to call it, and what reads all of it."""
    for corpus, kind, language, role in splits_of(jobs):
        where = f"{corpus} {language} {role}"
        yield where, partial(open_corpus(corpus, data).examples, kind, language, role)
    for path in sorted({path for job in jobs if isinstance(job, PretrainJob) for path in job.encoder.text}):
        # Read to its end, though none of it is kept: it may not fit into memory.
        yield path, partial(_whole, partial(text_sentences, data, path))


def _whole(stream: Callable[[], Iterable[object]]) -> Iterable[object]:
    return deque(stream(), maxlen=1)


def splits_of(jobs: Iterable[Job]) -> list[tuple[str, Kind, str, Role]]:
    """Return corpus, kind, language and role of all examples that jobs read."""
    splits: set[tuple[str, Kind, str, Role]] = set()
    for job in jobs:
        if isinstance(job, FinetuneJob):
            kind = example_kind(job.task)
            for language in job.languages:
                splits |= {(job.corpus, kind, language, "train"), (job.corpus, kind, language, "dev")}
        elif isinstance(job, PretrainJob):
            corpus = job.encoder.corpus
            splits |= {(corpus, text_kind(corpus), language, "train") for language in job.encoder.languages}
        else:
            corpus, kind = job.bilingual_endpoint.corpus, example_kind(job.task)
            splits |= {(corpus, kind, language, "dev") for language in job.languages}
    return sorted(splits, key=lambda split: (split[0], READERS[split[1]], *split[2:]))
