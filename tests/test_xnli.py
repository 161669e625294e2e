from __future__ import annotations

import gzip
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_hub import DEV_HEADER, dev_tsv, footer, pairs_table, put, train_tsv, tsv, write_table

from xltray.corpora.base import Pair
from xltray.corpora.xnli import BLANK, EMPTY_TEXT, LABELS, UNLABELLED, XnliCorpus
from xltray.errors import CorpusError, MissingInputError, Problem
from xltray.spec import DataSpec

PAIRS = [
    ('He said "hi', "He spoke.", "entailment"),
    ("Il pleut.", '"', "neutral"),
    ("Es regnet.", "Die Sonne scheint.", "contradiction"),
]
TRAIN = "XNLI-MT-1.0/multinli/multinli.train.{}.tsv"
DEV = "XNLI-1.0/xnli.dev.tsv"


def corpus(root: Path) -> XnliCorpus:
    return XnliCorpus(DataSpec(root=str(root)))


def content(pairs: Sequence[Pair]) -> list[tuple[str, str, str]]:
    return [(pair.premise, pair.hypothesis, pair.label) for pair in pairs]


@pytest.mark.parametrize("base", ["xnli", "facebook/xnli", "."])
def test_parquet(tmp_path: Path, base: str) -> None:
    for split, pairs in (("train", PAIRS), ("dev", PAIRS[1:]), ("test", PAIRS[2:])):
        path = write_table(pairs_table(pairs), tmp_path / base / "de", split)
        read = corpus(tmp_path).pairs("de", split)
        assert content(read) == pairs
        assert [pair.where for pair in read] == [f"{path}:row {number}" for number in range(len(pairs))]
    assert corpus(tmp_path).layout("de", "dev") == "hub Parquet"


@pytest.mark.parametrize("base", ["xnli", "facebook/xnli", "."])
def test_raw(tmp_path: Path, base: str) -> None:
    train = put(tmp_path / base / TRAIN.format("de"), train_tsv(PAIRS))
    dev = put(tmp_path / base / DEV, dev_tsv({"ar": PAIRS[:2], "de": PAIRS}))
    put(tmp_path / base / "XNLI-1.0/xnli.test.tsv", dev_tsv({"de": PAIRS[2:]}))
    assert b"contradictory" in train.read_bytes()
    opened = corpus(tmp_path)
    assert content(opened.pairs("de", "train")) == PAIRS
    assert content(opened.pairs("de", "dev")) == PAIRS
    assert content(opened.pairs("ar", "dev")) == PAIRS[:2]
    assert content(opened.pairs("de", "test")) == PAIRS[2:]
    assert [pair.where for pair in opened.pairs("de", "train")] == [f"{train}:{line}" for line in (2, 3, 4)]
    assert [pair.where for pair in opened.pairs("de", "dev")] == [f"{dev}:{line}" for line in (4, 5, 6)]
    assert opened.layout("de", "train") == opened.layout("de", "dev") == "raw"


text = st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n\0"), max_size=8)


@given(
    pairs=st.lists(st.tuples(text, text, st.sampled_from([*LABELS, "-"])), max_size=5).map(
        lambda pairs: [*pairs, PAIRS[0]]
    ),
    names=st.permutations(LABELS),
)
def test_all_layouts_give_what_was_written(pairs: list[tuple[str, str, str]], names: list[str]) -> None:
    labelled = [pair for pair in pairs if pair[2] != "-"]
    notes = {
        UNLABELLED: len(pairs) - len(labelled),
        EMPTY_TEXT: sum(not (p.strip() and h.strip()) for p, h, _ in labelled),
    }
    with TemporaryDirectory() as folder:
        write_table(pairs_table(pairs, names=names), Path(folder, "hub", "hi"), "dev")
        put(Path(folder, "raw", DEV), dev_tsv({"hi": pairs, "fr": PAIRS}))
        put(Path(folder, "raw", TRAIN.format("hi")), train_tsv(pairs))
        for opened, split in (
            (corpus(Path(folder, "hub")), "dev"),
            (corpus(Path(folder, "raw")), "dev"),
            (corpus(Path(folder, "raw")), "train"),
        ):
            assert content(opened.pairs("hi", split)) == labelled
            assert opened.notes("hi", split) == {rule: count for rule, count in notes.items() if count}


def test_without_names_labels_go_by_the_documented_order(tmp_path: Path) -> None:
    write_table(pairs_table(PAIRS, described=False), tmp_path / "en")
    assert content(corpus(tmp_path).pairs("en", "dev")) == PAIRS


