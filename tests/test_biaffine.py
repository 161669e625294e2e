"""The biaffine parser against loops over pairs that say what it means."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from xltray.nn import biaffine
from xltray.nn.biaffine import BiaffineParser, ParserScores, SharedDropout
from xltray.nn.trees import decode
from xltray.spec import ParserSpec

HIDDEN, LABELS = 7, 5
LENGTHS = [4, 1, 6, 0, 3]
LONGEST = max(LENGTHS)


@pytest.fixture
def parser():
    torch.manual_seed(0)
    parser = BiaffineParser(HIDDEN, LABELS, ParserSpec(arc_dim=6, label_dim=4)).double().eval()
    with torch.no_grad():
        for parameter in parser.parameters():  # biases that start at zero would test nothing
            parameter.normal_()
    return parser


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    words_SNH = torch.randn(len(LENGTHS), LONGEST, HIDDEN, generator=generator, dtype=torch.float64)
    return words_SNH, torch.arange(LONGEST) < torch.tensor(LENGTHS)[:, None]


def gold(seed=2):
    """Heads (never a word itself), labels, and which words count; -1 and False are among them."""
    generator = torch.Generator().manual_seed(seed)
    heads_SN = torch.zeros(len(LENGTHS), LONGEST, dtype=torch.int64)
    for s, n in enumerate(LENGTHS):
        for word in range(1, n + 1):
            head = int(torch.randint(0, n, (), generator=generator))
            heads_SN[s, word - 1] = head if head < word else head + 1
    heads_SN[2, 1] = -1
    labels_SN = torch.randint(0, LABELS, heads_SN.shape, generator=generator)
    labels_SN[4, 0] = -100
    scored_SN = torch.arange(LONGEST) < torch.tensor(LENGTHS)[:, None]
    scored_SN[4, 0] = False
    return heads_SN, labels_SN, scored_SN


def reference_sentence(parser, words_NH):
    """Arc logits (N, N1) and label logits (N, N1, L) of one sentence, pair by pair, by nn.Bilinear."""
    arc = nn.Bilinear(6, 6, 1, bias=False).double()
    label = nn.Bilinear(4, 4, LABELS).double()
    n = len(words_NH)
    arcs = torch.full((n, n + 1), -torch.inf, dtype=torch.float64)
    labels = torch.zeros(n, n + 1, LABELS, dtype=torch.float64)
    with torch.no_grad():
        arc.weight.copy_(parser.arc_weight_AA[None])
        label.weight.copy_(parser.label_weight_LEE)
        label.bias.copy_(parser.label_bias_L)
        positions = [parser.root_H, *words_NH]
        for child, head in ((c, h) for c in range(1, n + 1) for h in range(n + 1) if h != c):
            arc_h, arc_c = parser.arc_head[:2](positions[head]), parser.arc_child[:2](positions[child])
            arcs[child - 1, head] = arc(arc_h, arc_c)[0] + arc_h @ parser.arc_bias_A
            h, c = parser.label_head[:2](positions[head]), parser.label_child[:2](positions[child])
            biases = parser.label_head_bias_LE @ h + parser.label_child_bias_LE @ c
            labels[child - 1, head] = label(h, c) + biases
    return arcs, labels


def test_arcs_equal_a_loop_over_pairs(parser, batch):
    words_SNH, mask_SN = batch
    arcs_SNN1 = parser(words_SNH, mask_SN).arcs_SNN1
    for s, n in enumerate(LENGTHS):
        arcs, _ = reference_sentence(parser, words_SNH[s, :n])
        torch.testing.assert_close(arcs_SNN1[s, :n, : n + 1], arcs.log_softmax(-1))
        assert (arcs_SNN1[s, :, n + 1 :] == -torch.inf).all()
    assert not arcs_SNN1.isnan().any()


def test_labels_at_heads_equal_a_loop_over_pairs(parser, batch):
    words_SNH, mask_SN = batch
    heads_SN = gold()[0].clamp(min=0)
    logits_WL = parser.label_logits_at(parser(words_SNH, mask_SN), heads_SN, mask_SN)
    logits_SNL = (
        torch.zeros(*mask_SN.shape, LABELS).to(logits_WL.dtype).masked_scatter(mask_SN[..., None], logits_WL)
    )
    for s, n in enumerate(LENGTHS):
        _, labels = reference_sentence(parser, words_SNH[s, :n])
        torch.testing.assert_close(logits_SNL[s, :n], labels[torch.arange(n), heads_SN[s, :n]])


def energies(parser, words_SNH, mask_SN):
    nothing_SN = torch.zeros(mask_SN.shape, dtype=torch.int64)
    return parser.energies(parser(words_SNH, mask_SN), mask_SN, nothing_SN, nothing_SN)


@pytest.mark.parametrize("held", [1, 200, 10**6])  # a bucket a sentence, a few, one for all
def test_energies_equal_a_loop_over_pairs(parser, batch, monkeypatch, held):
    monkeypatch.setattr(biaffine, "CPU_SCORES", held)
    words_SNH, mask_SN = batch
    energies_SN1N1, labels_SN1N1, _ = energies(parser, words_SNH, mask_SN)
    assert energies_SN1N1.shape == labels_SN1N1.shape == (len(LENGTHS), LONGEST + 1, LONGEST + 1)
    for s, n in enumerate(LENGTHS):
        arcs, labels = reference_sentence(parser, words_SNH[s, :n])
        best, best_labels = labels.log_softmax(-1).max(-1)
        torch.testing.assert_close(energies_SN1N1[s, 1 : n + 1, : n + 1], arcs.log_softmax(-1) + best)
        pairs = arcs > -torch.inf
        assert torch.equal(labels_SN1N1[s, 1 : n + 1, : n + 1][pairs], best_labels[pairs])
        assert (energies_SN1N1[s, 1:, n + 1 :] == -torch.inf).all()
        assert (energies_SN1N1[s, n + 1 :] == -torch.inf).all()
    assert not labels_SN1N1[energies_SN1N1 == -torch.inf].any()
    assert (energies_SN1N1[:, 0] == 0).all()


def test_loss_is_cross_entropy_of_explicit_logits(parser, batch):
    words_SNH, mask_SN = batch
    heads_SN, labels_SN, scored_SN = gold()
    arc_rows, label_rows, heads, labels = [], [], [], []
    for s, n in enumerate(LENGTHS):
        arcs, label_logits = reference_sentence(parser, words_SNH[s, :n])
        for word in range(n):
            if scored_SN[s, word] and heads_SN[s, word] >= 0:
                head = heads_SN[s, word]
                arc_rows.append(F.pad(arcs[word], (0, LONGEST - n), value=-torch.inf))
                label_rows.append(label_logits[word, head])
                heads.append(head)
                labels.append(labels_SN[s, word])
    expected = F.cross_entropy(torch.stack(arc_rows), torch.stack(heads), reduction="sum")
    expected += F.cross_entropy(torch.stack(label_rows), torch.stack(labels), reduction="sum")
    assert any(head == 0 for head in heads)  # roots are among what is learned
    loss, count = parser.loss(parser(words_SNH, mask_SN), heads_SN, labels_SN, scored_SN)
    torch.testing.assert_close(loss, expected)
    assert count == len(heads) == sum(LENGTHS) - 2


def test_a_sentence_alone_and_in_a_batch():
    torch.manual_seed(3)
    parser = BiaffineParser(HIDDEN, LABELS, ParserSpec()).eval()
    words_SNH = torch.randn(len(LENGTHS), LONGEST, HIDDEN)
    mask_SN = torch.arange(LONGEST) < torch.tensor(LENGTHS)[:, None]
    heads_SN, labels_SN, scored_SN = gold()
    together = parser.energies(parser(words_SNH, mask_SN), mask_SN, heads_SN, labels_SN.clamp(min=0))
    total, _ = parser.loss(parser(words_SNH, mask_SN), heads_SN, labels_SN, scored_SN)
    losses = []
    for s, n in enumerate(LENGTHS):
        rows = (slice(s, s + 1), slice(0, n))
        scores = parser(words_SNH[rows], mask_SN[rows])
        alone = parser.energies(scores, mask_SN[rows], heads_SN[rows], labels_SN[rows].clamp(min=0))
        inside = (slice(s, s + 1), slice(0, n + 1), slice(0, n + 1))
        torch.testing.assert_close(alone[0], together[0][inside], atol=1e-5, rtol=0)
        assert torch.equal(alone[1], together[1][inside])
        torch.testing.assert_close(alone[2], together[2][rows], atol=1e-5, rtol=0)
        losses.append(parser.loss(scores, heads_SN[rows], labels_SN[rows], scored_SN[rows])[0])
    torch.testing.assert_close(sum(losses), total, atol=1e-4, rtol=0)


def test_gradients_reach_every_parameter_and_are_right(batch):
    torch.manual_seed(4)
    parser = BiaffineParser(HIDDEN, LABELS, ParserSpec(arc_dim=6, label_dim=4)).double().eval()
    words_SNH, mask_SN = batch
    loss, _ = parser.loss(parser(words_SNH, mask_SN), *gold())
    loss.backward()
    for name, parameter in parser.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 1e-6, name
        # Against a finite difference along the gradient: d loss / d step = |gradient|^2.
        step = 1e-6
        with torch.no_grad():
            parameter += step * parameter.grad
            moved, _ = parser.loss(parser(words_SNH, mask_SN), *gold())
            parameter -= step * parameter.grad
        slope = (moved.item() - loss.item()) / step
        assert slope == pytest.approx(float(parameter.grad.square().sum()), rel=1e-2), name


def test_learns_a_tree_and_decodes_it():
    torch.manual_seed(5)
    parser = BiaffineParser(HIDDEN, LABELS, ParserSpec(arc_dim=32, label_dim=16))
    words_SNH = torch.randn(2, 6, HIDDEN)
    heads_SN = torch.tensor([[2, 0, 2, 3, 4, 2], [0, 1, 2, 2, 0, 0]])
    labels_SN = torch.tensor([[1, 0, 2, 3, 4, 1], [0, 3, 1, 2, 0, 0]])
    mask_SN = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    optimizer = torch.optim.Adam(parser.parameters(), lr=1e-2)
    parser.eval()  # no dropout: the point is to fit these two sentences
    for _ in range(60):
        optimizer.zero_grad()
        parser.loss(parser(words_SNH, mask_SN), heads_SN, labels_SN, mask_SN)[0].backward()
        optimizer.step()
    energies_SN1N1, best_SN1N1, _ = energies(parser, words_SNH, mask_SN)
    found = decode(energies_SN1N1.numpy(), mask_SN.sum(1).numpy())
    assert found[:, 1:].tolist() == heads_SN.tolist()
    labels = best_SN1N1[:, 1:].gather(2, heads_SN[..., None]).squeeze(-1)
    assert labels[mask_SN].tolist() == labels_SN[mask_SN].tolist()


def test_perfect_scores_decode_to_the_gold_tree(parser, monkeypatch):
    heads_SN = torch.tensor([[2, 0, 2, 3], [0, 1, 0, 0]])
    mask_SN = torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
    logits_SNN1 = 50.0 * F.one_hot(heads_SN, 5).double()
    perfect = logits_SNN1.log_softmax(-1)

    scores = ParserScores(perfect, torch.zeros(2, 5, 4).double(), torch.zeros(2, 4, 4).double())
    monkeypatch.setattr(biaffine, "CPU_SCORES", 1)
    nothing_SN = torch.zeros_like(heads_SN)
    energies_SN1N1, _, _ = parser.energies(scores, mask_SN, nothing_SN, nothing_SN)
    assert decode(energies_SN1N1.numpy(), mask_SN.sum(1).numpy())[:, 1:].tolist() == heads_SN.tolist()


def test_dropout_mask_is_shared_by_positions_and_differs_between_sentences():
    torch.manual_seed(6)
    dropped = SharedDropout(0.33)(torch.ones(8, 5, 200))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert not torch.equal(dropped[0], dropped[1])
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.67])
    assert (dropped == 0).float().mean() == pytest.approx(0.33, abs=0.05)
    kept = torch.randn(2, 3, 4)
    assert torch.equal(SharedDropout(0.33).eval()(kept), kept)


def test_parser_drops_the_same_features_of_root_and_words():
    torch.manual_seed(7)
    parser = BiaffineParser(HIDDEN, LABELS, ParserSpec(label_dim=64, dropout=0.5))
    scores = parser(torch.randn(3, 4, HIDDEN), torch.ones(3, 4, dtype=torch.bool))
    for features in (scores.label_heads_SN1E, scores.label_children_SNE):
        zero = features == 0
        assert zero.any()
        assert torch.equal(zero, zero[:, :1].expand_as(zero))
    parser.eval()
    assert (parser(torch.randn(3, 4, HIDDEN), torch.ones(3, 4, dtype=torch.bool))[1] != 0).all()


def test_starts_as_allennlp_does():
    parser = BiaffineParser(HIDDEN, LABELS, ParserSpec(arc_dim=64, label_dim=64))
    xavier = (6 / (65 + 65)) ** 0.5
    for parameter, bound in ((parser.arc_weight_AA, xavier), (parser.label_weight_LEE, 64**-0.5)):
        assert 0.95 * bound < parameter.abs().max() <= bound
    assert not parser.label_head_bias_LE.any()
    assert not parser.label_child_bias_LE.any()


def test_energies_keep_no_graph(parser, batch):
    assert energies(parser, *batch).energies_SN1N1.is_inference()


@pytest.mark.parametrize("held", [1, 10**6])
def test_costs_of_the_gold_add_up_to_the_loss(parser, batch, monkeypatch, held):
    monkeypatch.setattr(biaffine, "CPU_SCORES", held)
    words_SNH, mask_SN = batch
    heads_SN, labels_SN, _ = gold()
    labels_SN = labels_SN.clamp(min=0)
    scores = parser(words_SNH, mask_SN)
    loss, count = parser.loss(scores, heads_SN, labels_SN, mask_SN)
    costs_SN = parser.energies(scores, mask_SN, heads_SN, labels_SN).costs_SN
    torch.testing.assert_close(costs_SN.sum(), loss.detach())
    assert int((costs_SN > 0).sum()) == int(count)
