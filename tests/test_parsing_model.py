"""With a real parser: the loss, and scores against the best trees by brute force."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import made_models as made
import numpy as np
import pytest
import torch
from made_parsing import LETTERS, NO_PIECE, TASK, Tree, chain, encode, random_tree, score, sentence, tokenizer

from xltray.corpora.base import Sentence
from xltray.corpora.toy import ToyCorpus
from xltray.corpora.ud import DEPRELS
from xltray.nn import packing
from xltray.nn.biaffine import BiaffineParser
from xltray.nn.encoder import build_encoder
from xltray.nn.model import EndpointModel
from xltray.spec import DataSpec, ParserSpec, ToySpec

# Fixtures: pytest looks for them in this module.
__all__ = ["tokenizer"]

SMALL = ParserSpec(arc_dim=12, label_dim=6, dropout=0.1)


def toy_sentences(count: int) -> list[Sentence]:
    return ToyCorpus(DataSpec(toy=ToySpec(train=1, dev=count))).sentences("qaa", "dev")


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