def test_columns_go_by_name(tmp_path: Path) -> None:
    write_table(pairs_table(PAIRS).select(["label", "hypothesis", "premise"]), tmp_path / "en", "train")
    put(tmp_path / TRAIN.format("fr"), tsv(("label", "premise", "hypo"), [(r, p, h) for p, h, r in PAIRS]))
    assert content(corpus(tmp_path).pairs("en", "train")) == PAIRS
    assert content(corpus(tmp_path).pairs("fr", "train")) == PAIRS


@pytest.mark.parametrize("type_", [pa.dictionary(pa.int32(), pa.string()), pa.string_view()], ids=str)
def test_ways_to_store_text(tmp_path: Path, type_: pa.DataType) -> None:
    table = pairs_table(PAIRS)
    table = table.set_column(0, "premise", table["premise"].combine_chunks().cast(type_))
    path = write_table(table, tmp_path / "en")
    assert pq.read_schema(path).field("premise").type == type_
    assert content(corpus(tmp_path).pairs("en", "dev")) == PAIRS


def test_notes_are_there_before_the_split_was_read(tmp_path: Path) -> None:
    put(
        tmp_path / DEV,
        dev_tsv({"en": [*PAIRS, ("a", "b", "-")], "fr": [("a", "b", "-"), *PAIRS, ("a", "b", "-")]}),
    )
    assert corpus(tmp_path).notes("en", "dev") == {UNLABELLED: 1}
    assert corpus(tmp_path).notes("fr", "dev") == {UNLABELLED: 2}


def test_identity_is_the_files_content(tmp_path: Path) -> None:
    path = put(tmp_path / TRAIN.format("en"), train_tsv(PAIRS))
    whole = path.read_bytes()
    assert corpus(tmp_path).identify("en", "train") == (hashlib.sha256(whole).hexdigest(), len(whole))


def test_text_has_each_text_once(tmp_path: Path) -> None:
    write_table(pairs_table([*PAIRS, *PAIRS, (PAIRS[0][0], "", "neutral")]), tmp_path / "en", "train")
    assert list(corpus(tmp_path).text("en")) == [text for pair in PAIRS for text in pair[:2]]


def test_table_1_less_its_header() -> None:
    opened = corpus(Path("nowhere"))
    assert sorted(opened.paper) == ["ar", "de", "en", "es", "fr", "hi", "ru", "vi", "zh"]
    assert {opened.expected(code, "train") for code in opened.paper} == {392702}
    assert {opened.expected(code, "dev") for code in opened.paper} == {2490}
    assert {opened.counted_in(code) for code in opened.paper} == {"paper, Table 1"}


def test_the_release_has_as_many_pairs_in_the_other_six_languages(tmp_path: Path) -> None:
    opened = corpus(tmp_path)
    others = sorted({*opened.languages()} - {*opened.paper})
    assert others == ["bg", "el", "sw", "th", "tr", "ur"]
    for code in others:
        assert [opened.expected(code, role) for role in ("train", "dev")] == [392702, 2490]
        assert opened.counted_in(code) == "release"
    put(tmp_path / TRAIN.format("qae"), train_tsv(PAIRS))
    assert opened.expected("qae", "train") is None


def test_the_languages_are_xnlis_fifteen_and_those_with_raw_tables(tmp_path: Path) -> None:
    fifteen = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
    assert corpus(tmp_path / "nowhere").languages() == fifteen
    write_table(pairs_table(PAIRS), tmp_path / "xnli" / "ur", "train")
    write_table(pairs_table(PAIRS), tmp_path / "xnli" / "fi", "train")
    assert corpus(tmp_path).languages() == fifteen
    put(tmp_path / "xnli" / TRAIN.format("qae"), train_tsv(PAIRS))
    assert corpus(tmp_path).languages() == tuple(sorted((*fifteen, "qae")))
    with pytest.raises(MissingInputError, match="the train data of 'sw' is missing"):
        corpus(tmp_path).identify("sw", "train")


@pytest.mark.parametrize("layout", ["hub Parquet", "raw"])
def test_the_training_set_is_read_in_seconds(tmp_path: Path, layout: str) -> None:
    pairs = [
        (f"premise {number} of the training set", f"hypothesis {number}", "neutral")
        for number in range(100_000)
    ]
    if layout == "raw":
        put(tmp_path / TRAIN.format("en"), train_tsv(pairs))
    else:
        write_table(pairs_table(pairs), tmp_path / "en", "train")
    start = time.process_time()
    assert len(corpus(tmp_path).pairs("en", "train")) == 100_000
    assert time.process_time() - start < 15


