from __future__ import annotations

import time
from pathlib import Path

import conllu
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_conllu import GOOD, row, write

from xltray.corpora.base import Sentence
from xltray.corpora.conllu_file import DEPRELS, UPOS, read_conllu
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


def plain_reader(path: Path) -> list[tuple[list[str], list[str], list[int], list[str]]]:
    """Read a sound file the plain way: an oracle that shares no code with the package."""
    sentences = []
    for block in path.read_bytes().decode("utf-8").rstrip("\n").split("\n\n"):
        rows = [line.split("\t") for line in block.split("\n") if line[0] != "#"]
        words = [columns for columns in rows if columns[0].isdecimal()]
        forms, upos = [columns[1] for columns in words], [columns[3] for columns in words]
        heads, deprels = [int(columns[6]) for columns in words], [columns[7] for columns in words]
        sentences.append((forms, upos, heads, [deprel.split(":")[0] for deprel in deprels]))
    return sentences


# Real files


@pytest.mark.slow
def test_real_files_agree_with_two_other_readers(ud_root: Path) -> None:
    files = sorted(ud_root.glob("*/*-ud-*.conllu"))
    assert files
    for path in files:
        ours = read_conllu(path)
        assert [(list(s.words), list(s.upos), list(s.heads), list(s.deprels)) for s in ours] == plain_reader(
            path
        )
        if path.stat().st_size < 2_000_000:
            theirs = conllu.parse(path.read_text(encoding="utf-8"))
            assert [s.text for s in ours] == [s.metadata["text"] for s in theirs]
            assert [list(s.words) for s in ours] == [
                [token["form"] for token in s if isinstance(token["id"], int)] for s in theirs
            ]


def test_rebuilt_text_is_the_text_comment(ud_root: Path, tmp_path: Path) -> None:
    source = next((ud_root / "UD_Spanish-GSD").glob("*-ud-dev.conllu"))
    lines = source.read_text(encoding="utf-8").split("\n")
    stripped = write(tmp_path, *(line for line in lines if not line.startswith("# text")))
    assert [s.text for s in read_conllu(stripped)] == [s.text for s in read_conllu(source)]


def test_reading_the_largest_file_takes_seconds(ud_root: Path) -> None:
    start = time.process_time()
    read_conllu(ud_root / "UD_English-EWT" / "en_ewt-ud-train.conllu")
    assert time.process_time() - start < 10


# Hand-made files, sound


def test_a_sentence(tmp_path: Path) -> None:
    path = write(tmp_path, "", *GOOD, *GOOD)
    sentence = Sentence(
        words=("Dogs", "bark", "."),
        upos=("NOUN", "VERB", "PUNCT"),
        heads=(2, 0, 2),
        deprels=("nsubj", "root", "punct"),
        text="Dogs bark.",
        where=f"{path}:2",
    )
    second = read_conllu(path)[1]
    assert read_conllu(path)[0] == sentence
    assert second.where == f"{path}:8"


def test_vietnamese_forms_keep_their_spaces(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        row(1, "hải quân", "NOUN", 2, "nsubj"),
        row(2, "rải", "VERB", 0, "root"),
        row(3, "truyền  đơn", "NOUN", 2, "obj"),  # two spaces: the conllu library would cut here
        "",
    )
    assert read_conllu(path)[0].words == ("hải quân", "rải", "truyền  đơn")


def test_line_separators_inside_a_form_do_not_end_the_line(tmp_path: Path) -> None:
    path = write(tmp_path, row(1, "a\u2028b\x85c", "X", 0, "root"))
    assert read_conllu(path)[0].words == ("a\u2028b\x85c",)


