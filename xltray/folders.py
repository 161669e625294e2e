"""Folders of the store that count as a whole: with a DONE.json that is written last.

It has the size and SHA-256 of each file, so that what was cut short or changed since is found before
anything is made of it. Folders of an object store are downloaded once, and compared as they come.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.fs

from xltray.copies import aside, make_room, mark_used, remove
from xltray.errors import DamagedError, StoreError
from xltray.files import Files
from xltray.fingerprint import file_fingerprint

DONE = "DONE.json"
BROKEN = "BROKEN.json"


class Folders(Files):
    """Files, and folders of them that are there whole or not at all."""

    def delete(self, path: str) -> None:
        """Remove a file or a folder with all that it holds; nothing happens if it is absent."""
        # First, so that a deletion cut short does not leave half a folder that counts.
        super().delete(f"{path}/{DONE}")
        super().delete(path)

    def publish_directory(self, local: Path, path: str, done: Mapping[str, Any]) -> None:
        """Copy every file of a local folder to ``path``, then write its DONE.json.

        DONE.json holds ``done`` and, under ``files``, each file's size and SHA-256.
        """
        # Work done again after a mishap: until all of it is replaced, the folder does not count.
        self.delete(f"{path}/{DONE}")
        names = sorted(file.relative_to(local).as_posix() for file in local.rglob("*") if file.is_file())
        files = {}
        for name in (name for name in names if name != DONE):
            source = local / name
            size = source.stat().st_size
            files[name] = {"size": size, "sha256": file_fingerprint(source)}
            self._commit(f"{path}/{name}", partial(self._copy_in, source))
            self.written += size
        if not files:
            raise StoreError(f"cannot publish {path} in {self._shown}: found no files in {local}")
        self.write_json(f"{path}/{DONE}", {**done, "files": files})
        self.delete(f"{path}/{BROKEN}")

    def local_directory(self, path: str) -> Path:
        """Return a published folder as one on this machine, downloading it if need be.

        Downloads are kept in ``$XDG_CACHE_HOME/xltray`` while there is room (``copies.py``). The name
        there includes a hash of DONE.json, so a folder that was deleted and made again is fetched again.

        Raises:
            StoreError: if the folder is absent or incomplete.
        """
        marker = self._marker(path)
        if self._is_local:
            return Path(self._at(path))
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xltray"
        content = hashlib.sha256(marker).hexdigest()[:16]
        folder = cache / hashlib.sha256(self.uri.encode()).hexdigest()[:16] / content / path
        if not folder.exists():
            make_room(cache, sum(file["size"] for file in self._files(path, marker).values()), DONE)
            self._download(path, marker, folder)
        mark_used(folder / DONE)
        return folder

    def intact_directory(self, path: str) -> Path:
        """Return a published folder as one on this machine, after comparing all of it with DONE.json.

        Raises:
            DamagedError: if a file is not what was written.
            StoreError: if the folder is absent.
        """
        folder = self.local_directory(path)
        files = self._files(path, self.read_bytes(f"{path}/{DONE}"))
        with suppress(StoreError):
            # What is not there yet as this machine sees it is no damage.
            self._patiently("read", path, lambda: [(folder / name).stat() for name in files])
        try:
            self._compare(path, files, folder)
        except DamagedError:
            if self._is_local:
                raise
            # It may be the copy alone, which another process may have removed by now. A new one is compared
            # as it comes.
            remove(folder)
            folder = self.local_directory(path)
        return folder

    def check_sizes(self, path: str) -> None:
        """Compare the sizes of a published folder's files with DONE.json; reads no file but that.

        Raises:
            DamagedError: if a file is longer or shorter than what was written, or gone, or DONE.json is
                not what xltray writes.
        """
        files = self._files(path, self.read_bytes(f"{path}/{DONE}"))
        places = [self._at(f"{path}/{name}") for name in files]
        found = self._patiently("look up", path, lambda: self._fs.get_file_info(places))
        for (name, expected), info in zip(files.items(), found, strict=True):
            if info.size != expected["size"]:
                raise self._damaged(path, name, _size(info.size), _size(expected["size"]))

    def read_done(self, path: str) -> dict[str, Any]:
        """Return what the DONE.json of a published folder says.

        Raises:
            DamagedError: if that is not what xltray writes.
            StoreError: if there is none.
        """
        return self._done(path, self.read_bytes(f"{path}/{DONE}"))

    def recorded_hash(self, path: str, name: str) -> str:
        """Return the SHA-256 that the DONE.json of a published folder gives for a file.

        Raises:
            DamagedError: if it gives none.
            StoreError: if there is no such folder.
        """
        recorded = self._files(path, self.read_bytes(f"{path}/{DONE}")).get(name)
        if recorded is None:
            raise self._damaged(path, DONE, f"nothing about {name}", "its size and SHA-256")
        return str(recorded["sha256"])

    def set_aside(self, damage: DamagedError) -> None:
        """Let a damaged folder count no more, so that it is made anew; its BROKEN.json says why."""
        self.write_json(f"{damage.folder}/{BROKEN}", {"problem": damage.problem})
        self.delete(f"{damage.folder}/{DONE}")

    def fetch_directory(self, path: str, folder: Path) -> None:
        """Copy a published folder to one on this machine that is not there yet.

        Raises:
            DamagedError: if a file is not what was written.
            StoreError: if it is absent or incomplete.
        """
        self._download(path, self._marker(path), folder)

    # Inside

    def _marker(self, path: str) -> bytes:
        """Return the content of DONE.json; what was set aside is not waited for.

        Raises:
            StoreError: if there is none.
        """
        if not self.exists(f"{path}/{DONE}") and self.exists(f"{path}/{BROKEN}"):
            problem = self.read_json(f"{path}/{BROKEN}")["problem"]
            raise StoreError(
                f"{path} in the store {self._shown} was set aside. {problem}. "
                "Run the sweep again: it is made anew."
            )
        return self.read_bytes(f"{path}/{DONE}")

    def _done(self, path: str, marker: bytes) -> dict[str, Any]:
        """Return the content of DONE.json as an object."""
        try:
            done = json.loads(marker)
        except ValueError as error:
            raise self._damaged(path, DONE, f"no JSON ({error})", "an object") from error
        if not isinstance(done, dict):
            raise self._damaged(path, DONE, "no object", "one")
        return done

    def _files(self, path: str, marker: bytes) -> dict[str, Any]:
        """Return what the content of DONE.json says of a published folder's files."""
        files = self._done(path, marker).get("files")
        if not isinstance(files, dict) or not all(map(_is_entry, files.values())):
            raise self._damaged(path, DONE, "no list of files", "one with the size and SHA-256 of each")
        return files

    def _compare(self, path: str, files: Mapping[str, Any], folder: Path) -> None:
        """Compare files on this machine with what was written to ``path``; DamagedError if they differ."""
        for name, expected in files.items():
            local = folder / name
            if not local.is_file():
                raise self._damaged(path, name, "no such file", _size(expected["size"]))
            if (size := local.stat().st_size) != expected["size"]:
                raise self._damaged(path, name, _size(size), _size(expected["size"]))
            if (found := file_fingerprint(local)) != expected["sha256"]:
                raise self._damaged(path, name, f"SHA-256 {found[:12]}", expected["sha256"][:12])

    def _damaged(self, path: str, name: str, found: str, expected: str) -> DamagedError:
        problem = f"{path}/{name} in the store {self._shown} has changed since it was written"
        return DamagedError(path, f"{problem}: found {found}, expected {expected}")

    def _download(self, path: str, marker: bytes, folder: Path) -> None:
        """Fetch the files that DONE.json names; ``folder`` appears when all are there and intact."""
        files = self._files(path, marker)
        temporary = aside(folder)

        def fetch() -> None:
            for name, expected in files.items():
                target = temporary / name
                target.parent.mkdir(parents=True, exist_ok=True)
                place = self._at(f"{path}/{name}")
                pyarrow.fs.copy_files(place, str(target), self._fs, pyarrow.fs.LocalFileSystem())
                self._compare(path, {name: expected}, temporary)
            (temporary / DONE).write_bytes(marker)
            _rename_folder(temporary, folder)

        try:
            self._patiently("download", path, fetch)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _is_entry(value: Any) -> bool:
    """Whether it is what DONE.json says of a file."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("size"), int)
        and isinstance(value.get("sha256"), str)
    )


def _size(size: int | None) -> str:
    return "no such file" if size is None else f"{size:,} bytes"


def _rename_folder(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        # Another process of this machine has just fetched the same folder: its copy will do.
        if not target.exists():
            raise
