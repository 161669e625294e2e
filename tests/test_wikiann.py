"""WikiANN's files, from the hub and raw, and what differs between languages."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_hub import entities_table, entities_text, put, write_table
from made_wikiann import SENTENCES, content, corpus

from xltray.corpora.wikiann import EMPTY, STRAY, TAGS, UNTAGGED, WikiannCorpus
from xltray.errors import MissingInputError

# Places where the hub's files and the raw ones may lie under the data root.
BASES = ["wikiann", "unimelb-nlp/wikiann", "."]


@pytest.mark.parametrize("base", BASES)
def test_parquet(tmp_path: Path, base: str) -> None:
    path = write_table(entities_table(SENTENCES), tmp_path / base / "vi", "dev")
    read = corpus(tmp_path).entities("vi", "dev")
    assert content(read) == SENTENCES
    assert [example.where for example in read] == [f"{path}:row 0", f"{path}:row 1"]
    assert corpus(tmp_path).layout("vi", "dev") == "hub Parquet"
    assert corpus(tmp_path).file("vi", "dev") == path


@pytest.mark.parametrize("base", BASES)
def test_raw(tmp_path: Path, base: str) -> None:
    path = put(tmp_path / base / "vi" / "dev", entities_text(SENTENCES, prefix="other"))
    read = corpus(tmp_path).entities("vi", "dev")
    assert content(read) == SENTENCES
    assert [example.where for example in read] == [f"{path}:1", f"{path}:5"]
    assert corpus(tmp_path).layout("vi", "dev") == "raw"


def test_dev_is_validation_and_train_is_train(tmp_path: Path) -> None:
    for split, sentence in zip(("train", "dev", "test"), (*SENTENCES, (("x",), ("O",))), strict=True):
        write_table(entities_table([sentence]), tmp_path / "en", split)
        put(tmp_path / "wikiann" / "fr" / split, entities_text([sentence]))
    for language in ("en", "fr"):
        assert content(corpus(tmp_path).entities(language, "train")) == SENTENCES[:1]
        assert content(corpus(tmp_path).entities(language, "dev")) == SENTENCES[1:]
        assert content(corpus(tmp_path).entities(language, "test")) == [(("x",), ("O",))]


@pytest.mark.parametrize("style", ["feature", "list"])
def test_tags_go_by_the_footers_names(tmp_path: Path, style: str) -> None:
    write_table(entities_table(SENTENCES, names=TAGS[::-1], style=style), tmp_path / "en")
    assert content(corpus(tmp_path).entities("en", "dev")) == SENTENCES


def test_without_names_tags_go_by_the_documented_order(tmp_path: Path) -> None:
    sentence = (("a",) * 7, ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"))
    table = entities_table([sentence], style="none")
    assert table["ner_tags"].to_pylist() == [[0, 1, 2, 3, 4, 5, 6]]
    write_table(table, tmp_path / "en")
    assert content(corpus(tmp_path).entities("en", "dev")) == [sentence]


word = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\t\r\0"), min_size=1, max_size=6
)  # spaces, colons and U+2028 included
tagged = st.lists(st.tuples(word, st.sampled_from(TAGS)), min_size=1, max_size=5)


@given(sentences=st.lists(tagged, min_size=1, max_size=4))
def test_both_layouts_give_what_was_written(sentences: list[list[tuple[str, str]]]) -> None:
    written = [tuple(zip(*sentence, strict=True)) for sentence in sentences]
    with TemporaryDirectory() as folder:
        write_table(entities_table(written), Path(folder, "hub", "en"))
        put(Path(folder, "text", "en", "dev"), entities_text(written))
        assert content(corpus(Path(folder, "hub")).entities("en", "dev")) == written
        assert content(corpus(Path(folder, "text")).entities("en", "dev")) == written


def test_parts_are_read_in_order(tmp_path: Path) -> None:
    paths = [write_table(entities_table([SENTENCES[i]]), tmp_path / "en", "dev", i, 2) for i in (1, 0)]
    assert content(corpus(tmp_path).entities("en", "dev")) == SENTENCES
    assert corpus(tmp_path).layout("en", "dev") == "hub Parquet, 2 files"
    before = corpus(tmp_path).identify("en", "dev")
    assert before.size == sum(path.stat().st_size for path in paths)
    write_table(entities_table([SENTENCES[0]] * 2), tmp_path / "en", "dev", 1, 2)
    assert corpus(tmp_path).identify("en", "dev").fingerprint != before.fingerprint


def test_a_missing_part(tmp_path: Path) -> None:
    write_table(entities_table(SENTENCES), tmp_path / "en", "dev", 0, 2)
    with pytest.raises(
        MissingInputError, match=r"found validation-00000-of-00002.parquet; expected all .* 2 files"
    ):
        corpus(tmp_path).identify("en", "dev")


def test_identity_is_the_files_content(tmp_path: Path) -> None:
    text = entities_text(SENTENCES)
    put(tmp_path / "en" / "dev", text)
    assert corpus(tmp_path).identify("en", "dev") == (hashlib.sha256(text).hexdigest(), len(text))


def test_parquet_comes_before_raw(tmp_path: Path) -> None:
    put(tmp_path / "wikiann" / "en" / "dev", entities_text(SENTENCES[:1]))
    write_table(entities_table(SENTENCES), tmp_path / "wikiann" / "en")
    assert len(corpus(tmp_path).entities("en", "dev")) == 2


# What differs between languages


def test_words_keep_spaces_and_colons_and_may_be_blank(tmp_path: Path) -> None:
    put(tmp_path / "vi" / "dev", "vi:Hà Nội: 1\tB-LOC\nvi: \tO\nvi:\u2028\tO\n".encode())
    assert corpus(tmp_path).entities("vi", "dev")[0].words == ("Hà Nội: 1", " ", "\u2028")


def test_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    put(tmp_path / "en" / "dev", b"\xef\xbb\xbfen:Ann\tB-PER\r\n\r\n\r\nen:ran\tO\r\n")
    assert content(corpus(tmp_path).entities("en", "dev")) == [(("Ann",), ("B-PER",)), (("ran",), ("O",))]


def test_text_puts_words_together(tmp_path: Path) -> None:
    for language in ("vi", "zh"):
        write_table(entities_table(SENTENCES), tmp_path / language, "train")
    assert list(corpus(tmp_path).text("vi")) == ["12:30 in Hà Nội", "Ann B. runs Ax"]
    assert list(corpus(tmp_path).text("zh")) == ["12:30inHà Nội", "AnnB.runsAx"]


def test_untagged_words_of_test_are_outside_and_counted(tmp_path: Path) -> None:
    put(tmp_path / "en" / "test", b"en:Ann\nen:ran\tO\n")
    opened = corpus(tmp_path)
    assert content(opened.entities("en", "test")) == [(("Ann", "ran"), ("O", "O"))]
    assert opened.notes("en", "test") == {UNTAGGED: 1}


def test_entities_that_start_with_i_are_kept_and_counted(tmp_path: Path) -> None:
    sentences = [
        (("a", "b", "c"), ("I-PER", "I-PER", "I-LOC")),
        (("a", "b", "c"), ("B-LOC", "I-LOC", "I-LOC")),
        (("a",), ("I-LOC",)),
    ]
    write_table(entities_table(sentences), tmp_path / "en")
    opened = corpus(tmp_path)
    assert opened.notes("en", "dev") == {STRAY: 3}
    assert content(opened.entities("en", "dev")) == sentences


def test_empty_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    write_table(entities_table([((), ()), *SENTENCES]), tmp_path / "en")
    opened = corpus(tmp_path)
    assert content(opened.entities("en", "dev")) == SENTENCES
    assert opened.notes("en", "dev") == {EMPTY: 1}


def test_table_1() -> None:
    opened = corpus(Path("nowhere"))
    expected = {code: (opened.expected(code, "train"), opened.expected(code, "dev")) for code in opened.paper}
    large = (20000, 10000)
    assert expected == dict.fromkeys(("ar", "de", "en", "es", "fr", "ru", "vi", "zh"), large) | {
        "hi": (5000, 1000)
    }
    assert opened.expected("fi", "train") is None


def test_xtremes_forty_languages_are_known_without_files(tmp_path: Path) -> None:
    opened = corpus(tmp_path / "nowhere")
    known = opened.languages()
    assert len(known) == 40
    assert known == tuple(sorted(known))
    assert set(WikiannCorpus.paper) | {"af", "sw", "tl", "yo"} <= set(known)
    with pytest.raises(MissingInputError, match="the train data of 'sw' is missing"):
        opened.identify("sw", "train")


def test_other_languages_are_known_once_they_are_there(tmp_path: Path) -> None:
    known = set(corpus(tmp_path).languages())
    write_table(entities_table(SENTENCES), tmp_path / "wikiann" / "ceb", "train")
    put(tmp_path / "sv" / "train", entities_text(SENTENCES))
    put(tmp_path / "ud" / "notes", b"no training data")
    put(tmp_path / "all_languages" / "train", entities_text(SENTENCES))
    assert set(corpus(tmp_path).languages()) - known == {"ceb", "sv"}