@pytest.mark.parametrize(
    ("lines", "words", "text"),
    [
        (  # English
            [
                row("1-2", "Today's", "_", "_", "_"),
                row(1, "Today", "NOUN", 3, "nmod:poss"),
                row(2, "'s", "PART", 1, "case"),
                row(3, "incident", "NOUN", 0, "root", "SpaceAfter=No"),
                row(4, "!", "PUNCT", 3, "punct"),
            ],
            ("Today", "'s", "incident", "!"),
            "Today's incident!",
        ),
        (  # Spanish: the surface form is not the words' forms
            [
                row("1-2", "del", "_", "_", "_"),
                row(1, "de", "ADP", 3, "case"),
                row(2, "el", "DET", 3, "det"),
                row(3, "mar", "NOUN", 0, "root"),
            ],
            ("de", "el", "mar"),
            "del mar",
        ),
        (  # German, the multiword token last and without a space after it
            [
                row(1, "Bleib", "VERB", 0, "root"),
                row("2-3", "im", "_", "_", "_", "SpaceAfter=No"),
                row(2, "in", "ADP", 4, "case"),
                row(3, "dem", "DET", 4, "det"),
                row(4, "Haus", "NOUN", 1, "obl"),
            ],
            ("Bleib", "in", "dem", "Haus"),
            "Bleib imHaus",
        ),
    ],
)
def test_multiword_tokens(tmp_path: Path, lines: list[str], words: tuple[str, ...], text: str) -> None:
    (sentence,) = read_conllu(write(tmp_path, *lines, ""))
    assert sentence.words == words
    assert sentence.text == text


def test_empty_nodes_are_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        row("0.1", "Elided", "VERB", "_", "_"),
        row(1, "I", "PRON", 0, "root"),
        row("1.1", "has", "VERB", "_", "_"),
        row(2, "too", "ADV", 1, "orphan"),
    )
    (sentence,) = read_conllu(path)
    assert sentence.words == ("I", "too")
    assert sentence.text == "I too"


def test_subtypes_of_relations_are_cut(tmp_path: Path) -> None:
    path = write(tmp_path, row(1, "a", "DET", 2, "det:poss:x"), row(2, "b", "NOUN", 0, "root"))
    assert read_conllu(path)[0].deprels == ("det", "root")


def test_windows_line_ends_a_byte_order_mark_and_no_line_end_at_the_end(tmp_path: Path) -> None:
    no_text = [line for line in GOOD if not line.startswith("# text")]  # the last column then matters
    plain = write(tmp_path, *no_text, *no_text)
    expected = read_conllu(plain)
    assert expected[1].text == "Dogs bark."
    content = plain.read_bytes()
    plain.write_bytes(b"\xef\xbb\xbf" + content.rstrip(b"\n").replace(b"\n", b"\r\n"))
    assert read_conllu(plain) == expected


FORMS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.just(" "), min_size=1, max_size=8
).filter(str.strip)


@st.composite
def trees(draw: st.DrawFn) -> list[int]:
    """Draw the heads of a tree: in a random order, every word but the first hangs on an earlier one."""
    order = draw(st.permutations(range(1, draw(st.integers(1, 12)) + 1)))
    heads = {word: order[draw(st.integers(0, i - 1))] if i else 0 for i, word in enumerate(order)}
    return [heads[word] for word in sorted(heads)]


BELOW_ROOT = [relation for relation in DEPRELS if relation != "root"]


@st.composite
def sentences(draw: st.DrawFn) -> Sentence:
    heads = draw(trees())
    n = len(heads)
    return Sentence(
        words=tuple(draw(st.lists(FORMS, min_size=n, max_size=n))),
        upos=tuple(draw(st.lists(st.sampled_from(UPOS), min_size=n, max_size=n))),
        heads=tuple(heads),
        deprels=tuple(draw(st.sampled_from(BELOW_ROOT)) if head else "root" for head in heads),
        text=draw(FORMS).strip(),
        where="",
    )


@given(expected=st.lists(sentences(), min_size=1, max_size=4))
def test_round_trip(expected: list[Sentence], tmp_path_factory: pytest.TempPathFactory) -> None:
    lines = []
    for sentence in expected:
        lines.append(f"# text = {sentence.text}")
        columns = zip(sentence.words, sentence.upos, sentence.heads, sentence.deprels, strict=True)
        lines += [row(i, w, u, h, f"{d}:sub") for i, (w, u, h, d) in enumerate(columns, start=1)]
        lines.append("")
    path = write(tmp_path_factory.mktemp("round"), *lines)
    without_place = [
        Sentence(s.words, s.upos, s.heads, s.deprels, s.text, where="") for s in read_conllu(path)
    ]
    assert without_place == expected


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


# Hand-made files, broken


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
