"""Tables as Parquet files that tell whether they are still what was written.

The pages have checksums, which any reader can compare (``page_checksum_verification`` in pyarrow). They
leave out the footer, where a flipped bit may swap two columns. So the footer also has, under ``checksum``,
the SHA-256 of the whole file with zeros in place of that hash. Older files have neither, and stay readable.
"""

from __future__ import annotations

import hashlib
import re

import pyarrow as pa
import pyarrow.parquet as pq

# Not "xltray.", as what a file says of its making begins.
_KEY = b"checksum"
_PREFIX = b"xltray-sha256:"
_ZEROS = b"0" * 64
_MARK = re.compile(_PREFIX + rb"([0-9a-f]{64})")


class DamagedTableError(ValueError):
    """Bytes are not those of a Parquet file that was written."""


def encode(table: pa.Table) -> bytes:
    """Return a table as the bytes of a Parquet file."""
    table = _without_hash(table)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, compression="zstd", write_page_checksum=True) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_KEY.decode(): (_PREFIX + _ZEROS).decode()})
    data: bytes = sink.getvalue().to_pybytes()
    return data.replace(_PREFIX + _ZEROS, _PREFIX + hashlib.sha256(data).hexdigest().encode())


def decode(data: bytes) -> pa.Table:
    """Return the table of a Parquet file.

    Raises:
        DamagedTableError: if it is not what was written.
    """
    _compare(data)
    return _without_hash(_parse(data))


def check(data: bytes) -> None:
    """Find out whether a Parquet file is whole; one with a hash, without reading the table.

    Raises:
        DamagedTableError: if it is not what was written.
    """
    if not _compare(data):
        _parse(data)


def _compare(data: bytes) -> bool:
    """Return whether a file has a hash; DamagedTableError if it is another file's."""
    # In the bytes and not in the metadata: these may be what is damaged.
    marks = list(_MARK.finditer(data))
    if not marks:
        return False
    place = marks[-1].span(1)
    found = hashlib.sha256(data[: place[0]] + _ZEROS + data[place[1] :]).hexdigest()
    expected = marks[-1][1].decode()
    if found != expected:
        raise DamagedTableError(f"found SHA-256 {found[:12]}, expected {expected[:12]}")
    return True


def _parse(data: bytes) -> pa.Table:
    try:
        return pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DamagedTableError(next(iter(str(error).splitlines()), type(error).__name__)) from error


def _without_hash(table: pa.Table) -> pa.Table:
    metadata = table.schema.metadata or {}
    if _KEY not in metadata:
        return table
    return table.replace_schema_metadata(
        {key: value for key, value in metadata.items() if key != _KEY} or None
    )
