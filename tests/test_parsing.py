"""Parsing scores against the CoNLL 2018 rules, and the path from sentence to tree."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import made_models as made
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from xltray.corpora.base import Sentence
from xltray.corpora.toy import ToyCorpus
from xltray.corpora.ud import DEPRELS, UDCorpus
from xltray.nn import packing
from xltray.nn.biaffine import BiaffineParser, ParserEnergies
from xltray.nn.encoder import build_encoder
from xltray.nn.model import EndpointModel
from xltray.nn.packing import Layout
from xltray.nn.trees import decode
from xltray.spec import DataSpec, ParserSpec, ToySpec, TreebankSpec
from xltray.tasks import words as tasks_words
from xltray.tasks.base import Evaluation
from xltray.tasks.parsing import ParsingTask

TASK = ParsingTask()
NO_PIECE = "\u200d"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SMALL = ParserSpec(arc_dim=12, label_dim=6, dropout=0.1)


class Tree(NamedTuple):
    """A head and a relation for every word."""

    heads: tuple[int, ...]
    deprels: tuple[str, ...]


@pytest.fixture(scope="module")
def tokenizer():
    """Letters and whatever else: every unknown word is one piece."""
    return made.wordpiece([*LETTERS, *(f"##{c}" for c in LETTERS)])


def toy_sentences(count: int) -> list[Sentence]:
    return ToyCorpus(DataSpec(toy=ToySpec(train=1, dev=count))).sentences("qaa", "dev")


def sentence(heads: Sequence[int], words=None, upos=None, deprels=None) -> Sentence:
    n = len(heads)
    words = words or [LETTERS[i % 26] for i in range(n)]
    deprels = deprels or ["root" if head == 0 else "obj" for head in heads]
    return Sentence(
        tuple(words), tuple(upos or ["NOUN"] * n), tuple(heads), tuple(deprels), " ".join(words), "here"
    )


def chain(words: int) -> Sentence:
    """Every word hangs on the one before."""
    return sentence(range(words))


def encode(examples, tokenizer, *, role="dev", max_length=128, limit=512):
    return TASK.encode(examples, tokenizer, role=role, max_length=max_length, limit=limit)


# --- a parser whose answers are known ---


class Oracle(nn.Module):
    """Stands where the parser stands: gives energies whose best trees are the given ones."""

    def __init__(self, trees: Sequence[Tree], batches: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.trees = [[trees[i] for i in members] for members in batches]
        self.calls = 0

    def forward(self, words_SNH: Tensor, mask_SN: Tensor) -> Tensor:
        return words_SNH

    def energies(self, scores: Tensor, mask_SN: Tensor, *_: object) -> ParserEnergies:
        trees = self.trees[self.calls]
        self.calls += 1
        size = mask_SN.shape[1] + 1
        generator = torch.Generator().manual_seed(self.calls)
        energies = torch.rand(len(trees), size, size, generator=generator) - 100
        relations = torch.randint(len(DEPRELS), energies.shape, generator=generator)
        for row, tree in enumerate(trees):
            for child, (head, relation) in enumerate(zip(tree.heads, tree.deprels, strict=True), 1):
                energies[row, child, head] = 0.0
                relations[row, child, head] = DEPRELS.index(relation)
        return ParserEnergies(energies, relations, torch.zeros(mask_SN.shape))


class Blind(nn.Module):
    """Stands where the encoder stands."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, packed) -> Tensor:
        return torch.zeros(len(packed.ids_T), 1)


def score(examples: Sequence[Sentence], trees: Sequence[Tree], tokenizer, *, size: int = 7) -> Evaluation:
    """Evaluate a parser that answers with these trees, in shuffled batches of ``size`` sentences."""
    split = encode(examples, tokenizer)
    order = list(range(len(examples)))
    random.Random(0).shuffle(order)
    members = [order[start : start + size] for start in range(0, len(order), size)]
    batches = [TASK.collate([split.sequences[i] for i in m], "cpu", training=False) for m in members]
    packed = [[m[i] for i in batch.packed.order] for m, batch in zip(members, batches, strict=True)]
    kept = [Tree(t.heads[:128], t.deprels[:128]) for t in trees]
    return TASK.evaluate(Blind(Oracle(kept, packed)), split, batches)


def perfect(examples: Sequence[Sentence]) -> list[Tree]:
    return [Tree(e.heads, e.deprels) for e in examples]


def random_tree(words: int, draw: random.Random) -> Tree:
    order = list(range(1, words + 1))
    draw.shuffle(order)
    heads = [0] * words
    for place, word in enumerate(order[1:], start=1):
        heads[word - 1] = draw.choice(order[:place])
    return Tree(tuple(heads), tuple(draw.choices(DEPRELS, k=words)))


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


# --- scores ---


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


# --- sentences to tensors ---


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


# --- with a real parser ---


