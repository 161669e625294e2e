"""What a job reads is what the plan saw: a machine has files of its own, and they may change meanwhile.

Corpora are compared by their fingerprints, checkpoints in a folder by a hash of their files. What the hub
has is pinned by its commit.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from xltray.checkpoint_files import loaded_files
from xltray.checkpoints import folder_content, folder_of
from xltray.errors import CorpusError, MissingInputError, Problem
from xltray.jobs import EncoderRef


@contextmanager
def this_machines_files(what: str) -> Iterator[None]:
    """Let errors about corpora and checkpoints say on which machine: each reads what it has.

    Raises:
        MissingInputError: also for a file that goes while it is read.
        CorpusError: as it was raised, with the machine.
    """
    machine = socket.gethostname()
    try:
        yield
    except (MissingInputError, CorpusError) as error:
        raise type(error)(f"On machine {machine}: {error.heading}", error.problems) from error
    except FileNotFoundError as error:
        advice = (
            "Put it there, at the same path as on the machine that started the sweep (or let data.root be a "
            "folder that all machines share), and run the same command again."
        )
        problem = Problem(f"{what}, {error.filename}", "no such file", "it, as when the job began", advice)
        raise MissingInputError(f"On machine {machine}: a file is not there.", [problem]) from error


def check_unchanged(where: str, *, found: str, expected: str) -> None:
    """Compare a fingerprint with the one that the plan saw.

    Raises:
        CorpusError: if they differ.
    """
    if found != expected:
        problem = Problem(
            where,
            f"content {found[:12]}",
            f"{expected[:12]}, as when the sweep was planned",
            "The files changed, or are others here than where the sweep was started: start it again, or make "
            "them the same.",
        )
        raise CorpusError("What a job reads is not what the sweep was planned on.", [problem])


def check_checkpoint(ref: EncoderRef) -> None:
    """Compare a checkpoint in a folder with the one that the plan saw.

    Raises:
        CorpusError: if they differ.
    """
    if folder := folder_of(str(ref.checkpoint)):
        # What else lies there is not loaded: it may change, or be a link to nowhere.
        loaded = [folder / name for name in loaded_files(folder) if (folder / name).is_file()]
        stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in loaded]
        found = _content(folder, tuple(stamps))
        check_unchanged(f"encoder {ref.name}, {folder}", found=found, expected=ref.content)


@lru_cache(maxsize=16)
def _content(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> str:
    """Hash the files: once a process while they stay as they are, for it opens an encoder for every job."""
    return folder_content(folder)
