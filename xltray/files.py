"""Files below a root on any file system, read and written whole.

A file appears by one rename (disk) or one PUT (object store), so a reader sees all of it or nothing.
Paths are relative to the root, with forward slashes.
"""

from __future__ import annotations

import errno
import json
import os
import posixpath
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import pyarrow as pa
import pyarrow.fs

from xltray.credentials import redacted, redacted_value, secret_in
from xltray.errors import DamagedFileError, StoreError
from xltray.tablefile import DamagedTableError, decode, encode

TEMPORARY = ".tmp"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
# These have no folders, only keys with slashes: creating one would leave an empty marker object.
_FOLDERLESS = frozenset({"s3", "gcs", "abfs"})

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Of an OSError, what says that nothing can be written there for now."""
_LASTING = (FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
_READING = ("read", "download")
# As Arrow words what S3 says for good.
_REFUSALS = ("ACCESS_DENIED", "NO_SUCH_BUCKET", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH")

PATIENCE_SECONDS = 120.0
"""How long a running sweep bears with a store that fails."""
ABSENCE_SECONDS = 70.0
"""How long a job bears with a file that is not there: machines on NFS may go on for a minute to believe that
of a file that another one has just written."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 15.0

_Result = TypeVar("_Result")


class Files:
    """A folder tree on any file system, with atomic writes.

    What may pass (a network that stalls, a server that is restarted) is tried again for ``patience``
    seconds; none by default, so that a wrong address is told at once. What is to be read and is not there
    is waited for ``absence_patience`` seconds.
    """

    patience = 0.0
    absence_patience = 0.0
    written = 0
    """Bytes that were written through this object."""

    def __init__(self, uri: str) -> None:
        """Open a local path (relative ones become absolute) or a URI.

        Raises:
            StoreError: if the URI is malformed, of an unknown kind, or cannot be reached.
        """
        if not _SCHEME.match(uri):
            uri = os.path.abspath(Path(uri).expanduser())  # noqa: PTH100  (Path has no lexical equivalent)
        self.uri = uri
        with self._explained("open"):
            self._fs, self._root = pyarrow.fs.FileSystem.from_uri(uri)

    @classmethod
    def from_filesystem(cls, filesystem: Any, root: str = "") -> Self:
        """Build one on a ``pyarrow.fs.FileSystem`` that the caller has set up."""
        store = cls.__new__(cls)
        store.uri = f"{filesystem.type_name}://{root}"
        store._fs, store._root = filesystem, root
        return store

    def __repr__(self) -> str:
        return f"Store({self._shown!r})"

    def __str__(self) -> str:
        return self._shown

    def check_writable(self) -> None:
        """Write and remove a small file.

        Raises:
            StoreError: if that fails.
        """
        probe = f".probe-{uuid.uuid4().hex}{TEMPORARY}"
        self.write_bytes(probe, b"xltray")
        self.delete(probe)

    def read_bytes(self, path: str) -> bytes:
        """Return the content of a file."""

        def read() -> bytes:
            with self._fs.open_input_file(self._at(path)) as file:
                return bytes(file.read())

        return self._patiently("read", path, read)

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write a file, atomically; replaces one that is there."""

        def write(place: str) -> None:
            with self._fs.open_output_stream(place, compression=None) as file:
                file.write(data)

        self._commit(path, write)
        self.written += len(data)

    def read_json(self, path: str) -> Any:
        """Return what a JSON file holds."""
        content = self.read_bytes(path)
        try:
            return json.loads(content)
        except ValueError as error:
            failure = StoreError(f"{path} in {self._shown} is not JSON: {error}. Delete it and run again.")
            failure.kind = ValueError
            raise failure from error

    def write_json(self, path: str, value: Any) -> None:
        """Write a JSON file; ValueError for NaN and infinities, which JSON does not know."""
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        self.write_bytes(path, f"{text}\n".encode())

    def read_table(self, path: str) -> pa.Table:
        """Return the table of a Parquet file, without columns from its path.

        Raises:
            DamagedFileError: if it is not what was written.
        """
        data = self.read_bytes(path)
        try:
            return decode(data)
        except DamagedTableError as error:
            problem = f"cannot read {path} in the store {self._shown}: {error}"
            advice = "The file is damaged: delete it and run the sweep again."
            raise DamagedFileError(f"{problem}. {advice}") from error

    def write_table(self, path: str, table: pa.Table) -> None:
        """Write a Parquet file."""
        self.write_bytes(path, encode(table))

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder."""
        return bool(self._type(path) != pyarrow.fs.FileType.NotFound)

    def names(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none if it is absent."""
        return sorted(name for name, _ in self._listing(path, recursive=False))

    def delete(self, path: str) -> None:
        """Remove a file or a folder with all that it holds; nothing happens if it is absent."""

        def remove() -> None:
            kind = self._type(path)
            if kind == pyarrow.fs.FileType.Directory:
                self._fs.delete_dir(self._at(path))
            elif kind != pyarrow.fs.FileType.NotFound:
                self._fs.delete_file(self._at(path))

        self._patiently("delete", path, remove)

    # Inside

    @property
    def _is_local(self) -> bool:
        return bool(self._fs.type_name == "local")

    @property
    def _shown(self) -> str:
        """The URI as messages may show it."""
        return redacted_value(self.uri)

    def _at(self, path: str) -> str:
        return posixpath.join(self._root, path) if path else self._root

    def _type(self, path: str) -> Any:
        return self._info(path).type

    def _info(self, path: str) -> Any:
        return self._patiently("look up", path, lambda: self._fs.get_file_info(self._at(path)))

    def _listing(self, path: str, recursive: bool) -> Iterator[tuple[str, Any]]:
        """Yield (path below ``path``, its FileInfo), leaving out files that are still being written."""
        base = self._at(path)
        selector = pyarrow.fs.FileSelector(base, allow_not_found=True, recursive=recursive)

        def look() -> Any:
            try:
                return self._fs.get_file_info(selector)
            except FileNotFoundError:
                # A folder that came or went while pyarrow looked, allow_not_found or not: look once more.
                return self._fs.get_file_info(selector)

        for info in self._patiently("list", path, look):
            if not info.base_name.endswith(TEMPORARY):
                yield info.path.removeprefix(base).strip("/"), info

    def _commit(self, path: str, write: Callable[[str], None]) -> None:
        """Let ``write`` fill a place, and make it visible as ``path`` in one step."""
        place = self._at(path)
        folder, _, name = place.rpartition("/")

        def commit() -> None:
            if folder and self._fs.type_name not in _FOLDERLESS:
                self._fs.create_dir(folder, recursive=True)
            if not self._is_local:
                write(place)
                return
            temporary = f"{folder}/.{name}.{uuid.uuid4().hex}{TEMPORARY}"
            try:
                write(temporary)
                self._fs.move(temporary, place)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise

        self._patiently("write", path, commit)

    def _copy_in(self, source: Path, place: str) -> None:
        pyarrow.fs.copy_files(str(source), place, pyarrow.fs.LocalFileSystem(), self._fs)

    def _patiently(self, verb: str, path: str, action: Callable[[], _Result]) -> _Result:
        """Do something with the file system, again if what went wrong may pass."""
        begin, pause = time.monotonic(), FIRST_PAUSE_SECONDS
        while True:
            try:
                with self._explained(verb, path):
                    return action()
            except StoreError as error:
                absent = issubclass(error.kind, FileNotFoundError)
                patience = self.absence_patience if absent else self.patience
                if time.monotonic() + pause > begin + patience or not error.may_pass:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    @contextmanager
    def _explained(self, verb: str, path: str = "") -> Iterator[None]:
        """Turn what the file system raises into an error that says where and what to do."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            said = next(iter(str(error).splitlines()), type(error).__name__)
            # Arrow may name a part of a malformed URI, in which a secret is not told from the rest.
            reason = type(error).__name__ if secret_in(self.uri) else redacted(said)
            what = f"{path} in the store {self._shown}" if path else f"the store {self._shown}"
            failure = StoreError(f"cannot {verb} {what}: {reason}. {_advice(verb, error)}")
            failure.may_pass, failure.kind = _may_pass(verb, error), type(error)
            # A traceback would show what was hidden here.
            raise failure from (error if reason == said else None)


def _may_pass(verb: str, error: Exception) -> bool:
    if isinstance(error, FileNotFoundError):
        return verb in _READING
    if not isinstance(error, OSError) or isinstance(error, _LASTING):
        return False
    return error.errno not in NO_ROOM and not any(word in str(error) for word in _REFUSALS)


def _advice(verb: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and verb in _READING:
        return "Run the sweep again: it makes what is missing."
    if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
        return "A file lies where a folder is needed, or the reverse: move it away, or change `storage`."
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        if verb == "download":
            return (
                "Make room on this machine, in ~/.cache/xltray (or $XDG_CACHE_HOME/xltray) and in the folder "
                "for temporary files; the same command goes on."
            )
        return "Make room where the store is, or change `storage`; the same command goes on."
    if isinstance(error, PermissionError):
        return "Ask for access, or change `storage`."
    if isinstance(error, pa.ArrowInvalid) and verb == "open":
        return (
            "Give `storage` a path, or a URI such as s3://bucket/folder, gs://bucket/folder, file:///folder."
        )
    return "Check `storage`, the network, the credentials and the space left."