# Broken files


def problems(root: Path, split: str = "dev") -> list[Problem]:
    with pytest.raises(CorpusError) as caught:
        corpus(root).pairs("en", split)
    return list(caught.value.problems)


def test_every_broken_line_is_reported(tmp_path: Path) -> None:
    lines = [
        b"a\tb\tneutral",
        b"a\tb",
        b"a\tb\tneural",
        b"\xe9\tb\tneutral",
        b"",
        b"a\tb\tneutral\tx",
        b"a\tb\t1",
    ]
    path = put(tmp_path / TRAIN.format("en"), b"\n".join([b"premise\thypo\tlabel", *lines]))
    assert [(p.where, p.found) for p in problems(tmp_path, "train")] == [
        (f"{path}:3", "2 columns"),
        (f"{path}:4", "label 'neural'"),
        (f"{path}:5", "byte 0xe9 at byte 1 of the line"),
        (f"{path}:7", "4 columns"),
        (f"{path}:8", "label '1'"),
    ]
    assert "Did you mean 'neutral'?" in problems(tmp_path, "train")[1].advice


def test_labels_of_other_languages_are_not_this_ones_problem(tmp_path: Path) -> None:
    put(tmp_path / DEV, dev_tsv({"fr": [("a", "b", "?")], "en": PAIRS}))
    assert content(corpus(tmp_path).pairs("en", "dev")) == PAIRS


@pytest.mark.parametrize(
    ("written", "near"), [("EN", "en"), ("En ", "en"), ("eng", "en"), ("thh", "th"), ("qae", ""), ("", "")]
)
def test_a_row_in_no_known_language_is_not_lost(tmp_path: Path, written: str, near: str) -> None:
    path = put(tmp_path / DEV, dev_tsv({"en": PAIRS, written: PAIRS[:2], "fr": PAIRS}))
    found = problems(tmp_path)
    assert [(p.where, p.found) for p in found] == [
        (f"{path}:{line}", f"language {written!r}") for line in (5, 6)
    ]
    assert ("Did you mean" in found[0].advice) == bool(near)
    assert not near or f"Did you mean {near!r}" in found[0].advice
    assert f"needs a training table, {TRAIN.format('<language>')}" in found[0].advice


def test_a_language_that_is_only_there_in_capitals_is_one_problem_a_row(tmp_path: Path) -> None:
    put(tmp_path / DEV, dev_tsv({"EN": PAIRS}))
    assert [p.found for p in problems(tmp_path)] == ["language 'EN'"] * 3


def test_a_language_with_a_training_table_is_known(tmp_path: Path) -> None:
    put(tmp_path / DEV, dev_tsv({"en": PAIRS, "qae": PAIRS[:1]}))
    put(tmp_path / TRAIN.format("qae"), train_tsv(PAIRS))
    assert content(corpus(tmp_path).pairs("en", "dev")) == PAIRS


def test_blank_lines_are_counted(tmp_path: Path) -> None:
    put(tmp_path / DEV, dev_tsv({"en": PAIRS}).replace(b"\nen", b"\n\n\r\nen", 2))
    put(tmp_path / TRAIN.format("en"), train_tsv(PAIRS) + b"\n")
    opened = corpus(tmp_path)
    assert content(opened.pairs("en", "dev")) == content(opened.pairs("en", "train")) == PAIRS
    assert opened.notes("en", "dev") == {BLANK: 4}
    assert opened.notes("en", "train") == {BLANK: 1}


def test_nul_characters(tmp_path: Path) -> None:
    spoilt = [("a\0", "b", "neutral"), ("a", "\0", "neutral"), ("a", "b", "neutral")]
    path = put(tmp_path / "raw" / TRAIN.format("en"), train_tsv(spoilt))
    table = write_table(pairs_table(spoilt), tmp_path / "hub" / "en", "train")
    raw, hub = problems(tmp_path / "raw", "train"), problems(tmp_path / "hub", "train")
    assert [(p.where, p.found) for p in raw] == [(f"{path}:{line}", "NUL characters") for line in (2, 3)]
    assert [(p.where, p.found) for p in hub] == [(f"{table}:row {row}", "NUL characters") for row in (0, 1)]


