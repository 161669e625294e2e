"""Under which licences the corpora of a sweep are, as their files state it.

Nothing is judged here: what a file says is put into the usual short form where it is a licence of
Creative Commons, and quoted where it is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from xltray.corpora.base import ReleasedCorpus
from xltray.corpora.registry import open_corpus
from xltray.errors import MissingInputError
from xltray.inputs import splits_of
from xltray.jobs import FinetuneJob, Job
from xltray.spec import DataSpec
from xltray.spec_types import Role

NOT_STATED = "not stated"
BEGINNINGS = ("LICENSE", "LICENCE")
HEAD = 1000
"""Letters of a file in which the licence is named; what follows is its text."""
QUOTED = 120
PARTS = {
    "attribution": "BY",
    "noncommercial": "NC",
    "sharealike": "SA",
    "noderivs": "ND",
    "noderivatives": "ND",
}
ADDRESS = re.compile(r"creativecommons\.org/licenses/(?P<parts>[a-z-]+)/(?P<version>\d\.\d)")
NAME = re.compile(
    rf"(?P<parts>attribution(?:[ -]+(?:{'|'.join(PARTS)}))*)\s+(?P<version>\d\.\d)", re.IGNORECASE
)


class Licence(TypedDict):
    """The licence of a language's part of a corpus, and the name of the file that states it, if one does.

    ``tasks`` are those that are fine-tuned on it; none where encoders alone are pretrained on it, or models
    are only scored on it (a third language).
    """

    corpus: str
    language: str
    tasks: list[str]
    licence: str
    file: str


def licences(jobs: Iterable[Job], data: DataSpec) -> list[Licence]:
    """Return the licences of all corpora that jobs read, sorted; made-up corpora have none."""
    jobs = list(jobs)
    roles: dict[tuple[str, str], Role] = {}
    for name, _, language, role in splits_of(jobs):
        roles.setdefault((name, language), role)
    tuned = [job for job in jobs if isinstance(job, FinetuneJob)]
    found: list[Licence] = []
    for (name, language), role in sorted(roles.items()):
        corpus = open_corpus(name, data)
        if not isinstance(corpus, ReleasedCorpus):
            continue
        try:
            beside = licence_file(corpus.file(language, role).parent)
        except MissingInputError:
            beside = None
        tasks = {job.task for job in tuned if job.corpus == name and language in job.languages}
        words = named(beside) if beside else corpus.licence or NOT_STATED
        file = beside.name if beside else ""
        found.append(Licence(corpus=name, language=language, tasks=sorted(tasks), licence=words, file=file))
    return found


def licence_file(folder: Path) -> Path | None:
    """Return a folder's licence file, the first by name, or None."""
    files = sorted(path for path in folder.iterdir() if path.name.upper().startswith(BEGINNINGS))
    return next((path for path in files if path.is_file()), None)


def named(path: Path) -> str:
    """Return a file's licence: "CC BY-SA 4.0", or the file's first line as it stands."""
    head = path.read_text(encoding="utf-8", errors="replace")[:HEAD]
    if found := ADDRESS.search(head):
        return f"CC {found['parts'].upper()} {found['version']}"
    if found := NAME.search(head):
        parts = [PARTS[part] for part in re.split(r"[ -]+", found["parts"].lower())]
        return f"CC {'-'.join(parts)} {found['version']}"
    first = next((line.strip() for line in head.splitlines() if line.strip(" =-#*\t")), "")
    return f"“{first[:QUOTED]}”" if first else NOT_STATED
