"""WikiANN's files that are broken or missing."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_hub import entities_table, footer, put, write_table
from made_wikiann import SENTENCES, content, corpus

from xltray.corpora.wikiann import EMPTY, TAGS
from xltray.errors import CorpusError, MissingInputError, Problem

# Broken files


def problems(root: Path, role: str = "dev") -> list[Problem]:
    with pytest.raises(CorpusError) as caught:
        corpus(root).entities("en", role)
    assert caught.value.exit_code == 3
    assert all(Path(p.where.split(":")[0]).is_relative_to(root) for p in caught.value.problems)
    return list(caught.value.problems)


def test_every_broken_line_is_reported(tmp_path: Path) -> None:
    path = put(
        tmp_path / "en" / "dev",
        b"en:a\tO\nen:b\tB-PERS\nen:c\nd\tO\nen:e\tO\tO\nen:\xff\tO\nen:\tO\nen:\0\tO\n",
    )
    assert [(p.where, p.found) for p in problems(tmp_path)] == [
        (f"{path}:2", "'B-PERS'"),
        (f"{path}:3", "a word without a tag"),
        (f"{path}:4", "'d'"),
        (f"{path}:5", "3 columns"),
        (f"{path}:6", "byte 0xff at byte 4 of the line"),
        (f"{path}:7", "an empty word"),
        (f"{path}:8", "NUL characters"),
    ]
    assert "Did you mean 'B-PER'?" in problems(tmp_path)[0].advice


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (gzip.compress(b"en:a\tO\n"), "a gzip archive"),
        ("en:a\tO\n".encode("utf-16"), "UTF-16 text"),
        (b"", "no example"),
        (b"\n\n", "no example"),
    ],
)
def test_files_that_are_no_such_text(tmp_path: Path, text: bytes, found: str) -> None:
    path = put(tmp_path / "en" / "dev", text)
    (problem,) = problems(tmp_path)
    assert (problem.where, problem.found) == (str(path), found)


def columns(tokens: object, tags: object, token_type: pa.DataType = pa.string()) -> pa.Table:  # noqa: B008
    return pa.table(
        {"tokens": pa.array(tokens, pa.list_(token_type)), "ner_tags": pa.array(tags, pa.list_(pa.int64()))}
    )


@pytest.mark.parametrize(
    ("tokens", "tags", "found", "expected"),
    [
        (["a", "b"], [0], "2 tokens, 1 ner_tags", "a tag for every token"),
        (["a"], [7], "tag 7", "0 to 6 (O, "),
        (["a"], [-1], "tag -1", "0 to 6 (O, "),
        (["a"], [None], "tag None", "0 to 6 (O, "),
        (["a", None], [0, 0], "a null", "a list of words"),
        (["a", ""], [0, 0], "an empty word (2)", "words of at least one character"),
        (["a", "b\0"], [0, 0], "NUL characters", "words of at least one character"),
        (None, [0], "a null", "a list of words"),
        (["a"], None, "a null", "a list of words"),
    ],
)
def test_a_broken_row(tmp_path: Path, tokens: object, tags: object, found: str, expected: str) -> None:
    path = write_table(columns([["x"], tokens, ["y"]], [[0], tags, [0]]), tmp_path / "en")
    (problem,) = problems(tmp_path)
    assert (problem.where, problem.found) == (f"{path}:row 1", found)
    assert problem.expected.startswith(expected)


@pytest.mark.parametrize(
    "type_",
    [
        pa.large_list(pa.large_string()),
        pa.list_(pa.string(), 2),
        pa.list_(pa.string_view()),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
    ],
    ids=str,
)
def test_ways_to_store_words(tmp_path: Path, type_: pa.DataType) -> None:
    sentences = [(("a", "b"), ("B-LOC", "O")), (("b", "a"), ("O", "O"))]
    table = entities_table(sentences)
    tokens = pa.array([list(words) for words, _ in sentences], type_)
    tags = table["ner_tags"].combine_chunks().cast(pa.list_(pa.int64(), 2))
    table = table.set_column(0, "tokens", tokens).set_column(1, "ner_tags", tags)
    path = write_table(table, tmp_path / "en")
    assert pq.read_schema(path).field("tokens").type == type_
    assert content(corpus(tmp_path).entities("en", "dev")) == sentences


def test_all_broken_rows_of_all_parts_are_reported(tmp_path: Path) -> None:
    for part in (0, 1):
        write_table(columns([["x"], ["y"]], [[], [9]]), tmp_path / "en", "dev", part, 2)
    assert [p.where.rpartition("/")[2] for p in problems(tmp_path)] == [
        f"validation-0000{part}-of-00002.parquet:row {row}" for part in (0, 1) for row in (0, 1)
    ]


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    table = columns([[b"a"], [b"b", b"\xe9"]], [[0], [0, 0]], pa.binary())
    as_text = table["tokens"].combine_chunks().view(pa.list_(pa.string()))
    path = write_table(table.set_column(0, "tokens", as_text), tmp_path / "en")
    (problem,) = problems(tmp_path)
    assert (problem.where, problem.found) == (f"{path}:row 1", "byte 0xe9 in column 'tokens'")


@pytest.mark.parametrize(
    ("table", "where", "found"),
    [
        (pa.table({"tokens": [["a"]], "tags": [[0]]}), "", "columns tokens, tags"),
        (pa.table({"tokens": ["a"], "ner_tags": [[0]]}), ": column 'tokens'", "type string"),
        (
            pa.table({"tokens": [["a"]], "ner_tags": [["O"]]}),
            ": column 'ner_tags'",
            "type list<element: string>",
        ),
        (entities_table([]), "", "no example"),
        (entities_table([((), ())]), "", f"no example ({EMPTY}: 1)"),
        (entities_table([], names=["O", "B-PRE"]), ": class names of 'ner_tags'", "'B-PRE'"),
        (
            entities_table([], names=TAGS[:-1]),
            ": class names of 'ner_tags'",
            "O, B-PER, I-PER, B-ORG, I-ORG, B-LOC",
        ),
        (
            footer(entities_table(SENTENCES), []),
            ": footer, key 'huggingface'",
            '\'{"info": {"features": []}}\'',
        ),
        (
            entities_table(SENTENCES).replace_schema_metadata({b"huggingface": b"{"}),
            ": footer, key 'huggingface'",
            "'{'",
        ),
    ],
)
def test_tables_that_are_not_wikianns(tmp_path: Path, table: pa.Table, where: str, found: str) -> None:
    path = write_table(table, tmp_path / "en")
    (problem,) = problems(tmp_path)
    assert (problem.where, problem.found) == (f"{path}{where}", found)


@pytest.mark.parametrize(
    ("spoil", "found", "advice"),
    [
        (lambda whole: whole[:-20], "a damaged or truncated Parquet file", "Fetch it again"),
        (lambda whole: whole[:60] + whole[90:], "a damaged or truncated Parquet file", "Fetch it again"),
        (gzip.compress, r"a file that starts with b'\x1f\x8b", "Unpack it"),
        (lambda whole: b"version https://git-lfs", "a file that starts with b'version'", "git lfs pull"),
        (lambda whole: b"", "an empty file", "Fetch the file again"),
    ],
)
def test_files_that_are_no_parquet(
    tmp_path: Path, spoil: Callable[[bytes], bytes], found: str, advice: str
) -> None:
    path = write_table(entities_table(SENTENCES * 50), tmp_path / "en")
    path.write_bytes(spoil(path.read_bytes()))
    (problem,) = problems(tmp_path)
    assert problem.where == str(path)
    assert problem.found.startswith(found)
    assert advice in problem.advice


# Missing files


def missing(root: Path) -> str:
    with pytest.raises(MissingInputError) as caught:
        corpus(root).identify("en", "dev")
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_missing_root(tmp_path: Path) -> None:
    assert f"found no data root {tmp_path / 'nowhere'}" in missing(tmp_path / "nowhere")


def test_missing_files_say_what_is_there_and_what_should_be(tmp_path: Path) -> None:
    put(tmp_path / "wikiann" / "en.tar.gz", b"")
    message = missing(tmp_path)
    assert f"{tmp_path / 'wikiann' / 'en'}: found en.tar.gz; expected validation-*.parquet" in message
    assert f"unimelb-nlp/wikiann, or the raw {Path('wikiann', 'en', 'dev')}" in message
    write_table(entities_table(SENTENCES), tmp_path / "wikiann" / "en", "train")
    assert "found en.tar.gz, train-00000-of-00001.parquet; expected" in missing(tmp_path)


def test_an_empty_root(tmp_path: Path) -> None:
    assert "found nothing; expected" in missing(tmp_path)
