"""Parsing scores against the CoNLL 2018 rules."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from made_parsing import (
    NO_PIECE,
    TASK,
    Blind,
    Oracle,
    Tree,
    chain,
    encode,
    perfect,
    random_tree,
    score,
    sentence,
    tokenizer,
)

from xltray.corpora.ud import DEPRELS, UDCorpus
from xltray.nn.trees import decode
from xltray.spec import DataSpec, TreebankSpec
from xltray.tasks import words as tasks_words

# Fixtures: pytest looks for them in this module.
__all__ = ["tokenizer"]


def perturbed(tree: Tree, draw: random.Random) -> Tree:
    """Return the tree with some words moved (it stays a tree with the same root) and relations changed."""
    heads, deprels = list(tree.heads), list(tree.deprels)
    for word in range(1, len(heads) + 1):
        if draw.random() < 0.2:
            deprels[word - 1] = draw.choice(DEPRELS)
        head = draw.randint(1, len(heads))
        above, seen = head, set()
        while above and above not in seen:
            seen.add(above)
            above = heads[above - 1]
        if draw.random() < 0.3 and heads[word - 1] and word not in seen:
            heads[word - 1] = head
    return Tree(tuple(heads), tuple(deprels))


def conll_2018(path: Path, trees: Sequence[Tree]) -> dict[str, tuple[int, int]]:
    """Count (correct, gold) by the rules of the shared task's scorer, on gold words.

    Words are the rows with an integer id; of a relation the part before the colon counts; a word is
    right for UAS where the head is, for LAS where relation and head are. Without punctuation, as the
    paper has it: words whose gold tag is PUNCT or SYM are passed over.
    """
    counts = {"uas": 0, "las": 0, "las_paper": 0}
    gold = 0
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")
    for block, tree in zip(blocks, trees, strict=False):
        rows = [line.split("\t") for line in block.split("\n") if line[0] != "#"]
        rows = [columns for columns in rows if columns[0].isdigit()]
        assert len(rows) == len(tree.heads)
        for columns, head, deprel in zip(rows, *tree, strict=True):
            if columns[3] in ("PUNCT", "SYM"):
                continue
            gold += 1
            head_right = int(columns[6]) == head
            both_right = head_right and columns[7].split(":")[0] == deprel
            counts["uas"] += head_right
            counts["las"] += both_right
            counts["las_paper"] += both_right and columns[6] != "0"
    return {metric: (correct, gold) for metric, correct in counts.items()}


@pytest.mark.parametrize("how", ["random", "perturbed", "perfect"])
@pytest.mark.parametrize("language", ["en", "vi", "zh"])
def test_scores_follow_the_shared_tasks_rules_on_real_treebanks(ud_root, tokenizer, language, how):
    corpus = UDCorpus(DataSpec(root=str(ud_root), treebanks={language: TreebankSpec()}))
    path = corpus.file(language, "dev")
    examples = TASK.read(corpus, language, "dev")[:200]
    draw = random.Random(1)
    trees = perfect(examples)
    if how == "random":
        trees = [random_tree(len(tree.heads), draw) for tree in trees]
    if how == "perturbed":
        trees = [perturbed(tree, draw) for tree in trees]
    expected = conll_2018(path, trees)
    found = score(examples, trees, tokenizer)
    assert all(word.first is not None for word in itertools.chain(*split_words(tokenizer, examples)))
    assert {name: (c.correct, c.gold) for name, c in found.counts.items()} == expected
    assert all(counts.predicted == counts.gold for counts in found.counts.values())
    assert found.examples == len(examples)
    if how == "perfect":
        assert found.counts["las"].value == found.counts["uas"].value == 1.0
    if how == "perturbed":
        assert (
            0.3
            < found.counts["las_paper"].value
            < found.counts["las"].value
            < found.counts["uas"].value
            < 0.95
        )


def split_words(tokenizer, examples):
    return tasks_words.split_words(tokenizer, [e.words for e in examples])


def test_a_perfect_parse_of_five_words(tokenizer):
    examples = [sentence([2, 0, 2, 5, 3])]
    counts = score(examples, perfect(examples), tokenizer).counts
    assert counts["las"] == counts["uas"] == (5, 5, 5)
    assert counts["las_paper"] == (4, 5, 5)
    assert counts["las_paper"].value == 0.8


def test_what_counts_as_right(tokenizer):
    gold = sentence(
        [2, 0, 2, 3, 2, 2],
        upos=["NOUN", "VERB", "NOUN", "SYM", "PUNCT", "ADV"],
        deprels=["nsubj", "root", "obj", "nmod", "punct", "advmod"],
    )
    # Head and relation; the root's relation wrong; head wrong; SYM and PUNCT are right but do not
    # count; relation wrong.
    answer = Tree((2, 0, 1, 3, 2, 2), ("nsubj", "dep", "obj", "nmod", "punct", "obl"))
    counts = score([gold], [answer], tokenizer).counts
    assert counts["uas"] == (3, 4, 4)
    assert counts["las"] == (1, 4, 4)
    assert counts["las_paper"] == (1, 4, 4)


def test_punctuation_as_head_is_right_like_any_other(tokenizer):
    gold = sentence([0, 1, 2], upos=["NOUN", "PUNCT", "NOUN"])
    assert score([gold], perfect([gold]), tokenizer).counts["las"] == (2, 2, 2)


def test_the_first_128_words_are_scored(tokenizer):
    upos = ["NOUN"] * 130
    upos[10] = upos[127] = upos[129] = "PUNCT"
    # Word 128 is the last; word 5 hangs on word 130, which is cut off.
    heads = [*range(128), 1, 1]
    heads[4] = 130
    gold = sentence(heads, upos=upos)
    answer = Tree((*range(128), 1, 1), gold.deprels)
    counts = score([gold], [answer], tokenizer).counts
    assert counts["uas"] == counts["las"] == (125, 126, 126)
    (encoded,) = encode([gold], tokenizer).sequences
    assert len(encoded.words) == 128
    assert encoded.labels["head"][4] == -1


def test_words_past_the_encoders_limit_are_wrong(tokenizer):
    gold = chain(10)
    split = encode([gold], tokenizer, limit=8)  # six subwords
    (encoded,) = split.sequences
    assert encoded.labels["seen"] == [1] * 6 + [0] * 4
    assert len(encoded.tokens.ids) == 8
    batch = TASK.collate(split.sequences, "cpu", training=False)
    found = TASK.evaluate(Blind(Oracle(perfect([gold]), [[0]])), split, [batch])
    assert found.counts["uas"] == (6, 10, 10)


def test_words_without_piece_are_wrong_and_the_tree_is_whole(tokenizer, monkeypatch):
    trees = []

    def spy(energies, lengths):
        heads = decode(energies, lengths)
        trees.append((lengths.tolist(), heads.tolist()))
        return heads

    monkeypatch.setattr("xltray.tasks.parsing.decode", spy)
    gold = sentence([2, 0, 2, 3], words=["a", NO_PIECE, "b", NO_PIECE])
    counts = score([gold], perfect([gold]), tokenizer).counts
    assert trees == [([4], [[0, 2, 0, 2, 3]])]
    assert counts["uas"] == counts["las"] == counts["las_paper"] == (2, 4, 4)
