"""Which subword stands for a word: by hand in several scripts, then on real treebanks."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import made_models as made
import made_tokenizers
import pytest
from made_conllu import row, write
from transformers import PreTrainedTokenizerFast

from xltray.corpora.conllu_file import read_conllu
from xltray.nn.wordpiece import train_tokenizer
from xltray.spec import PretrainSpec
from xltray.tasks.words import Frame, frame, separating, split_words

# zero width joiner, left-to-right mark: BERT's normaliser removes both
NO_PIECE = "\u200d\u200e"


def aligned(tokenizer: PreTrainedTokenizerFast, *words: str) -> list[tuple[list[str], int | None]]:
    """The pieces of each word, and which of them represents it."""
    (found,) = split_words(tokenizer, [words])
    return [(tokenizer.convert_ids_to_tokens(list(word.pieces)), word.first) for word in found]


def test_chinese_forms_are_several_pieces_of_one_word():
    tokenizer = made.wordpiece(["北", "京", "大", "学", "我", "在"])
    assert aligned(tokenizer, "我", "在", "北京大学") == [
        (["我"], 0),
        (["在"], 0),
        (["北", "京", "大", "学"], 0),
    ]


def test_arabic_clitics_are_pieces_of_one_word():
    tokenizer = made.wordpiece(["و", "##ال", "##كتاب", "كتاب", "في"])
    assert aligned(tokenizer, "والكتاب", "في", "كتاب") == [
        (["و", "##ال", "##كتاب"], 0),
        (["في"], 0),
        (["كتاب"], 0),
    ]


def test_vietnamese_forms_with_spaces_are_one_word():
    tokenizer = made.wordpiece(["thành", "phố", "Hà", "Nội", "ở"])
    assert aligned(tokenizer, "ở", "thành phố", "Hà Nội") == [
        (["ở"], 0),
        (["thành", "phố"], 0),
        (["Hà", "Nội"], 0),
    ]
    tokenizer = made.sentencepiece(["▁thành", "▁phố", "▁ở"])
    assert aligned(tokenizer, "thành phố", "ở") == [(["▁thành", "▁phố"], 0), (["▁ở"], 0)]


def test_the_words_of_an_english_multiword_token(tmp_path):
    path = write(
        tmp_path,
        row(1, "I", "PRON", 4, "nsubj"),
        row("2-3", "don't", "_", "_", "_"),
        row(2, "do", "AUX", 4, "aux"),
        row(3, "n't", "PART", 4, "advmod"),
        row(4, "bark", "VERB", 0, "root"),
        "",
    )
    (sentence,) = read_conllu(path)
    tokenizer = made.wordpiece(["I", "do", "n", "'", "t", "bark", "don"])
    assert aligned(tokenizer, *sentence.words) == [
        (["I"], 0),
        (["do"], 0),
        (["n", "'", "t"], 0),
        (["bark"], 0),
    ]


def test_words_without_a_piece_do_not_shift_the_others():
    tokenizer = made.wordpiece(["a", "b", "c"])
    found = aligned(tokenizer, "a", NO_PIECE, "b", NO_PIECE, NO_PIECE, "c")
    assert found == [(["a"], 0), ([], None), (["b"], 0), ([], None), ([], None), (["c"], 0)]
    assert aligned(tokenizer, NO_PIECE) == [([], None)]


def test_unknown_words_have_a_piece():
    assert aligned(made.wordpiece(["a"]), "zzz", "a") == [(["[UNK]"], 0), (["a"], 0)]


def test_a_lone_marker_does_not_represent_a_word():
    tokenizer = made.sentencepiece(["▁", "▁dog", "北京", "北", "s"])
    assert aligned(tokenizer, "北京", "dogs", "北") == [
        (["▁", "北京"], 1),
        (["▁dog", "s"], 0),
        (["▁", "北"], 1),
    ]


def test_a_word_that_is_a_marker_is_represented_by_it():
    tokenizer = made.sentencepiece(["▁", "a"])
    assert aligned(tokenizer, "▁", "a") == [(["▁"], 0), (["▁", "a"], 1)]


def test_a_byte_level_marker_does_not_represent_a_word():
    tokenizer = made.byte_level(["the dog"] * 3, prefix_space=True)
    assert aligned(tokenizer, "dog", "北") == [(["Ġdog"], 0), (["Ġ", "å", "Į", "Ĺ"], 1)]


TEXT = ["the dog don't bark", "a dog (1999)"] * 10


def test_mdeberta_like_pieces():
    tokenizer = made_tokenizers.deberta(["▁", "▁dog", "s", "北京", "北"])
    assert aligned(tokenizer, "北京", "dogs", "▁", "北") == [
        (["▁", "北京"], 1),
        (["▁dog", "s"], 0),
        (["▁"], 0),
        (["▁", "北"], 1),
    ]
    assert frame(tokenizer) == Frame((1,), (2,))


@pytest.mark.parametrize("metaspace", [True, False])
def test_mmbert_like_pieces(metaspace):
    tokenizer = made_tokenizers.gemma(TEXT, metaspace=metaspace)
    found = aligned(tokenizer, "a", "dog", "北", "dog")
    assert found[:2] == [(["▁a"], 0), (["▁dog"], 0)]
    assert found[2] == (["▁", "<0xE5>", "<0x8C>", "<0x97>"], 1)
    assert found[3] == found[1], "a word in the middle is the same word"
    assert frame(tokenizer) == Frame((2,), (1,))


def test_eurobert_like_pieces():
    tokenizer = made_tokenizers.llama(TEXT)
    assert aligned(tokenizer, "dog", "don't", "北", "1999", NO_PIECE[0]) == [
        (["Ġdog"], 0),
        (["Ġdon", "'t"], 0),
        (["Ġ", "å", "Į", "Ĺ"], 1),
        # The pattern keeps the space out of numbers, and takes three digits at a time.
        (["Ġ", "199", "9"], 1),
        (["Ġ", "â", "Ģ", "į"], 1),
    ]
    assert frame(tokenizer) == Frame((0,), ())


def test_words_given_one_by_one_are_those_of_the_text():
    for tokenizer in (
        made_tokenizers.llama(TEXT),
        made_tokenizers.gemma(TEXT, metaspace=False),
        made.byte_level(TEXT, prefix_space=False),
    ):
        words = ["the", "dog", "don't", "bark"]
        text = " ".join(words)
        before = tokenizer(text, add_special_tokens=False)["input_ids"]
        (found,) = split_words(tokenizer, [words])
        pieces = [id_ for word in found for id_ in word.pieces]
        assert pieces == tokenizer(f" {text}", add_special_tokens=False)["input_ids"]
        assert pieces != before, "the first word has its space, too"
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == before, "texts stay as they were"


def test_a_tokenizer_that_keeps_words_apart_is_not_copied():
    for tokenizer in (
        made.wordpiece(["a"]),
        made.sentencepiece(["▁a"]),
        made_tokenizers.gemma(TEXT, metaspace=True),
        made.byte_level(TEXT, prefix_space=True),
    ):
        assert separating(tokenizer) is tokenizer


def test_every_sentence_is_aligned_by_itself():
    tokenizer = made.wordpiece(["a", "b", "##c"])
    found = split_words(tokenizer, [["abc", "b"], ["b"], ["ac", NO_PIECE, "a"]])
    assert [[len(word.pieces) for word in words] for words in found] == [[1, 1], [1], [2, 0, 1]]
    assert split_words(tokenizer, []) == []


def test_long_sentences_are_neither_cut_nor_complained_about():
    tokenizer = made.wordpiece(["a"])
    tokenizer.model_max_length = 10
    (found,) = split_words(tokenizer, [["a"] * 500])
    assert all(len(word.pieces) == 1 for word in found)
    assert len(found) == 500


@pytest.mark.parametrize("a_is_known", [True, False])
@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_the_frame_is_what_the_tokenizer_puts_around_a_sentence(kind, a_is_known):
    pieces = ["dog", *(["a"] if a_is_known else [])]
    if kind == "bert":
        tokenizer, expected = made.wordpiece(pieces), Frame((2,), (3,))
    else:
        tokenizer, expected = made.sentencepiece([f"▁{piece}" for piece in pieces]), Frame((0,), (2,))
    found = frame(tokenizer)
    assert found == expected
    assert found.length == 2
    (words,) = split_words(tokenizer, [["dog", "dog"]])
    tokens = found.wrap([id_ for word in words for id_ in word.pieces])
    whole = tokenizer(["dog", "dog"], is_split_into_words=True)
    assert list(tokens.ids) == whole["input_ids"]
    assert list(tokens.types) == [0] * len(tokens.ids)


def test_a_tokenizer_may_have_no_specials():
    tokenizer = made.wordpiece(["a"])
    tokenizer.backend_tokenizer.post_processor = None
    assert frame(tokenizer) == Frame((), ())


# --- real treebanks ---

FILES = {
    "ar": "UD_Arabic-PUD/ar_pud-ud-test.conllu",
    "de": "UD_German-GSD/de_gsd-ud-dev.conllu",
    "en": "UD_English-EWT/en_ewt-ud-dev.conllu",
    "es": "UD_Spanish-GSD/es_gsd-ud-dev.conllu",
    "hi": "UD_Hindi-PUD/hi_pud-ud-test.conllu",
    "vi": "UD_Vietnamese-VTB/vi_vtb-ud-dev.conllu",
    "zh": "UD_Chinese-GSD/zh_gsd-ud-dev.conllu",
}


def real_sentences(ud_root: Path, language: str) -> list[list[str]]:
    """The words of the first 200 sentences, read without the corpus reader."""
    path = ud_root / FILES[language]
    if not path.is_file():
        pytest.skip(f"no {path}")
    sentences: list[list[str]] = []
    for block in path.read_text(encoding="utf-8").split("\n\n")[:200]:
        rows = [line.split("\t") for line in block.splitlines() if not line.startswith("#")]
        sentences.append([columns[1] for columns in rows if columns[0].isdigit()])
    return sentences


@pytest.mark.parametrize("kind", ["wordpiece", "sentencepiece"])
@pytest.mark.parametrize("language", FILES)
def test_the_representing_piece_begins_its_word(ud_root, language, kind):
    sentences = real_sentences(ud_root, language)
    text = [" ".join(words) for words in sentences]
    if kind == "wordpiece":
        tokenizer = train_tokenizer(text, PretrainSpec(languages=(language,), vocabulary=1500))
    else:
        tokenizer = made.trained_sentencepiece(text, 1500)
    seen = unknown = skipped = 0
    for words, found in zip(sentences, split_words(tokenizer, sentences), strict=True):
        assert len(words) == len(found)
        for form, word in zip(words, found, strict=True):
            alone = tokenizer([form], is_split_into_words=True, add_special_tokens=False)["input_ids"]
            assert list(word.pieces) == alone
            seen += 1
            if word.first is None:
                assert not word.pieces
                continue
            id_ = word.pieces[word.first]
            if id_ == tokenizer.unk_token_id:
                unknown += 1
                continue
            piece = tokenizer.convert_ids_to_tokens(id_)
            assert piece.strip("▁"), (form, piece)
            assert unicodedata.normalize("NFC", form).startswith(piece.removeprefix("▁")), (form, piece)
            skipped += word.first > 0
    assert seen > 2000
    assert unknown < 0.02 * seen
    # Chinese has no spaces that a marker could have been learned together with, other scripts have.
    assert (skipped > 0) == (kind == "sentencepiece")
