"""Reads a folder of Parquet files, one a cell, as one table; and the errors of the analysis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

CELL = ["encoder", "task", "source", "target", "seed"]
"""What a cell is of; two ids for the same are of different settings."""


class AnalysisError(Exception):
    """The results cannot be analysed as asked; ``exit_code`` is what the command returns."""

    exit_code = 2


class NothingThereError(AnalysisError):
    """There are no results to draw."""

    exit_code = 3


def read_table(
    folder: Path,
    columns: Sequence[str],
    *,
    filters: list[list[tuple[str, str, list[str]]]] | None = None,
    optional: str | None = None,
) -> pd.DataFrame:
    """Return ``columns`` of all files below a folder.

    Args:
        folder: may be absent, or empty: that gives no rows.
        columns: each file must have them.
        filters: which rows, as ``pandas.read_parquet`` takes it; None: all.
        optional: one more column, of text; null in the rows of files without it.

    Raises:
        AnalysisError: if a file is damaged, or a column missing.
    """
    wanted = [*columns, *([optional] if optional else [])]
    # The parts of a cell under way lie in a folder that starts with "_", which readers pass over.
    names = (path.relative_to(folder).parts for path in folder.rglob("*.parquet"))
    if all(any(part.startswith(("_", ".")) for part in name) for name in names):
        return pd.DataFrame({column: pd.Series(dtype=object) for column in wanted})
    try:
        schema = _schema_with(folder, optional) if optional else None
        frame = pd.read_parquet(str(folder), filters=filters, schema=schema, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise AnalysisError(
            f"{_damaged(folder)}: cannot be read as Parquet ({reason}). Delete it and run the sweep again."
        ) from error
    absent = [column for column in wanted if column not in frame.columns]
    if absent:
        raise AnalysisError(f"{folder}: columns missing: {', '.join(absent)}")
    return frame[wanted].astype({"encoder": str, "task": str})


def _schema_with(folder: Path, column: str) -> pa.Schema:
    """Return the schema of a folder with one more column.

    Readers take the first file's schema for all: a column that it lacks would be lost.
    """
    found = {field.name: field.type for field in pq.ParquetDataset(str(folder)).schema}
    # Folder names come as dictionaries, which a schema given beforehand cannot have.
    plain = {name: pa.string() if pa.types.is_dictionary(kind) else kind for name, kind in found.items()}
    return pa.schema(plain | {column: pa.string()})


def _damaged(folder: Path) -> Path:
    """Return the first file below that is no sound Parquet file; the folder if all seem sound."""
    for path in sorted(folder.rglob("*.parquet")):
        try:
            pq.ParquetFile(path, page_checksum_verification=True).read()
        except (OSError, pa.ArrowException):
            return path
    return folder