def endpoint(tokenizer) -> EndpointModel:
    model = made.encoder("bert", vocabulary=len(tokenizer), positions=200)
    torch.manual_seed(1)
    parser = TASK.head(16, SMALL)
    with torch.no_grad():
        for parameter in parser.parameters():  # far from uniform; biases that start at zero too
            parameter.normal_(std=0.5)
    return EndpointModel(model, parser, dropout=0.2).eval()


def plain_scores(model: EndpointModel, twin, encoded, words: int):
    """Arc and label log-probabilities (N, N1) and (N, N1, L) of one sentence, by an own forward."""
    parser = model.head
    with torch.inference_mode():
        words_1NH = made.one_forward(twin, encoded.tokens)[list(encoded.words)][None]
        every_1N = torch.ones(1, words, dtype=torch.bool)
        scores = parser(words_1NH, every_1N)
        labels = [
            parser.label_logits_at(scores, torch.full((1, words), head), every_1N)
            for head in range(words + 1)
        ]
    return scores.arcs_SNN1[0], torch.stack(labels, 1).log_softmax(-1)


def test_the_default_head_has_the_papers_sizes():
    head = TASK.head(16, None)
    assert isinstance(head, BiaffineParser)
    assert head.arc_weight_AA.shape == (512, 512)
    assert head.label_weight_LEE.shape == (37, 128, 128)


@pytest.mark.parametrize("training", [False, True])
def test_the_loss_is_that_of_single_sentences(tokenizer, training):
    model = endpoint(tokenizer)
    twin = made.plain_twin(model.encoder)
    examples = [
        *toy_sentences(6),
        sentence([2, 0, 2, 3], words=["a", NO_PIECE, "bc", "d"], upos=["NOUN", "VERB", "PUNCT", "X"]),
        chain(40),
        sentence([*([40] * 39), 0]),  # every head is beyond the cut
    ]
    split = encode(examples, tokenizer, role="train", max_length=24)
    batch = TASK.collate(split.sequences, "cpu", training=training)
    with torch.inference_mode():
        loss = TASK.loss(model, batch)
    total, decisions = 0.0, 0
    for example, encoded in zip(examples, split.sequences, strict=True):
        kept = len(encoded.words)
        arcs_NN1, labels_NN1L = plain_scores(model, twin, encoded, kept)
        for word in range(kept):
            head = example.heads[word]
            if head <= kept and example.words[word] != NO_PIECE:
                relation = DEPRELS.index(example.deprels[word])
                total -= float(arcs_NN1[word, head] + labels_NN1L[word, head, relation])
                decisions += 1
    assert loss.decisions == decisions  # punctuation is learned, too
    assert decisions < sum(len(encoded.words) for encoded in split.sequences)
    assert float(loss.total) == pytest.approx(total, rel=1e-4)


def test_heads_beyond_the_cut_do_not_change_the_loss(tokenizer):
    model = endpoint(tokenizer)
    losses = []
    for head, relation in [(30, "obj"), (35, "nsubj")]:
        heads, deprels = list(range(40)), ["root", *["dep"] * 39]
        heads[3], deprels[3] = head, relation
        split = encode([sentence(heads, deprels=deprels)], tokenizer, role="train", max_length=22)
        with torch.inference_mode():
            losses.append(TASK.loss(model, TASK.collate(split.sequences, "cpu", training=True)))
    assert losses[0].decisions == losses[1].decisions == 19
    assert torch.equal(losses[0].total, losses[1].total)


def test_the_dev_loss_is_over_words_that_have_a_prediction(tokenizer):
    model = endpoint(tokenizer)
    twin = made.plain_twin(model.encoder)
    heads = list(range(130))
    heads[4] = 130  # beyond the first 128 words
    forms = [LETTERS[i % 26] for i in range(130)]
    forms[20] = NO_PIECE
    gold = sentence(heads, words=forms, upos=["NOUN", "PUNCT"] * 65)
    split = encode([gold], tokenizer, limit=200)
    arcs_NN1, labels_NN1L = plain_scores(model, twin, split.sequences[0], 128)
    scored = [word for word in range(0, 128, 2) if word not in (4, 20)]
    relations = [DEPRELS.index(gold.deprels[word]) for word in scored]
    chosen = [gold.heads[word] for word in scored]
    log_probs = arcs_NN1[scored, chosen] + labels_NN1L[scored, chosen, relations]
    found = TASK.evaluate(model, split, TASK.batches(split, "cpu"))
    assert found.loss == pytest.approx(-float(log_probs.mean()), rel=1e-4)
    assert found.counts["las"].gold == 64


