"""Interpolating only the word embeddings that are read: bit for bit the same answers, less work."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import made_models as made
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import Tiny
from torch import Tensor, nn

from xltray import evaluator as evaluator_module
from xltray.evaluator import CellEvaluator
from xltray.grid import BILINGUAL, CORNERS, SOURCE, TARGET, Point
from xltray.nn import flat as flat_module
from xltray.nn.flat import FlatModel, Interpolator
from xltray.nn.model import EndpointModel
from xltray.nn.packing import Layout, PackedBatch, Tokens, pack
from xltray.nn.word_rows import word_rows

VOCABULARY = 400
# The words of a few lengths, so that padded families pad; the specials of some families among them.
SENTENCES = [[2, 17, 300, 399, 3], [2, 17, 45, 3], [0, 120, 2], [2, 301, 302, 17, 88, 64, 3]]
coordinates = st.builds(Fraction, st.integers(-80, 80), st.integers(1, 40))
points = st.builds(Point, coordinates, coordinates) | st.sampled_from([BILINGUAL, SOURCE, TARGET])
scopes = st.sampled_from(["all", "encoder", "head"])


def batches(*layouts: Layout) -> list[PackedBatch]:
    sequences = [Tokens(ids, [0] * len(ids)) for ids in SENTENCES]
    return [pack(sequences, layout=layout) for layout in layouts or tuple(Layout)]


def endpoint(family: str = "bert") -> EndpointModel:
    encoder = made.encoder(family, vocabulary=VOCABULARY)
    torch.manual_seed(1)
    return EndpointModel(encoder, nn.Linear(16, 3), dropout=0.0).eval()


def three(size: int) -> dict[str, Tensor]:
    """Return endpoints near enough to each other for a model between them to say something."""
    generator = torch.Generator().manual_seed(7)
    middle = torch.randn(size, generator=generator) * 0.4
    return {
        f"{corner}_P": middle + torch.randn(size, generator=generator) * 0.2
        for corner in ("bilingual", "source", "target")
    }


def poisoned(flat: FlatModel, endpoints: dict[str, Tensor], rows: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the endpoints with NaN in the rows that are said not to be read."""
    (name,) = rows
    place = dict(flat.layout.slices())[name]
    unread = torch.ones(VOCABULARY, dtype=torch.bool).index_fill(0, rows[name], False)
    changed = {corner: endpoint_P.clone() for corner, endpoint_P in endpoints.items()}
    for endpoint_P in changed.values():
        endpoint_P[place].view(flat.layout.shapes[name])[unread] = torch.nan
    return changed


class Twins:
    """A model that is interpolated whole, and one of which only the rows that are read are."""

    def __init__(self, family: str) -> None:
        self.batches = batches()
        self.whole, self.some = FlatModel(endpoint(family)), FlatModel(endpoint(family))
        self.rows = word_rows(self.some.model, self.batches)
        self.endpoints = three(self.whole.layout.size)
        self.all = Interpolator(self.whole, **self.endpoints)
        self.few = Interpolator(self.some, rows=self.rows, **poisoned(self.some, self.endpoints, self.rows))

    def logits(self, flat: FlatModel) -> list[Tensor]:
        model: Any = flat.model
        with torch.inference_mode():
            return [model.head(model(batch)) for batch in self.batches]


twins: dict[str, Twins] = {}


@pytest.mark.parametrize("family", made.ALL_FAMILIES)
@settings(deadline=None, max_examples=12)
@given(point=points, scope=scopes)
def test_answers_are_those_of_a_blend_of_the_whole(family: str, point: Point, scope: str) -> None:
    pair = twins.setdefault(family, Twins(family))
    pair.all.set(point, scope)
    pair.few.set(point, scope)
    for expected, found in zip(pair.logits(pair.whole), pair.logits(pair.some), strict=True):
        assert torch.equal(found, expected)
        assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "deberta-v2", "modernbert"])
def test_no_row_that_is_read_can_be_left_out(family: str) -> None:
    pair = twins.setdefault(family, Twins(family))
    ((name, rows_U),) = pair.rows.items()
    # In a family that is not padded, the padding's row counts as read and is not.
    pad = pair.some.model.encoder.config.pad_token_id  # type: ignore[union-attr]
    read = {id_ for sentence in SENTENCES for id_ in sentence}
    if family in made.PADDED_FAMILIES:
        read.add(pad)
    assert set(rows_U.tolist()) == read | {pad}
    for row in read:
        flat = FlatModel(endpoint(family))
        rows = {name: rows_U[rows_U != row]}
        left_out = Interpolator(flat, rows=rows, **poisoned(flat, pair.endpoints, rows))
        left_out.set(SOURCE)
        # Attention is masked where padding is, so that its row reaches no other token.
        with torch.inference_mode():
            seen = flat.model.encoder.get_input_embeddings()(torch.tensor([row]))  # type: ignore[union-attr]
        assert bool(seen.isnan().all())
        if row != pad:
            assert any(bool(logits.isnan().any()) for logits in pair.logits(flat))


@pytest.mark.parametrize("scope", ["all", "encoder", "head"])
@pytest.mark.parametrize("corner", CORNERS)
def test_corners_are_bit_equal_on_the_rows_that_are_read(corner: str, scope: str) -> None:
    pair = Twins("bert")
    few = Interpolator(pair.some, rows=pair.rows, **pair.endpoints)
    few.set(Point(Fraction(1, 3), Fraction(5, 7)))
    few.set(CORNERS[corner], scope)
    ((name, rows_U),) = pair.rows.items()
    for parameter, place in pair.some.layout.slices():
        moves = scope == "all" or parameter.startswith(f"{scope}.")
        expected_P = pair.endpoints[f"{corner if moves else 'bilingual'}_P"][place]
        found_P = pair.some.flat_P[place]
        if parameter == name:
            found_P, expected_P = (x.view(VOCABULARY, -1)[rows_U] for x in (found_P, expected_P))
        assert torch.equal(found_P.view(torch.int32), expected_P.view(torch.int32)), parameter


