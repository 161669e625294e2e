"""One try to fetch each item that a sweep reads and that is not there."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from huggingface_hub import is_offline_mode

from xltray.checkpoint_files import cached_checkpoint
from xltray.checkpoints import absent_folder, checkpoint_problems, folder_of
from xltray.corpora.downloads import ArchiveDownload, Download, GitDownload, HubDownload
from xltray.corpora.text import text_file
from xltray.errors import INTERRUPTED, MissingInputError, Problem
from xltray.fetch.hub import fetch_checkpoint, fetch_dataset, list_checkpoint
from xltray.fetch.lock import locked
from xltray.fetch.needs import Needed, needs
from xltray.fetch.record import record_source
from xltray.fetch.release import clone, unpack
from xltray.fetch.screen import Screen, amount
from xltray.spec import SweepSpec
from xltray.spec_types import Role

_ROOM = ("room to fetch into", "Check space and permissions, and run again")


class Piece(NamedTuple):
    """What is fetched of a language: for which roles, and from where."""

    item: Needed
    roles: tuple[Role, ...]
    download: Download


Batch = Sequence[Piece]


def fetch(sweep: SweepSpec) -> int:
    """Fetch all that a sweep reads and that is not there, saying so; return the exit code.

    Raises:
        MissingInputError: with everything that could not be fetched, after all of it was tried.
    """
    fetching = _Fetching(sweep)
    try:
        fetching.corpora()
        fetching.texts()
        fetching.encoders()
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on: what is complete is kept.", file=sys.stderr)
        return INTERRUPTED
    fetching.raise_failures()
    fetching.screen.say("All there. Next, with the same arguments: python -m xltray.data check")
    return 0


class _Fetching:
    """One run: the sweep, what the user sees, and what failed so far."""

    def __init__(self, sweep: SweepSpec) -> None:
        self.sweep = sweep
        self.screen = Screen()
        self.root = Path(sweep.data.root).expanduser()
        self.failures: list[Problem] = []

    def raise_failures(self) -> None:
        """Raise everything that failed, each problem once."""
        if self.failures:
            heading = "Not all that the sweep reads is there."
            if is_offline_mode():
                heading = (
                    f"HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set: nothing can be fetched. {heading}"
                )
            raise MissingInputError(heading, list(dict.fromkeys(self.failures)))

    def _fail(self, name: str, problems: Iterable[Problem]) -> None:
        self.failures += problems
        self.screen.say(f"{name}: {'missing' if is_offline_mode() else 'FAILED'}")

    def corpora(self) -> None:
        """Fetch the missing languages of each corpus."""
        needed, without_files = needs(self.sweep)
        for name in without_files:
            self.screen.say(f"{name}: made on the spot, nothing to fetch")
        batches: dict[Hashable, list[Piece]] = {}
        for item in needed:
            roles, problems = item.missing()
            download = item.download(roles)
            if not roles:
                self.screen.say(f"{item.name}: already there{self._other_source(item)}")
            elif download is None or (is_offline_mode() and not _is_here(download)):
                self._fail(item.name, problems)
            elif refused := _outside(item, download) or self._in_the_way(download):
                self._fail(item.name, [*problems, refused])
            else:
                # An archive is read once for all its treebanks; one treebank may serve two languages.
                key = download.archive if isinstance(download, ArchiveDownload) else download
                batches.setdefault(key, []).append(Piece(item, roles, download))
        if batches:
            self._locked(batches.values())

    def _locked(self, batches: Iterable[Batch]) -> None:
        """Fetch batches while no other process fetches into the same data root."""
        try:
            with locked(self.root, self.screen.say):
                for batch in batches:
                    if missing := self._still_missing(batch):
                        self._fetch(missing)
        except OSError as error:
            self._fail(str(self.root), [Problem(str(self.root), str(error), *_ROOM)])

    def _still_missing(self, batch: Batch) -> Batch:
        """Return what another process did not bring while this one waited."""
        missing = [piece for piece in batch if piece.item.missing()[0]]
        for piece in batch:
            if piece not in missing:
                self.screen.say(f"{piece.item.name}: already there")
        return missing

    def texts(self) -> None:
        """Say which files to pretrain on are there; only the user knows where they come from."""
        pretrained = [encoder.pretrain for encoder in self.sweep.encoders.values() if encoder.pretrain]
        for name in dict.fromkeys(name for spec in pretrained for name in spec.text):
            try:
                text_file(self.sweep.data, name)
                self.screen.say(f"text {name}: already there")
            except MissingInputError as error:
                self._fail(f"text {name}", error.problems)

    def encoders(self) -> None:
        """Fetch the checkpoints that are hub ids, each once."""
        names: dict[tuple[str, str], list[str]] = {}
        for name, encoder in self.sweep.encoders.items():
            if encoder.checkpoint:
                names.setdefault((encoder.checkpoint, encoder.revision), []).append(name)
        for (checkpoint, revision), encoders in names.items():
            name = f"encoder {', '.join(encoders)}"
            try:
                self.screen.say(f"{name}: {self._encoder(name, checkpoint, revision)}")
            except MissingInputError as error:
                self._fail(name, error.problems)
            except OSError as error:
                self._fail(name, [Problem("the hub's cache", str(error), *_ROOM)])

    def _encoder(self, name: str, checkpoint: str, revision: str) -> str:
        """Fetch a checkpoint; return what to say of it."""
        local = folder_of(checkpoint) or absent_folder(checkpoint)
        if local or is_offline_mode():
            _raise_unusable(checkpoint, revision)
            return f"a folder of this machine ({checkpoint}), nothing to fetch" if local else "already there"
        try:
            listing = list_checkpoint(checkpoint, revision)
        except MissingInputError as error:
            if not cached_checkpoint(checkpoint, revision):
                raise
            _raise_unusable(checkpoint, revision)
            return f"in the hub's cache; the hub itself could not be asked ({error.problems[0].found})"
        return fetch_checkpoint(listing, checkpoint, revision, name, self.screen)

    def _other_source(self, item: Needed) -> str:
        """Return what to say where something was fetched from elsewhere than the sweep file now names."""
        download = item.download(item.roles)
        try:
            sources = item.recorded(self.root).values()
        except MissingInputError:
            return ""
        other = [source for source in sources if download and not download.asked.items() <= source.items()]
        if not other:
            return ""
        was = ", ".join(str(value) for value in other[0].values())
        return f", from {was}, which is not what data.sources names; move it away to fetch that"

    def _in_the_way(self, download: Download) -> Problem | None:
        """Return what is wrong where a release's folder is there and lacks files: it is left alone."""
        folder = self.root / download.folder
        if isinstance(download, HubDownload) or not folder.exists():
            return None
        if folder.is_dir() and not any(folder.iterdir()):
            return None
        advice = "Move it away to have all of it fetched"
        return Problem(str(folder), "a folder that lacks files", "all of them, or no such folder", advice)

    def _fetch(self, batch: Batch) -> None:
        """Fetch what comes in one piece, record it, and look whether it is what was needed."""
        name = ", ".join(piece.item.name for piece in batch)
        try:
            recorded, problems = self._parts(name, batch)
            for item, roles, download in batch:
                for part in item.parts(download, roles):
                    if part in recorded:
                        record_source(self.root, item.corpus.name, part, download.asked | recorded[part])
        except MissingInputError as error:
            self._fail(name, error.problems)
            return
        except OSError as error:
            self._fail(name, [Problem(str(self.root), str(error), *_ROOM)])
            return
        for item, _, download in batch:
            if missing := item.missing()[1]:
                self._fail(item.name, problems.get(download.folder, missing))
            else:
                self.screen.say(f"{item.name}: done{self._size(download)}")

    def _size(self, download: Download) -> str:
        """Return how much a release's folder has; of the hub's files that was said before."""
        if isinstance(download, HubDownload):
            return ""
        sizes = [path.stat().st_size for path in (self.root / download.folder).rglob("*") if path.is_file()]
        return f", {amount(sum(sizes))} in {len(sizes)} files"

    def _parts(self, name: str, batch: Batch) -> tuple[dict[str, dict[str, str]], dict[str, list[Problem]]]:
        """Fetch; return what to record about each part of the corpus, and what folders are not whole."""

        def check(place: Path, folder: str) -> list[Problem]:
            items = [piece.item for piece in batch if piece.download.folder == folder]
            return [problem for item in items for problem in item.missing_at(place, self.sweep.data)]

        item, roles, download = batch[0]
        if isinstance(download, HubDownload):
            source = fetch_dataset(download, self.root, name, self.screen)
            return dict.fromkeys(item.parts(download, roles), source), {}
        if isinstance(download, GitDownload):
            self.screen.say(f"{name}: fetching {download.url} at {download.tag}")
            with self.screen.under_way(name):
                commit = clone(download, self.root, check)
            return {download.folder: commit} if commit else {}, {}
        self.screen.say(f"{name}: fetching from {download.archive}")
        with self.screen.under_way(name) as under_way:
            wanted = {each.download for each in batch if isinstance(each.download, ArchiveDownload)}
            return unpack(wanted, self.root, under_way, check)


def _raise_unusable(checkpoint: str, revision: str) -> None:
    if problems := checkpoint_problems(checkpoint, revision):
        raise MissingInputError("No encoder", problems)


def _outside(item: Needed, download: Download) -> Problem | None:
    """Return what is wrong with a folder's name that leads out of the data root; none is written there."""
    folder = PurePath(download.folder)
    if folder.name and not folder.is_absolute() and ".." not in folder.parts:
        return None
    expected = "a folder below the data root; nothing is fetched into others"
    advice = f"Check data.treebanks.{item.language}.treebank"
    return Problem(item.name, f"the folder {download.folder!r}", expected, advice)


def _is_here(download: Download) -> bool:
    """Return whether fetching needs no network."""
    return isinstance(download, ArchiveDownload) and download.path is not None
