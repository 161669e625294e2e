"""Parquet files that tell whether they are what was written."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xltray.tablefile import DamagedTableError, check, decode, encode

FLIPS = 600
# As varied as a surface: several columns of a type, so that a footer may swap them, text, nulls, metadata.
COLUMNS = {
    "scope": pa.array([["all", "encoder", "head"][n // 3 % 3] for n in range(120)]),
    "metric": pa.array([["las", "uas"][n % 2] for n in range(120)]),
    "correct": pa.array([n * n % 97 for n in range(120)], pa.int32()),
    "gold": pa.array([n * n % 89 for n in range(120)], pa.int32()),
    "value": pa.array([n / 7 for n in range(120)]),
    "loss": pa.array([None if n % 5 else n / 3 for n in range(120)]),
}
TABLE = pa.table(COLUMNS).replace_schema_metadata({"xltray.dtype": "float32", "xltray.device": "cpu"})


def old(table: pa.Table = TABLE) -> bytes:
    """Return what past versions wrote."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def reads(data: bytes, read: Callable[[bytes], pa.Table]) -> str:
    try:
        return "the same" if read(data).equals(TABLE, check_metadata=True) else "another table"
    except (OSError, ValueError, pa.ArrowException):
        # A column's name may be no text any more, which is found only when it is looked at.
        return "an error"


def plain(data: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(data))


def test_a_table_comes_back_as_it_was() -> None:
    data = encode(TABLE)
    check(data)
    assert decode(data).equals(TABLE, check_metadata=True)
    assert encode(decode(data)) == data
    without = TABLE.replace_schema_metadata(None)
    assert decode(encode(without)).schema.metadata is None


def test_any_reader_reads_it_and_the_pages_are_as_ever() -> None:
    data = encode(TABLE)
    assert plain(data).equals(TABLE)
    sink = pa.BufferOutputStream()
    pq.write_table(TABLE, sink, compression="zstd", write_page_checksum=True)
    usual = sink.getvalue().to_pybytes()
    footer = len(usual) - 8 - int.from_bytes(usual[-8:-4], "little")
    assert data[:footer] == usual[:footer]


@pytest.mark.parametrize("seed", range(2))
def test_no_flipped_bit_is_read_as_another_table(seed: int) -> None:
    data, chance = encode(TABLE), random.Random(seed)
    found = Counter(reads(flipped(data, chance.randrange(8 * len(data))), decode) for _ in range(FLIPS))
    assert not found["another table"]
    # The rest hit the words by which the hash is found.
    assert found["an error"] > 0.95 * FLIPS


def test_every_flipped_bit_around_the_hash_is_harmless_or_found() -> None:
    data = encode(TABLE)
    place = data.index(b"xltray-sha256:")
    bits = range(8 * (place - 20), 8 * (place + 90))
    assert {reads(flipped(data, bit), decode) for bit in bits} == {"an error", "the same"}


def test_without_these_flips_are_read_as_other_tables() -> None:
    # Else the tests above would say little.
    chance = random.Random(0)
    for data in (old(), encode(TABLE)):
        bits = [chance.randrange(8 * len(data)) for _ in range(200)]
        found = Counter(reads(flipped(data, bit), plain) for bit in bits)
        assert found["another table"] > 10


def test_other_readers_can_compare_the_pages() -> None:
    data = encode(TABLE)
    column = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0).column(4)
    # The last byte of the pages of a column, which no header has.
    damaged = flipped(data, 8 * (column.dictionary_page_offset + column.total_compressed_size - 1))
    with pytest.raises(OSError, match="CRC"):
        pq.ParquetFile(pa.BufferReader(damaged), page_checksum_verification=True).read()


@pytest.mark.parametrize("data", [encode(TABLE), old()], ids=["now", "once"])
def test_what_is_cut_short_is_found(data: bytes) -> None:
    for length in {0, 3, 11, 100, len(data) // 2, len(data) - 9, len(data) - 1}:
        for read in (check, decode):
            with pytest.raises(DamagedTableError):
                read(data[:length])


def test_files_of_past_versions_stay_readable() -> None:
    check(old())
    assert decode(old()).equals(TABLE, check_metadata=True)


def test_both_hashes_are_told() -> None:
    with pytest.raises(DamagedTableError, match=r"^found SHA-256 [0-9a-f]{12}, expected [0-9a-f]{12}$"):
        check(flipped(encode(TABLE), 8 * 300))
