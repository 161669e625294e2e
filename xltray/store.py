"""The store: where every result lies, and how it gets there whole or not at all.

A store is a folder that ``pyarrow.fs`` can open: a local or NFS path, ``s3://``, ``gs://``. This
module is the only owner of paths and of commits:

    encoders/<id>/      encoders that xltray pretrained itself; DONE.json is written last
    endpoints/<id>/     spec.json  model.safetensors  history.parquet  DONE.json
    checkpoints/<endpoint id>/           of a fine-tuning that is under way (``resume.py``)
    surfaces/encoder=<name>/task=<task>/<cell id>.parquet        _<cell id>.parts/ while under way
    geometry/encoder=<name>/task=<task>/<cell id>.parquet
    predictions/<cell id>/<point>/<language>.conllu|iob2|tsv     gold/<language>.conllu beside the points
    sweeps/<name>/      the resolved sweep file, plan.json, failures.json

A file appears by one rename (disk) or one PUT (object store), so a reader sees all of it or
nothing. A folder counts once its DONE.json is there. What is in the store decides what still has
to run; nothing else does. Paths are relative to the root, with forward slashes. Content is JSON,
Parquet, safetensors or text; nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import shutil
import uuid
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from xltray.errors import StoreError, redacted
from xltray.fingerprint import file_fingerprint
from xltray.jobs import FinetuneJob, Job, PretrainJob, SurfaceJob

DONE = "DONE.json"
WEIGHTS = "model.safetensors"
_TEMPORARY = ".tmp"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
# Without the parts of unfinished cells, which readers skip.
_SURFACE = re.compile(r"encoder=(?P<encoder>[^/]+)/task=(?P<task>[^/]+)/[^_./][^/]*\.parquet")
# These have no folders, only keys with slashes: creating one would leave an empty marker object.
_FOLDERLESS = frozenset({"s3", "gcs", "abfs"})


class Store:
    """A folder tree on any file system, with atomic writes."""

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
    def from_filesystem(cls, filesystem: Any, root: str = "") -> Store:
        """Build a store on a ``pyarrow.fs.FileSystem`` that the caller has set up."""
        store = cls.__new__(cls)
        store.uri = f"{filesystem.type_name}://{root}"
        store._fs, store._root = filesystem, root
        return store

    def __repr__(self) -> str:
        return f"Store({self._shown!r})"

    # Paths

    def encoder_path(self, encoder_id: str) -> str:
        """Return the folder of an encoder that xltray pretrained."""
        return f"encoders/{encoder_id}"

    def endpoint_path(self, endpoint_id: str) -> str:
        """Return the folder of an endpoint."""
        return f"endpoints/{endpoint_id}"

    def checkpoints_path(self, endpoint_id: str) -> str:
        """Return the folder with checkpoints of an endpoint that is being fine-tuned."""
        return f"checkpoints/{endpoint_id}"

    def surface_path(self, job: SurfaceJob) -> str:
        """Return the Parquet file with the scores of a cell."""
        return f"{_partition('surfaces', job)}/{job.id}.parquet"

    def geometry_path(self, job: SurfaceJob) -> str:
        """Return the Parquet file with the norms and angles of a cell."""
        return f"{_partition('geometry', job)}/{job.id}.parquet"

    def parts_path(self, job: SurfaceJob) -> str:
        """Return the folder of an unfinished cell's rows; Parquet readers skip a leading underscore."""
        return f"{_partition('surfaces', job)}/_{job.id}.parts"

    def predictions_path(self, job: SurfaceJob) -> str:
        """Return the folder with what models of a cell predicted."""
        return f"predictions/{job.id}"

    def sweep_path(self, name: str) -> str:
        """Return the folder with what is known about a sweep as a whole."""
        return f"sweeps/{name}"

    def sweep_names(self) -> list[str]:
        """Return the names of the sweeps that were started in this store."""
        return self.names("sweeps")

    def partitions(self) -> list[tuple[str, str]]:
        """Return (encoder, task) of the scored cells, each once, in the order in which readers meet them."""
        found = (_SURFACE.fullmatch(path) for path, _ in sorted(self._listing("surfaces", recursive=True)))
        return list(dict.fromkeys((match["encoder"], match["task"]) for match in found if match))

    # Files

    def check_writable(self) -> None:
        """Write and remove a small file.

        Raises:
            StoreError: if that fails.
        """
        probe = f".probe-{uuid.uuid4().hex}{_TEMPORARY}"
        self.write_bytes(probe, b"xltray")
        self.delete(probe)

    def read_bytes(self, path: str) -> bytes:
        """Return the content of a file."""
        with self._explained("read", path), self._fs.open_input_file(self._at(path)) as file:
            return bytes(file.read())

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write a file, atomically; replaces one that is there."""

        def write(place: str) -> None:
            with self._fs.open_output_stream(place, compression=None) as file:
                file.write(data)

        self._commit(path, write)

    def read_json(self, path: str) -> Any:
        """Return what a JSON file holds."""
        content = self.read_bytes(path)
        try:
            return json.loads(content)
        except ValueError as error:
            raise StoreError(
                f"{path} in {self._shown} is not JSON: {error}. Delete it and run again."
            ) from error

    def write_json(self, path: str, value: Any) -> None:
        """Write a JSON file; ValueError for NaN and infinities, which JSON does not know."""
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        self.write_bytes(path, f"{text}\n".encode())

    def read_table(self, path: str) -> pa.Table:
        """Return the table of a Parquet file, without columns from its path."""
        with self._explained("read", path), self._fs.open_input_file(self._at(path)) as file:
            return pq.ParquetFile(file).read()

    def write_table(self, path: str, table: pa.Table) -> None:
        """Write a Parquet file."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self.write_bytes(path, sink.getvalue().to_pybytes())

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder."""
        return bool(self._type(path) != pyarrow.fs.FileType.NotFound)

    def names(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none if it is absent."""
        return sorted(name for name, _ in self._listing(path, recursive=False))

    def delete(self, path: str) -> None:
        """Remove a file or a folder with all that it holds; nothing happens if it is absent."""
        kind = self._type(path)
        if kind == pyarrow.fs.FileType.Directory and self.exists(f"{path}/{DONE}"):
            # First, so that a deletion cut short does not leave half a folder that counts.
            self.delete(f"{path}/{DONE}")
        with self._explained("delete", path):
            if kind == pyarrow.fs.FileType.Directory:
                self._fs.delete_dir(self._at(path))
            elif kind != pyarrow.fs.FileType.NotFound:
                self._fs.delete_file(self._at(path))

    # Results

    def is_done(self, job: Job) -> bool:
        """Whether a job's result is complete."""
        return all(self._type(path) == pyarrow.fs.FileType.File for path in self._results(job))

    def done_ids(self, jobs: Iterable[Job]) -> set[str]:
        """Return the ids of the jobs whose results are complete, with one listing a folder."""
        results = {job.id: self._results(job) for job in jobs}
        folders: dict[str, bool] = {}
        for path in (path for paths in results.values() for path in paths):
            folder, name = path.rsplit("/", 1)
            # <kind>/<id>/DONE.json is looked up in a listing of <kind>, one for all ids.
            folders[folder.rsplit("/", 1)[0] if name == DONE else folder] = name == DONE
        files = {
            f"{folder}/{name}"
            for folder, recursive in folders.items()
            for name, kind in self._listing(folder, recursive)
            if kind == pyarrow.fs.FileType.File
        }
        return {job_id for job_id, paths in results.items() if files.issuperset(paths)}

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
            files[name] = {"size": source.stat().st_size, "sha256": file_fingerprint(source)}
            self._commit(f"{path}/{name}", partial(self._copy_in, source))
        if not files:
            raise StoreError(f"cannot publish {path} in {self._shown}: found no files in {local}")
        self.write_json(f"{path}/{DONE}", {**done, "files": files})

    def local_directory(self, path: str) -> Path:
        """Return a published folder as one on this machine, downloading it if need be.

        Downloads are kept in ``$XDG_CACHE_HOME/xltray``. The name there includes a hash of
        DONE.json, so a folder that was deleted and made again is fetched again.

        Raises:
            StoreError: if the folder is absent or incomplete.
        """
        marker = self.read_bytes(f"{path}/{DONE}")
        if self._is_local:
            return Path(self._at(path))
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xltray"
        content = hashlib.sha256(marker).hexdigest()[:16]
        folder = cache / hashlib.sha256(self.uri.encode()).hexdigest()[:16] / content / path
        if not folder.exists():
            self._download(path, marker, folder)
        return folder

    def fetch_directory(self, path: str, folder: Path) -> None:
        """Copy a published folder to one on this machine that is not there yet.

        Raises:
            StoreError: if it is absent, incomplete, or not what was written.
        """
        self._download(path, self.read_bytes(f"{path}/{DONE}"), folder)

    def drop_checkpoints(self, done: Container[str]) -> None:
        """Remove checkpoints of finished endpoints, left by a process that was killed just then."""
        for name in self.names("checkpoints"):
            if name in done:
                self.delete(self.checkpoints_path(name))

    # Inside

    @property
    def _is_local(self) -> bool:
        return bool(self._fs.type_name == "local")

    @property
    def _shown(self) -> str:
        """The URI as messages may show it."""
        return redacted(self.uri)

    def _at(self, path: str) -> str:
        return posixpath.join(self._root, path) if path else self._root

    def _results(self, job: Job) -> tuple[str, ...]:
        if isinstance(job, PretrainJob):
            return (f"{self.encoder_path(job.id)}/{DONE}",)
        if isinstance(job, FinetuneJob):
            return (f"{self.endpoint_path(job.id)}/{DONE}",)
        return (self.surface_path(job), self.geometry_path(job))

    def _type(self, path: str) -> Any:
        with self._explained("look up", path):
            return self._fs.get_file_info(self._at(path)).type

    def _listing(self, path: str, recursive: bool) -> Iterator[tuple[str, Any]]:
        """Yield (path below ``path``, type), leaving out files that are still being written."""
        base = self._at(path)
        selector = pyarrow.fs.FileSelector(base, allow_not_found=True, recursive=recursive)
        with self._explained("list", path):
            found = self._fs.get_file_info(selector)
        for info in found:
            if not info.base_name.endswith(_TEMPORARY):
                yield info.path.removeprefix(base).strip("/"), info.type

    def _commit(self, path: str, write: Callable[[str], None]) -> None:
        """Let ``write`` fill a place, and make it visible as ``path`` in one step."""
        place = self._at(path)
        folder, _, name = place.rpartition("/")
        with self._explained("write", path):
            if folder and self._fs.type_name not in _FOLDERLESS:
                self._fs.create_dir(folder, recursive=True)
            if not self._is_local:
                write(place)
                return
            temporary = f"{folder}/.{name}.{uuid.uuid4().hex}{_TEMPORARY}"
            try:
                write(temporary)
                self._fs.move(temporary, place)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise

    def _copy_in(self, source: Path, place: str) -> None:
        pyarrow.fs.copy_files(str(source), place, pyarrow.fs.LocalFileSystem(), self._fs)

    def _download(self, path: str, marker: bytes, folder: Path) -> None:
        """Fetch the files that DONE.json names; ``folder`` appears when all are there and intact."""
        temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}{_TEMPORARY}")
        try:
            with self._explained("download", path):
                for name, expected in json.loads(marker)["files"].items():
                    target = temporary / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    place = self._at(f"{path}/{name}")
                    pyarrow.fs.copy_files(place, str(target), self._fs, pyarrow.fs.LocalFileSystem())
                    if (found := file_fingerprint(target)) != expected["sha256"]:
                        raise StoreError(
                            f"{path}/{name} in {self._shown} is not what was written: found SHA-256 {found}, "
                            f"expected {expected['sha256']}. Delete {path} from the store and run again."
                        )
                (temporary / DONE).write_bytes(marker)
                _rename_folder(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @contextmanager
    def _explained(self, verb: str, path: str = "") -> Iterator[None]:
        """Turn what the file system raises into an error that says where and what to do."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            reason = redacted(next(iter(str(error).splitlines()), type(error).__name__))
            what = f"{path} in the store {self._shown}" if path else f"the store {self._shown}"
            raise StoreError(f"cannot {verb} {what}: {reason}. {_advice(verb, error)}") from error


def _partition(table: str, job: SurfaceJob) -> str:
    """Return the folder of a cell in the layout that pandas turns into columns."""
    return f"{table}/encoder={job.encoder.name}/task={job.task}"


def _rename_folder(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        # Another process of this machine has just fetched the same folder: its copy will do.
        if not target.exists():
            raise


def _advice(verb: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and verb in ("read", "download"):
        return "Run the sweep again: it makes what is missing."
    if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
        return "A file lies where a folder is needed, or the reverse: move it away, or change `storage`."
    if isinstance(error, PermissionError):
        return "Ask for access, or change `storage`."
    if isinstance(error, pa.ArrowInvalid) and verb == "read":
        return "The file is damaged: delete it and run the sweep again."
    if isinstance(error, pa.ArrowInvalid) and verb == "open":
        return (
            "Give `storage` a path, or a URI such as s3://bucket/folder, gs://bucket/folder, file:///folder."
        )
    return "Check `storage`, the network, the credentials and the space left."