def test_rows_that_are_not_read_are_the_bilingual_models_whatever_is_set() -> None:
    pair = Twins("bert")
    few = Interpolator(pair.some, rows=pair.rows, **pair.endpoints)
    ((name, rows_U),) = pair.rows.items()
    place = dict(pair.some.layout.slices())[name]
    unread = torch.ones(VOCABULARY, dtype=torch.bool).index_fill(0, rows_U, False)
    expected = pair.endpoints["bilingual_P"][place].view(VOCABULARY, -1)[unread]
    for scope in ("all", "encoder", "head"):
        few.set(Point(Fraction(1, 3), Fraction(5, 7)), scope)
        assert torch.equal(pair.some.flat_P[place].view(VOCABULARY, -1)[unread], expected)


def test_fewer_weights_are_set() -> None:
    pair = Twins("bert")
    ((name, rows_U),) = pair.rows.items()
    table = pair.some.layout.shapes[name].numel()
    assert pair.all.weights == pair.whole.layout.size
    assert pair.few.weights == pair.some.layout.size - table + 16 * len(rows_U)
    assert len(rows_U) < VOCABULARY / 20


def test_a_table_that_is_used_much_is_blended_whole() -> None:
    pair = Twins("bert")
    (name,) = pair.rows
    for used, set_ in ((100, 100), (101, VOCABULARY)):
        few = Interpolator(pair.some, rows={name: torch.arange(used)}, **pair.endpoints)
        assert few.weights == pair.all.weights - 16 * (VOCABULARY - set_)


@pytest.mark.parametrize("block", [1, 16, 48, 1 << 18])
def test_blocks_change_no_bit(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Twins("bert")
    point = Point(Fraction(1, 3), Fraction(5, 7))
    pair.all.set(point)
    monkeypatch.setattr(flat_module, "_BLOCK", block)
    pair.few.set(point)
    for expected, found in zip(pair.logits(pair.whole), pair.logits(pair.some), strict=True):
        assert torch.equal(found, expected)


# Where the table may be read whole.


class Tied(nn.Module):
    """A head with an output layer over the vocabulary, tied to the word embeddings."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.output = nn.Linear(16, VOCABULARY, bias=False)
        self.output.weight = weight


def tied(model: EndpointModel) -> None:
    model.head = Tied(model.encoder.get_input_embeddings().weight)


def twice(model: EndpointModel) -> None:
    model.head = model.encoder.get_input_embeddings()


class Lookup(nn.Embedding):
    """An embedding that may do anything with its table."""


def subclassed(model: EndpointModel) -> None:
    model.encoder.set_input_embeddings(Lookup(VOCABULARY, 16))


def renormed(model: EndpointModel) -> None:
    model.encoder.get_input_embeddings().max_norm = 1.0


def unknown_family(model: EndpointModel) -> None:
    model.encoder.config.model_type = "longformer"


@pytest.mark.parametrize("change", [tied, twice, subclassed, renormed, unknown_family])
def test_all_rows_count_as_read_where_the_table_may_be_read_whole(change: Any) -> None:
    model = endpoint()
    assert word_rows(model, batches())
    change(model)
    assert word_rows(model, batches()) == {}
    flat = FlatModel(model)
    assert word_rows(flat.model, batches()) == {}  # type: ignore[arg-type]
    whole = Interpolator(flat, rows={}, **three(flat.layout.size))
    assert whole.weights == flat.layout.size


def test_no_batches() -> None:
    assert word_rows(endpoint(), []) == {}


# A cell.


def predictions(evaluator: CellEvaluator, where: Sequence[tuple[Point, str]]) -> list[Any]:
    return [(evaluator.score_point(*at), evaluator.predict_point(*at)) for at in where]


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_a_cells_counts_and_predictions(tiny: Tiny, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where = [
        *((point, "all") for point in CORNERS.values()),
        *((Point(Fraction(1, 3), Fraction(5, 7)), scope) for scope in ("all", "encoder", "head")),
        (SOURCE, "head"),
    ]
    evaluator = CellEvaluator(tiny.context)
    given: list[Any] = []
    for used in (0.0, 1.0):  # nothing, then anything, is few enough to be gathered
        monkeypatch.setattr(flat_module, "_GATHERED_AT_MOST", used)
        evaluator.load(tiny.cell(task))
        interpolator = evaluator._held()
        given.append(predictions(evaluator, where))
        geometry = evaluator.geometry()
        given[-1].append(geometry)
        assert (interpolator.weights < interpolator.model.layout.size) == bool(used)
    assert given[0] == given[1]


def test_a_cells_rows_are_those_of_both_dev_sets(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[dict[str, Tensor]] = []

    def observed(*arguments: Any) -> dict[str, Tensor]:
        found.append(word_rows(*arguments))
        return found[-1]

    monkeypatch.setattr(evaluator_module, "word_rows", observed)
    evaluator = CellEvaluator(tiny.context)
    evaluator.load(tiny.cell())
    used = {
        language: {id_ for sequence in dev_set.split.sequences for id_ in sequence.tokens.ids}
        for language, dev_set in evaluator.dev_sets.items()
    }
    (rows,) = found[0].values()
    pad = evaluator._held().model.model.encoder.config.pad_token_id  # type: ignore[union-attr]
    assert set(rows.tolist()) == used["qaa"] | used["qab"] | {pad}
    assert used["qaa"] - used["qab"]
    assert used["qab"] - used["qaa"]
