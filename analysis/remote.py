"""Results at a URI (``s3://BUCKET/full``): what is read of them is copied to this machine, without models."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.fs

from analysis.tables import AnalysisError

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_READ = ("surfaces/*/*/*.parquet", "geometry/*/*/*.parquet", "sweeps/*/*", "endpoints/*/*.json")
"""The files that the analysis reads; models, checkpoints and predictions are not among them."""
_AT_ONCE = 16


def is_remote(results: str) -> bool:
    """Return whether results are at a URI and not in a folder."""
    return _SCHEME.match(results) is not None


@contextmanager
def at_hand(results: str) -> Iterator[Path]:
    """Yield a folder with the results: their own, or, of those at a URI, a copy that is deleted afterwards.

    Raises:
        AnalysisError: if the URI is malformed or of an unknown kind, or the store cannot be read. Other
            errors that name the copy are changed to name the URI.
    """
    if not is_remote(results):
        yield Path(results)
        return
    with tempfile.TemporaryDirectory(prefix="xltray-analysis-") as folder:
        try:
            _copy(results, Path(folder))
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = str(error).replace(results, _shown(results))
            raise AnalysisError(f"{_shown(results)}: cannot be read ({reason})") from error
        try:
            yield Path(folder)
        except AnalysisError as error:
            raise type(error)(str(error).replace(folder, _shown(results))) from error


def default_output(results: str) -> Path:
    """Return where figures go: beside the results; of those at a URI, where a local run would have them."""
    if not is_remote(results):
        return Path(results) / "figures"
    return Path("results") / PurePosixPath(_shown(results)).name / "figures"


def _shown(uri: str) -> str:
    # A query may hold a secret, and so may what stands before the host.
    return re.sub("//.*@", "//", uri.split("?")[0]).rstrip("/")


def _copy(uri: str, folder: Path) -> None:
    store, root = pyarrow.fs.FileSystem.from_uri(uri)
    selector = pyarrow.fs.FileSelector(root, recursive=True, allow_not_found=True)
    paths = [
        PurePosixPath(found.path).relative_to(root)
        for found in store.get_file_info(selector)
        if found.type == pyarrow.fs.FileType.File
    ]

    def fetch(path: PurePosixPath) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with store.open_input_file(f"{root}/{path}") as file:
            target.write_bytes(file.read())

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(fetch, [path for path in paths if any(path.match(pattern) for pattern in _READ)]))
