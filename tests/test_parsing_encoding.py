"""The path from a sentence to tensors of subwords, heads and relations."""

from __future__ import annotations

from made_parsing import LETTERS, NO_PIECE, TASK, chain, encode, sentence, tokenizer

from xltray.corpora.ud import DEPRELS
from xltray.nn import packing
from xltray.nn.packing import Layout

# Fixtures: pytest looks for them in this module.
__all__ = ["tokenizer"]


def test_words_point_at_their_first_subword(tokenizer):
    gold = sentence([2, 0, 2], words=["abc", NO_PIECE, "d"])
    (encoded,) = encode([gold], tokenizer).sequences
    assert tokenizer.convert_ids_to_tokens(list(encoded.tokens.ids)) == [
        "[CLS]",
        "a",
        "##b",
        "##c",
        "d",
        "[SEP]",
    ]
    assert list(encoded.words) == [1, 0, 4]
    assert encoded.labels == {
        "head": [2, 0, 2],
        "relation": [DEPRELS.index("obj"), DEPRELS.index("root"), DEPRELS.index("obj")],
        "scored": [1, 1, 1],
        "seen": [1, 0, 1],
    }


def test_training_sentences_are_cut_between_words(tokenizer):
    gold = sentence([2, 0, 6, 2, 4, 2], words=["a", "bc", "d", "efg", "h", "i"])
    (encoded,) = encode([gold], tokenizer, role="train", max_length=9).sequences  # seven subwords
    tokens = tokenizer.convert_ids_to_tokens(list(encoded.tokens.ids))
    assert tokens == ["[CLS]", "a", "b", "##c", "d", "e", "##f", "##g", "[SEP]"]
    assert encoded.labels["head"] == [2, 0, -1, 2]
    (whole,) = encode([gold], tokenizer, role="dev", max_length=9).sequences
    assert whole.labels["head"] == [2, 0, 6, 2, 4, 2]
    assert len(whole.tokens.ids) == 11
    (one_less,) = encode([gold], tokenizer, role="train", max_length=8).sequences
    assert one_less.labels["head"] == [2, 0, -1]


def test_a_training_sentence_of_the_papers_length_is_cut_at_128_subwords(tokenizer):
    (encoded,) = encode([chain(200)], tokenizer, role="train").sequences
    assert len(encoded.tokens.ids) == 128
    assert len(encoded.words) == 126


def test_a_first_word_longer_than_a_sequence_is_cut(tokenizer):
    gold = sentence([0, 1], words=[LETTERS, "a"])
    (encoded,) = encode([gold], tokenizer, role="train", max_length=8).sequences
    assert len(encoded.tokens.ids) == 8
    assert (list(encoded.words), encoded.labels["head"]) == ([1], [0])


def test_a_batch_is_padded_to_its_longest_sentence(tokenizer):
    examples = [
        sentence([2, 0, 2], words=["ab", "c", "d"], upos=["NOUN", "VERB", "PUNCT"]),
        sentence([0]),
        sentence([0, 1], words=["e", NO_PIECE]),
    ]
    split = encode(examples, tokenizer)
    batch = TASK.collate(split.sequences, "cpu", training=False)
    assert batch.packed.order == (1, 2, 0)
    assert batch.labels["real"].tolist() == [[True, False, False], [True, True, False], [True] * 3]
    assert batch.labels["head"].tolist() == [[0, 0, 0], [0, 1, 0], [2, 0, 2]]
    assert batch.labels["decided"].tolist() == [
        [True, False, False],
        [True, False, False],
        [True, True, False],
    ]
    assert batch.labels["gold"].lengths_S.tolist() == [1, 2, 3]
    tokens = [
        tokenizer.convert_ids_to_tokens(row) for row in batch.packed.ids_T[batch.labels["token"]].tolist()
    ]
    assert [tokens[0][:1], tokens[1][:2], tokens[2]] == [["a"], ["e", "[CLS]"], ["a", "c", "d"]]
    assert batch.labels["token"][1, 1] == 3  # of its own sentence
    assert batch.decisions == 5
    assert batch.packed.layout == Layout.RUNS
    training = TASK.collate(split.sequences, "cpu", training=True)
    assert training.packed.layout == Layout.PADDED


def test_batches_go_by_words_within_the_budget_of_subwords(tokenizer, monkeypatch):
    monkeypatch.setitem(packing.PAIRED_BUDGET, "cpu", 26)
    few_words, many_words = sentence([0], words=["a" * 20]), chain(5)
    split = encode([many_words, few_words, many_words, few_words], tokenizer)
    assert [batch.labels["real"].sum(1).tolist() for batch in TASK.batches(split, "cpu")] == [
        [1],
        [1],
        [5, 5],
    ]
