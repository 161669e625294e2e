"""Sound CoNLL-U files, real ones and made by hand."""

from __future__ import annotations

import time
from pathlib import Path

import conllu
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_conllu import GOOD, row, trees, write

from xltray.corpora.base import Sentence
from xltray.corpora.conllu_file import DEPRELS, UPOS, read_conllu


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
