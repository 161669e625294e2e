"""Broken CoNLL-U files: what is reported, and where."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_conllu import GOOD, row, trees, write

from xltray.corpora.conllu_file import read_conllu
from xltray.errors import CorpusError


def problems(path: Path) -> list[tuple[str, str, str]]:
    """Read a broken file; return its problems as (file name:line, found, expected)."""
    with pytest.raises(CorpusError) as caught:
        read_conllu(path)
    return [(Path(p.where).name, p.found, p.expected) for p in caught.value.problems]


def problem(path: Path) -> tuple[int, str, str]:
    """Return the only problem of a broken file; as (line, found, expected)."""
    ((where, found, expected),) = problems(path)
    return int(where.partition(":")[2]), found, expected


@given(heads=trees(), data=st.data())
def test_a_tree_with_one_head_bent_into_a_cycle_is_refused(
    heads: list[int], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    word = data.draw(st.integers(1, len(heads)))
    below = {word}
    for _ in heads:
        below |= {child for child, head in enumerate(heads, start=1) if head in below}
    was_root = heads[word - 1] == 0
    heads[word - 1] = data.draw(st.sampled_from(sorted(below)))
    path = write(
        tmp_path_factory.mktemp("cycle"), *(row(i, "w", "X", h, "dep") for i, h in enumerate(heads, start=1))
    )
    line, found, _ = problem(path)
    assert line == 1
    assert found == "no root" if was_root else found.startswith("the heads in a cycle")


@pytest.mark.parametrize(
    ("line", "found", "expected"),
    [
        ("2\tbark\t_\tVERB\t_\t_\t0\troot\t_", "9 columns", "10, separated by single TABs"),
        (row(2, "bark", "VERB", 0, "root") + "\t", "11 columns", "10, separated by single TABs"),
        (row(2, "bark", "VERB", 0, "root").replace("\t", "  "), "1 columns", "10, separated by single TABs"),
        (row("x", "bark", "VERB", 0, "root"), "id 'x'", "a word (3), a range (3-4) or an empty node (3.1)"),
        (row("_", "bark", "VERB", 0, "root"), "id '_'", "a word (3), a range (3-4) or an empty node (3.1)"),
        (row("9" * 5000, "b", "X", 0, "root"), None, "a word (3), a range (3-4) or an empty node (3.1)"),
        (row(3, "bark", "VERB", 0, "root"), "id 3", "id 2"),
        (row(1, "bark", "VERB", 0, "root"), "id 1", "id 2"),
        (row(2, " ", "VERB", 0, "root"), "an empty form", "a word in column 2 (FORM)"),
        (row(2, "bark", "VERB", "_", "root"), "head '_'", "a word's number, or 0 for the root"),
        (row(2, "bark", "VERB", "1.5", "root"), "head '1.5'", "a word's number, or 0 for the root"),
        (row(2, "bark", "VERB", 4, "root"), "head 4", "0 to 3"),
        (row(2, "bark", "VERB", -1, "root"), "head -1", "0 to 3"),
        (row(2, "bark", "VRB", 0, "root"), "'VRB'", "a UPOS tag"),
        (row(2, "bark", "_", 0, "root"), "'_'", "a UPOS tag"),
        (row(2, "bark", "VERB", 0, "rot"), "'rot'", "a universal relation"),
        (row(2, "bark", "VERB", 0, "dobj:x"), "'dobj'", "a universal relation"),
    ],
)
def test_a_broken_row(tmp_path: Path, line: str, found: str | None, expected: str) -> None:
    path = write(tmp_path, *GOOD, *GOOD[:3], line, *GOOD[4:])
    number, actual, wanted = problem(path)
    assert number == 10
    assert wanted == expected
    assert found is None or actual == found


def test_what_a_broken_row_leaves_missing_is_not_reported_too(tmp_path: Path) -> None:
    path = write(tmp_path, "1\tonly two", row(2, "b", "X", 3, "dep"), row(3, "c", "X", 0, "root"))
    assert problem(path)[:2] == (1, "2 columns")


@pytest.mark.parametrize(
    ("heads", "found"),
    [
        ((2, 3, 1), "no root"),
        ((0, 0, 0), "3 roots (words 1, 2, 3)"),
        ((0, 3, 2), "the heads in a cycle (2 -> 3 -> 2)"),
        ((0, 2, 2), "the heads in a cycle (2 -> 2)"),
        ((3, 0, 1), "the heads in a cycle (1 -> 3 -> 1)"),
    ],
)
def test_a_broken_tree(tmp_path: Path, heads: tuple[int, ...], found: str) -> None:
    rows = [row(i, "w", "X", head, "dep") for i, head in enumerate(heads, start=1)]
    path = write(tmp_path, *GOOD, "# a comment", *rows, "")
    line, actual, expected = problem(path)
    assert (line, actual) == (7, found)
    assert expected == ("a tree" if "cycle" in found else "one word of the sentence with head 0")


@pytest.mark.parametrize(
    ("heads", "relations", "found"),
    [
        ((2, 0, 2), ("nsubj", "dep", "obj"), {8: "relation 'dep' and head 0"}),
        ((2, 0, 2), ("nsubj", "root", "root:x"), {9: "relation 'root' and head 2"}),
        (
            (2, 0, 2),
            ("root", "nsubj", "obj"),
            {7: "relation 'root' and head 2", 8: "relation 'nsubj' and head 0"},
        ),
    ],
)
def test_the_relation_root_is_the_roots(
    tmp_path: Path, heads: tuple[int, ...], relations: tuple[str, ...], found: dict[int, str]
) -> None:
    rows = [row(i, "w", "X", h, r) for i, (h, r) in enumerate(zip(heads, relations, strict=True), start=1)]
    path = write(tmp_path, *GOOD, *rows, "")
    expected = "the relation 'root' where the head is 0, and only there"
    assert problems(path) == [(f"{path.name}:{line}", text, expected) for line, text in found.items()]


@pytest.mark.parametrize(("id_", "place"), [("3-9", 2), ("1-2", 1), ("2-3", 0), ("2-3", 2), ("4-5", 3)])
def test_ranges_of_words_that_are_not_there(tmp_path: Path, id_: str, place: int) -> None:
    rows = [row(1, "a", "X", 0, "root"), row(2, "b", "X", 1, "dep"), row(3, "c", "X", 1, "dep")]
    rows.insert(place, row(id_, "ab", "_", "_", "_"))
    expected = "a range of the words that follow it; the sentence has 3"
    assert problem(write(tmp_path, *rows, "")) == (place + 1, f"id {id_}", expected)


def test_a_missing_blank_line_is_reported_once_with_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path, *GOOD[:-1], *GOOD)
    with pytest.raises(CorpusError, match=r":8: found id 1; expected id 4\. .*blank line") as caught:
        read_conllu(path)
    assert len(caught.value.problems) == 1


def test_comments_without_words(tmp_path: Path) -> None:
    assert problem(write(tmp_path, *GOOD, "# text = x", ""))[:2] == (7, "comments without words")


def test_unknown_labels_come_with_the_nearest_known_one(tmp_path: Path) -> None:
    path = write(tmp_path, row(1, "a", "NUON", 0, "nsbuj"))
    with pytest.raises(CorpusError) as caught:
        read_conllu(path)
    assert "Did you mean 'NOUN'? Known: ADJ, ADP" in str(caught.value)
    assert "Did you mean 'nsubj'? Known: acl, advcl" in str(caught.value)


def test_all_problems_of_a_file_are_reported_together(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        row(1, "a", "NUON", 7, "root"),
        "",
        "one column",
        "",
        row(1, "a", "X", 1, "root"),
    )
    path.write_bytes(path.read_bytes() + b"\n" + row(1, "b", "X", 0, "root").encode() + b"\xff\n")
    assert [(where, found) for where, found, _ in problems(path)] == [
        (f"{path.name}:1", "head 7"),
        (f"{path.name}:1", "'NUON'"),
        (f"{path.name}:3", "1 columns"),
        (f"{path.name}:5", "no root"),
        (f"{path.name}:7", f"byte 0xff at byte {len(row(1, 'b', 'X', 0, 'root')) + 1} of the line"),
    ]


def test_many_problems_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    path = write(tmp_path, *(line for _ in range(50) for line in (row(1, "a", "X", 5, "root"), "")))
    with pytest.raises(CorpusError, match="50 problems, the first 20 of them") as caught:
        read_conllu(path)
    assert len(caught.value.problems) == 20


@pytest.mark.parametrize("content", ["", "\n\n", "  \n"])
def test_an_empty_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "empty.conllu"
    path.write_text(content)
    assert problems(path) == [(path.name, "no sentence", "a CoNLL-U file")]
