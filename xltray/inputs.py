"""What a sweep reads from outside: which files and checkpoints, whether they are there and sound.

``FileInputs`` answers the plan's questions about content. ``check_names`` finds unknown tasks,
corpora and languages in a sweep file; ``check_inputs`` reads everything that jobs are about to
read, so that bad input is reported, all at once, before any work starts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from xltray.corpora.base import READERS, Corpus, Kind
from xltray.corpora.registry import CORPORA, lacks, offers, open_corpus, text_kind
from xltray.corpora.text import identify_text, text_sentences
from xltray.errors import CorpusError, MissingInputError, Problem, did_you_mean
from xltray.fingerprint import file_fingerprint, fingerprint
from xltray.jobs import FinetuneJob, Job, PretrainJob
from xltray.plan import DataId
from xltray.spec import DataSpec, EncoderSpec, SweepSpec
from xltray.spec_types import Role
from xltray.tasks.registry import TASKS, corpus_name, example_kind

# Stands for content that is not there, where only counts are asked for (dry run).
UNKNOWN = DataId("unknown", 0)
# What an encoder's numbers depend on; a folder may hold much else.
_CHECKPOINT_FILES = ("*.json", "*.safetensors", "*.bin", "*.model", "*.txt")


class FileInputs:
    """Identifies the content of corpora and checkpoints.

    With ``lenient``, what is missing is noted in ``missing`` instead of raised.
    """

    def __init__(self, data: DataSpec, *, lenient: bool = False) -> None:
        self.spec = data
        self.lenient = lenient
        self.missing: list[Problem] = []
        self.data = cache(self._data)
        self.text = cache(self._text)
        self._corpus = cache(lambda name: open_corpus(name, data))

    def corpus(self, task: str) -> str:
        """Return the name of the corpus that a task reads."""
        return corpus_name(task, self.spec)

    def checkpoint(self, encoder: EncoderSpec) -> str:
        """Return what names a checkpoint's content: id@revision, or a hash of its files."""
        checkpoint = str(encoder.checkpoint)
        folder = Path(checkpoint).expanduser()
        if not folder.is_dir():
            self.missing += _absent_folder(checkpoint)
            return f"{checkpoint}@{encoder.revision}"
        files = sorted({file for pattern in _CHECKPOINT_FILES for file in folder.glob(pattern)})
        return fingerprint({file.name: file_fingerprint(file) for file in files})

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
            raise MissingInputError("The sweep's data is not all there.", list(dict.fromkeys(self.missing)))


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
    for name in dict.fromkeys(corpora.values()):
        problems += _unknown_languages(name, "pairs", sweep.languages(), sweep.data)
    for where, spec in pretrained.items():
        problems += _unknown_languages(spec.corpus, f"{where}.languages", spec.languages, sweep.data)
    return problems


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


def check_inputs(jobs: Iterable[Job], data: DataSpec) -> None:
    """Read all that these jobs are about to read.

    Raises:
        CorpusError: with every problem of every file.
        MissingInputError: for files or checkpoints that are not there.
    """
    jobs = list(jobs)
    broken: list[Problem] = []
    missing: list[Problem] = []
    for where, read in _readings(jobs, data):
        try:
            if not list(read()):
                broken.append(Problem(where, "no example", "at least one"))
        except CorpusError as error:
            broken += error.problems
        except MissingInputError as error:
            missing += error.problems
    encoders = [job.encoder for job in jobs if not isinstance(job, PretrainJob)]
    checkpoints = {(ref.checkpoint, ref.revision) for ref in encoders if ref.checkpoint}
    for checkpoint, revision in sorted(checkpoints, key=str):
        missing += _checkpoint_problems(checkpoint, revision)
    if missing:
        also = " Some of the rest is broken." if broken else ""
        raise MissingInputError(f"Something that the sweep reads is not there.{also}", [*missing, *broken])
    if broken:
        raise CorpusError("The sweep's data is broken.", broken)


def _readings(jobs: Sequence[Job], data: DataSpec) -> Iterator[tuple[str, Callable[[], Iterable[object]]]]:
    """Yield each split and text file: what to call it, and what reads all of it."""
    for corpus, kind, language, role in _splits(jobs):
        where = f"{corpus} {language} {role}"
        yield where, partial(open_corpus(corpus, data).examples, kind, language, role)
    for path in sorted({path for job in jobs if isinstance(job, PretrainJob) for path in job.encoder.text}):
        # Read to its end, though none of it is kept: it may not fit into memory.
        yield path, partial(_whole, partial(text_sentences, data, path))


def _whole(stream: Callable[[], Iterable[object]]) -> Iterable[object]:
    return deque(stream(), maxlen=1)


def _splits(jobs: Iterable[Job]) -> list[tuple[str, Kind, str, Role]]:
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
            splits |= {(corpus, kind, job.source, "dev"), (corpus, kind, job.target, "dev")}
    return sorted(splits, key=lambda split: (split[0], READERS[split[1]], *split[2:]))


_CHECKPOINT = "a folder with config.json, or a model id of the hub"


def _absent_folder(checkpoint: str) -> list[Problem]:
    """Return what is wrong with a checkpoint that is meant as a path and is not a folder."""
    if not checkpoint.startswith((".", "/", "~")):
        return []
    return [Problem(f"encoder checkpoint {checkpoint!r}", "no such folder", _CHECKPOINT, "Check the path.")]


def _checkpoint_problems(checkpoint: str, revision: str | None) -> list[Problem]:
    where, expected = f"encoder checkpoint {checkpoint!r}", _CHECKPOINT
    if Path(checkpoint).expanduser().is_dir():
        found = (Path(checkpoint).expanduser() / "config.json").is_file()
        return [] if found else [Problem(where, "a folder without config.json", expected)]
    if absent := _absent_folder(checkpoint):
        return absent
    try:
        hf_hub_download(checkpoint, "config.json", revision=revision)
    except LocalEntryNotFoundError:
        advice = "Check the name and the network, or download it into the hub's cache first."
        return [Problem(where, f"neither cached nor reachable at revision {revision!r}", expected, advice)]
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        return [Problem(where, str(error).strip().splitlines()[0], expected, "Check name and revision.")]
    return []