def test_scores_do_not_depend_on_batches(tokenizer, monkeypatch):
    model, examples = endpoint(tokenizer), toy_sentences(80)
    split = encode(examples, tokenizer)
    together = TASK.evaluate(model.train(), split, TASK.batches(split, "cpu"))
    assert not model.training
    monkeypatch.setitem(packing.PAIRED_BUDGET, "cpu", 200)
    some = TASK.batches(split, "cpu")
    assert 3 < len(some) < 80
    alone = [TASK.collate([sequence], "cpu", training=False) for sequence in split.sequences]
    for batches in (some, alone):
        found = TASK.evaluate(model, split, batches)
        assert found.counts == together.counts
        assert found.loss == pytest.approx(together.loss, rel=1e-5)
    assert 0 < together.counts["uas"].correct < together.counts["uas"].gold


def test_evaluation_is_the_best_tree_by_brute_force(tokenizer):
    model = endpoint(tokenizer)
    twin = made.plain_twin(model.encoder)
    draw = random.Random(0)
    examples = []
    for _ in range(40):
        words = draw.randint(1, 5)
        tree = random_tree(words, draw)
        forms = ["".join(draw.choices(LETTERS, k=draw.randint(1, 3))) for _ in range(words)]
        upos = draw.choices(["NOUN", "PUNCT", "SYM", "VERB"], k=words)
        examples.append(sentence(tree.heads, words=forms, upos=upos, deprels=tree.deprels))
    split = encode(examples, tokenizer)
    answers, losses = [], []
    for index, encoded in enumerate(split.sequences):
        n = len(encoded.words)
        arcs_NN1, labels_NN1L = plain_scores(model, twin, encoded, n)
        best_NN1, relation_NN1 = labels_NN1L.max(-1)
        heads = best_tree((arcs_NN1 + best_NN1).double().numpy())
        answers.append(Tree(heads, tuple(DEPRELS[relation_NN1[c, h]] for c, h in enumerate(heads))))
        # The gold relation is made the predicted one now and then, so that LAS is not near zero.
        mixed = [
            answer if draw.random() < 0.5 else gold
            for answer, gold in zip(answers[-1].deprels, examples[index].deprels, strict=True)
        ]
        examples[index] = sentence(examples[index].heads, examples[index].words, examples[index].upos, mixed)
        losses += [
            -float(arcs_NN1[word, head] + labels_NN1L[word, head, DEPRELS.index(mixed[word])])
            for word, head in enumerate(examples[index].heads)
            if examples[index].upos[word] not in ("PUNCT", "SYM")
        ]
    split = encode(examples, tokenizer)
    found = TASK.evaluate(model, split, TASK.batches(split, "cpu"))
    expected = score(examples, answers, tokenizer)
    assert found.counts == expected.counts
    assert found.counts["las"].correct > 5
    # Summed over the same words as the scores.
    assert len(losses) == found.counts["las"].gold
    assert found.loss == pytest.approx(float(np.mean(losses)), rel=1e-4)


def best_tree(energies_NN1) -> tuple[int, ...]:
    """Return the heads of the best tree with one root, by trying all."""
    n = len(energies_NN1)
    best, answer = -np.inf, ()
    for heads in itertools.product(range(n + 1), repeat=n):
        if heads.count(0) != 1 or not all(reaches_root(word, heads) for word in range(1, n + 1)):
            continue
        total = sum(energies_NN1[word, head] for word, head in enumerate(heads))
        if total > best:
            best, answer = total, heads
    return answer


def reaches_root(word: int, heads: Sequence[int]) -> bool:
    for _ in heads:
        word = heads[word - 1]
        if word == 0:
            return True
    return False


def test_an_empty_split(tokenizer):
    split = encode([], tokenizer)
    found = TASK.evaluate(endpoint(tokenizer), split, TASK.batches(split, "cpu"))
    assert found.counts["las"] == (0, 0, 0)
    assert found.loss is None


def test_a_sentence_of_punctuation_alone(tokenizer):
    split = encode([sentence([0], upos=["PUNCT"])], tokenizer)
    found = TASK.evaluate(endpoint(tokenizer), split, TASK.batches(split, "cpu"))
    assert found.counts["las"] == (0, 0, 0)
    assert found.loss is None
    assert found.examples == 1


def test_training_lowers_the_loss_and_finds_the_trees(tokenizer):
    torch.manual_seed(0)
    encoder = build_encoder(made.configuration("bert", vocabulary=len(tokenizer)))
    model = EndpointModel(encoder, TASK.head(16, SMALL), dropout=0.1).train()
    draw = random.Random(0)
    examples = []
    for _ in range(4):
        tree = random_tree(5, draw)
        examples.append(sentence(tree.heads, words=draw.sample(LETTERS, 5), deprels=tree.deprels))
    split = encode(examples, tokenizer, role="train")
    batch = TASK.collate(split.sequences, "cpu", training=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    first = None
    for _ in range(200):
        loss = TASK.loss(model, batch)
        first = first or float(loss.total.detach()) / loss.decisions
        optimizer.zero_grad()
        (loss.total / loss.decisions).backward()
        optimizer.step()
    found = TASK.evaluate(model, split, TASK.batches(split, "cpu"))
    assert found.loss < 0.1 * first
    assert found.counts["las"].value > 0.9
