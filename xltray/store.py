"""The store: where every result lies, and how it gets there whole or not at all.

A store is a folder that ``pyarrow.fs`` can open: a local or NFS path, ``s3://``, ``gs://``. This
module is the only owner of paths and of commits:

    encoders/<id>/      encoders that xltray pretrained itself; DONE.json is written last
    endpoints/<id>/     spec.json  model.safetensors  history.parquet  DONE.json
    checkpoints/<job id>/                of a training that is under way (``resume.py``)
    surfaces/encoder=<name>/task=<task>/<cell id>.parquet        _<cell id>.parts/ while under way
    geometry/encoder=<name>/task=<task>/<cell id>.parquet
    predictions/<cell id>/<point>/<language>.conllu|iob2|tsv     gold/<language>.conllu beside the points
    sweeps/<name>/      the resolved sweep file, plan.json, failures.json

A file appears by one rename (disk) or one PUT (object store), so a reader sees all of it or
nothing. A folder counts once its DONE.json is there, which has the size and SHA-256 of each file.
What is in the store decides what still has to run; nothing else does. Paths are relative to the root.
Content is JSON, Parquet, safetensors or text; nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.fs

from xltray.errors import DamagedError, StoreError
from xltray.files import TEMPORARY, Files
from xltray.fingerprint import file_fingerprint
from xltray.jobs import FinetuneJob, Job, PretrainJob, SurfaceJob

DONE = "DONE.json"
BROKEN = "BROKEN.json"
WEIGHTS = "model.safetensors"
CHECKPOINTS = "checkpoints"
# Without the parts of unfinished cells, which readers skip.
_SURFACE = re.compile(r"encoder=(?P<encoder>[^/]+)/task=(?P<task>[^/]+)/[^_./][^/]*\.parquet")


class Store(Files):
    """The folders of results, and which of them are whole."""

    # Paths

    def encoder_path(self, encoder_id: str) -> str:
        """Return the folder of an encoder that xltray pretrained."""
        return f"encoders/{encoder_id}"

    def endpoint_path(self, endpoint_id: str) -> str:
        """Return the folder of an endpoint."""
        return f"endpoints/{endpoint_id}"

    def folder(self, job: Job) -> str:
        """Return the folder of what a job other than a surface makes."""
        return self.encoder_path(job.id) if isinstance(job, PretrainJob) else self.endpoint_path(job.id)

    def checkpoints_path(self, job_id: str) -> str:
        """Return the folder with checkpoints of a training that is under way."""
        return f"{CHECKPOINTS}/{job_id}"

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
            # It may be the copy alone. A new one is compared as it comes.
            shutil.rmtree(folder)
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
        self._download(path, self.read_bytes(f"{path}/{DONE}"), folder)

    def drop_checkpoints(self, done: Container[str]) -> None:
        """Remove checkpoints of finished jobs, left by a process that was killed just then."""
        for name in self.names(CHECKPOINTS):
            if name in done:
                self.delete(self.checkpoints_path(name))

    # Inside

    def _results(self, job: Job) -> tuple[str, ...]:
        if isinstance(job, PretrainJob):
            return (f"{self.encoder_path(job.id)}/{DONE}",)
        if isinstance(job, FinetuneJob):
            return (f"{self.endpoint_path(job.id)}/{DONE}",)
        return (self.surface_path(job), self.geometry_path(job))

    def _files(self, path: str, marker: bytes) -> dict[str, Any]:
        """Return what the content of DONE.json says of a published folder's files."""
        try:
            done = json.loads(marker)
        except ValueError as error:
            raise self._damaged(path, DONE, f"no JSON ({error})", "an object") from error
        files = done.get("files") if isinstance(done, dict) else None
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
        temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}{TEMPORARY}")

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