@pytest.mark.parametrize(
    ("text", "where", "found", "expected"),
    [
        (dev_tsv({"en": PAIRS}).decode().encode("utf-16-le"), ":1", "NUL characters", "text"),
        (dev_tsv({"en": PAIRS}).decode().encode("utf-16-be"), ":1", "NUL characters", "text"),
        (
            tsv((*DEV_HEADER, "sentence1"), [("en", "neutral", "", "a", "b", "0", "c")]),
            ":1",
            "more than one column sentence1",
            "one column of each name",
        ),
        (gzip.compress(dev_tsv({"en": PAIRS})), "", "a gzip archive", "UTF-8 text"),
        (dev_tsv({"en": PAIRS}).decode().encode("utf-16"), "", "UTF-16 text", "UTF-8 text"),
        (b"", ":1", "no header", "a header with language, sentence1, sentence2, gold_label"),
        (train_tsv(PAIRS), ":1", "columns premise, hypo, label", "a header with language"),
        (tsv(DEV_HEADER, []), "", "no example", "at least one"),
        (dev_tsv({"fr": PAIRS, "de": PAIRS}), "", "languages de, fr", "pairs in 'en'"),
        (dev_tsv({"en": [("a", "b", "-")]}), "", f"no example ({UNLABELLED}: 1)", "at least one"),
    ],
)
def test_files_that_are_no_such_table(
    tmp_path: Path, text: bytes, where: str, found: str, expected: str
) -> None:
    path = put(tmp_path / DEV, text)
    (problem,) = problems(tmp_path)
    assert (problem.where, problem.found) == (f"{path}{where}", found)
    assert problem.expected.startswith(expected)


@pytest.mark.parametrize(
    ("premise", "hypothesis", "label", "found", "expected"),
    [
        ("a", "b", 3, "label 3", "0 (entailment), 1 (neutral), 2 (contradiction)"),
        ("a", "b", -2, "label -2", "0 (entailment), 1 (neutral), 2 (contradiction)"),
        (None, "b", 0, "a null", "a premise, a hypothesis and a label"),
        ("a", None, 0, "a null", "a premise, a hypothesis and a label"),
        ("a", "b", None, "a null", "a premise, a hypothesis and a label"),
    ],
)
def test_a_broken_row(
    tmp_path: Path, premise: str | None, hypothesis: str | None, label: int | None, found: str, expected: str
) -> None:
    table = pa.table({"premise": ["a", premise], "hypothesis": ["b", hypothesis], "label": [0, label]})
    path = write_table(table, tmp_path / "en")
    (problem,) = problems(tmp_path)
    assert (problem.where, problem.found, problem.expected) == (f"{path}:row 1", found, expected)


@pytest.mark.parametrize(
    ("table", "where", "found"),
    [
        (pa.table({"tokens": [["a"]], "ner_tags": [[0]]}), "", "columns tokens, ner_tags"),
        (
            pa.table({"premise": ["a"], "hypothesis": ["b"], "label": ["x"]}),
            ": column 'label'",
            "type string",
        ),
        (pairs_table([], names=["entailment", "netural"]), ": class names of 'label'", "'netural'"),
        (pairs_table([]), "", "no example"),
        (
            footer(pairs_table(PAIRS), {"label": {"names": ["entailment", "neutral", "neutral"]}}),
            ": class names of 'label'",
            "entailment, neutral, neutral",
        ),
        (
            pairs_table([], names=["entailment", "neutral"]),
            ": class names of 'label'",
            "entailment, neutral",
        ),
        (pairs_table(PAIRS).append_column("label", pa.array([0, 0, 0])), "", "2 columns 'label'"),
    ],
)
def test_tables_that_are_not_xnlis(tmp_path: Path, table: pa.Table, where: str, found: str) -> None:
    path = write_table(table, tmp_path / "en")
    first = problems(tmp_path)[0]
    assert (first.where, first.found) == (f"{path}{where}", found)


def test_truncated_parquet(tmp_path: Path) -> None:
    path = write_table(pairs_table(PAIRS * 100), tmp_path / "en")
    path.write_bytes(path.read_bytes()[:-100])
    (problem,) = problems(tmp_path)
    assert problem.where == str(path)
    assert problem.found.startswith("a damaged or truncated Parquet file")


def test_missing_files(tmp_path: Path) -> None:
    put(tmp_path / DEV, dev_tsv({"en": PAIRS}))
    with pytest.raises(MissingInputError) as caught:
        corpus(tmp_path).identify("en", "train")
    message = str(caught.value)
    assert f"{tmp_path / 'xnli' / 'en'}: found nothing; expected train-*.parquet" in message
    assert f"facebook/xnli, or the raw {Path('xnli', TRAIN.format('en'))}" in message
