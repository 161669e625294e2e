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
nothing (``files.py``). A folder counts once its DONE.json is there, which has the size and SHA-256 of each
file (``folders.py``); a surface or geometry counts if it is what was written (``tablefile.py``). What is in
the store decides what still has to run; nothing else does. Paths are relative to the root. Content is JSON,
Parquet, safetensors or text; nothing is pickled.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow.fs

from xltray.errors import StoreError
from xltray.folders import DONE, Folders
from xltray.jobs import FinetuneJob, Job, PretrainJob, SurfaceJob
from xltray.tablefile import DamagedTableError, check

WEIGHTS = "model.safetensors"
CHECKPOINTS = "checkpoints"
READERS = 16
"""Files that are read at once: each is a request where the store is remote."""
COUNTS_NO_MORE = "It counts no more; a run that takes its cell makes it anew."
"""What follows from damage of a surface or geometry; ``--only`` and the like may leave its cell out."""
# Without the parts of unfinished cells, which readers skip.
_SURFACE = re.compile(r"encoder=(?P<encoder>[^/]+)/task=(?P<task>[^/]+)/[^_./][^/]*\.parquet")


class Found(NamedTuple):
    """What the store has of some jobs: ids of those done; by path, what is wrong with a file of scores."""

    done: set[str]
    damaged: dict[str, str]


class Store(Folders):
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
        return all(map(self.is_whole, self._results(job)))

    def is_whole(self, path: str) -> bool:
        """Whether there is such a file, and if it is Parquet, whether it is what was written."""
        info = self._info(path)
        return bool(info.type == pyarrow.fs.FileType.File) and not self._damage(path, info)

    def damage(self, job: Job) -> str:
        """Return what is wrong with a result that is there, of a surface or geometry; nothing if none is."""
        infos = [(path, self._info(path)) for path in self._results(job)]
        there = [(path, info) for path, info in infos if info.type == pyarrow.fs.FileType.File]
        return next((problem for path, info in there if (problem := self._damage(path, info))), "")

    def done_ids(self, jobs: Iterable[Job]) -> set[str]:
        """Return the ids of the jobs whose results are complete."""
        return self.look_up(jobs).done

    def look_up(self, jobs: Iterable[Job]) -> Found:
        """Find out which jobs are done: lists each folder once, and reads each surface and geometry once."""
        results = {job.id: self._results(job) for job in jobs}
        folders: dict[str, bool] = {}
        for path in (path for paths in results.values() for path in paths):
            folder, name = path.rsplit("/", 1)
            # <kind>/<id>/DONE.json is looked up in a listing of <kind>, one for all ids.
            folders[folder.rsplit("/", 1)[0] if name == DONE else folder] = name == DONE
        files = {
            f"{folder}/{name}": info
            for folder, recursive in folders.items()
            for name, info in self._listing(folder, recursive)
            if info.type == pyarrow.fs.FileType.File
        }
        wanted = [path for paths in results.values() for path in paths if path in files]
        with ThreadPoolExecutor(READERS) as readers:
            problems = zip(
                wanted, readers.map(lambda path: self._damage(path, files[path]), wanted), strict=True
            )
            damaged = {path: problem for path, problem in problems if problem}
        whole = files.keys() - damaged.keys()
        return Found({job_id for job_id, paths in results.items() if whole.issuperset(paths)}, damaged)

    def drop_checkpoints(self, done: Container[str]) -> None:
        """Remove checkpoints of finished jobs, left by a process that was killed just then."""
        for name in self.names(CHECKPOINTS):
            if name in done:
                self.delete(self.checkpoints_path(name))

    # Inside

    @cached_property
    def _checked(self) -> dict[str, tuple[int, int]]:
        """Size and time of the files that were found to be whole."""
        return {}

    def _damage(self, path: str, info: Any) -> str:
        """Return what is wrong with a file; nothing is with one that is not Parquet."""
        state = info.size, info.mtime_ns
        if not path.endswith(".parquet") or self._checked.get(path) == state:
            return ""
        try:
            check(self.read_bytes(path))
        except DamagedTableError as error:
            return f"{path} in the store {self._shown} is damaged: {error}"
        except StoreError as error:
            if issubclass(error.kind, FileNotFoundError):
                return f"{path} in the store {self._shown} was removed just now"
            raise
        self._checked[path] = state
        return ""

    def _results(self, job: Job) -> tuple[str, ...]:
        if isinstance(job, PretrainJob):
            return (f"{self.encoder_path(job.id)}/{DONE}",)
        if isinstance(job, FinetuneJob):
            return (f"{self.endpoint_path(job.id)}/{DONE}",)
        return (self.surface_path(job), self.geometry_path(job))


def _partition(table: str, job: SurfaceJob) -> str:
    """Return the folder of a cell in the layout that pandas turns into columns."""
    return f"{table}/encoder={job.encoder.name}/task={job.task}"
