"""Scoring a point asks the device for numbers once a language, and the host's work happens beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import made_models as made
import numpy as np
import pytest
import torch
from tiny import Tiny, make_tiny
from torch import Tensor

from xltray.endpoints import DevSet
from xltray.evaluator import CellEvaluator
from xltray.grid import Chunk, Point
from xltray.nn import device, packing
from xltray.nn.model import EndpointModel
from xltray.spec import ParserSpec
from xltray.tasks import labelling, ner, parsing
from xltray.tasks.base import Encoded, EncodedSplit, SplitWords
from xltray.tasks.registry import get_task

TASKS = ("pos", "ner", "xnli", "parsing")
LENGTHS = (1, 2, 5, 3, 9, 2, 5)
WHOLE = Point(Fraction(1, 3), Fraction(1, 4))


def made_split(task: str) -> EncodedSplit:
    """Sentences of random subwords; each word is one, and its label depends on it."""
    generator = torch.Generator().manual_seed(0)
    sequences, offset = [], 0
    for example, length in enumerate(LENGTHS):
        ids = torch.randint(5, 49, (length + 2,), generator=generator).tolist()
        words = [0] if task == "xnli" else list(range(1, length + 1))
        labels = {"label": [ids[place] % 3 for place in words]}
        if task in ("pos", "ner"):
            labels["index"] = list(range(offset, offset + length))
        if task == "parsing":
            labels = {
                "head": [0, *range(1, length)],
                "relation": [ids[place] % 5 for place in words],
                "scored": [ids[place] % 4 > 0 for place in words],
                "seen": [1] * length,
            }
        sequences.append(Encoded(packing.Tokens(ids, [0] * len(ids)), words, labels, example))
        offset += length
    gold = torch.tensor([label for s in sequences for label in s.labels.get("label", ())])
    sentence_N = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
    whole = SplitWords(gold, sentence_N) if task in ("pos", "ner") else None
    return EncodedSplit(sequences, len(LENGTHS), words=whole)


def made_model(task: str) -> EndpointModel:
    torch.manual_seed(0)
    head = get_task(task).head(16, ParserSpec(arc_dim=12, label_dim=8))
    return EndpointModel(made.encoder("bert"), head, 0.1).eval()


def dev_set(task: str, monkeypatch: pytest.MonkeyPatch) -> DevSet:
    """Three batches on the CPU."""
    small_batches("cpu", monkeypatch)
    split = made_split(task)
    made_set = DevSet(get_task(task), split, get_task(task).batches(split, "cpu"))
    assert len(made_set.batches) == 3
    return made_set


def small_batches(device_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for budget in (packing.TOKEN_BUDGET, packing.PAIRED_BUDGET):
        monkeypatch.setitem(budget, device_type, 18)


def watch_transfers(monkeypatch: pytest.MonkeyPatch, begin: Callable[..., Any]) -> None:
    for module in (labelling, ner, parsing):
        monkeypatch.setattr(module, "begin_transfer", begin)


@pytest.mark.parametrize("task", TASKS)
def test_nothing_reads_a_number_until_the_counts_are_asked_for(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tensors on "meta" have no numbers: whatever needs one, or a shape that depends on one, fails there.
    found: list[tuple[Tensor, ...]] = []
    small_batches("meta", monkeypatch)
    watch_transfers(monkeypatch, lambda *tensors: found.append(tensors))
    monkeypatch.setattr(parsing, "beside", lambda _, work: work)
    split = made_split(task).on("meta")
    batches = get_task(task).batches(split, "meta")
    get_task(task).queue(made_model(task).to("meta"), split, batches)
    # Trees are searched on the host; all else is in the one transfer at the end.
    assert [len(tensors) for tensors in found] == ([2] * 3 if task == "parsing" else []) + [1]
    assert {tensor.device.type for tensors in found for tensor in tensors} == {"meta"}


@pytest.mark.parametrize("reader", [Tensor.item, Tensor.tolist, Tensor.cpu, Tensor.nonzero, bool, int, float])
def test_a_tensor_without_numbers_cannot_be_read(reader: Callable[[Tensor], object]) -> None:
    with pytest.raises(RuntimeError):
        reader(torch.ones((), device="meta"))


@pytest.mark.parametrize("task", TASKS)
def test_counts_come_in_one_transfer_a_language(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def begin(*tensors: Tensor) -> Callable[[], Any]:
        sizes.append(sum(tensor.numel() for tensor in tensors))
        return device.begin_transfer(*tensors)

    made_set = dev_set(task, monkeypatch)
    expected = made_set.score(made_model(task))
    watch_transfers(monkeypatch, begin)
    assert made_set.score(made_model(task)) == expected
    assert len(sizes) == (4 if task == "parsing" else 1)
    assert sizes[-1] <= 4, "the last is of sums alone"
    assert sum(counts.gold for counts in expected.counts.values()) > 0
    assert expected.loss is not None


def test_trees_searched_by_a_thread_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made_set = dev_set("parsing", monkeypatch)
    model = made_model("parsing")
    expected = made_set.score(model)
    threads: list[str] = []
    decode = parsing.decode

    def spy(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return decode(*arguments)

    monkeypatch.setattr(parsing, "decode", spy)
    monkeypatch.setattr(parsing, "beside", lambda _, work: device.beside("cuda", work))
    assert made_set.score(model) == expected
    assert len(threads) == 3
    assert set(threads) == {"xltray-beside_0"}
    threads.clear()
    monkeypatch.setattr(parsing, "beside", device.beside)
    assert made_set.score(model) == expected
    assert set(threads) == {"MainThread"}


def test_work_beside_a_gpu_is_not_waited_for_until_its_result_is_asked_for() -> None:
    go, begun, order = threading.Event(), threading.Event(), []

    def first() -> str:
        begun.set()
        assert go.wait(10)
        order.append(1)
        return "first"

    def second() -> None:
        order.append(2)
        raise ValueError("of the second")

    results = [device.beside("cuda", work) for work in (first, second)]
    assert begun.wait(10)
    assert not order
    go.set()
    assert results[0]() == "first"
    with pytest.raises(ValueError, match="of the second"):
        results[1]()
    assert order == [1, 2]


def test_a_chunks_next_point_is_queued_before_the_last_is_read(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = CellEvaluator(tiny.context)
    evaluator.load(tiny.cell("parsing"))
    points = tiny.cell("parsing").grid.points
    expected = [s for index in (0, 3, 5) for s in evaluator.score_point(points[index], "all", index)]
    events: list[str] = []
    queue = DevSet.queue

    def spy(made_set: DevSet, model: EndpointModel) -> Callable[[], Any]:
        events.append("queue")
        pending = queue(made_set, model)

        def read() -> Any:
            events.append("read")
            return pending()

        return read

    monkeypatch.setattr(DevSet, "queue", spy)
    assert evaluator.score(Chunk("all", (0, 3, 5))) == expected
    both = ["queue", "queue"], ["read", "read"]
    assert events == [*both[0], *both[0], *both[1], *both[0], *both[1], *both[1]]


@pytest.mark.gpu
@pytest.mark.parametrize("task", TASKS)
def test_scoring_on_a_gpu_waits_for_nothing(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = dev_set(task, monkeypatch).score(made_model(task))
    small_batches("cuda", monkeypatch)
    split = made_split(task).on("cuda")
    on_gpu = DevSet(get_task(task), split, get_task(task).batches(split, "cuda"))
    model = made_model(task).to("cuda")
    on_gpu.score(model)  # libraries set themselves up, and may wait
    try:
        torch.cuda.set_sync_debug_mode("error")
        pending = on_gpu.queue(model)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found = pending()
    assert found.counts == expected.counts
    assert found.loss == pytest.approx(expected.loss, rel=1e-4)


@pytest.mark.gpu
def test_a_transfer_brings_what_a_gpu_had_when_it_was_begun() -> None:
    numbers = torch.arange(100_000, device="cuda")
    arrived = device.begin_transfer(numbers, numbers + 1)
    numbers.zero_()
    first, second = arrived()
    np.testing.assert_array_equal(first, np.arange(100_000))
    np.testing.assert_array_equal(second, np.arange(1, 100_001))


@pytest.mark.gpu
@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_a_cell_on_a_gpu_passes_its_corners_and_scores_points_again_alike(task: str, tmp_path: Path) -> None:
    own = make_tiny(tmp_path / "store", tasks=[task])
    own = own._replace(context=replace(own.context, device="cuda"))
    own.run()
    evaluator = CellEvaluator(own.context)
    evaluator.load(own.cell(task))
    chunk = Chunk("all", tuple(range(len(own.cell(task).grid))))
    assert evaluator.score(chunk) == evaluator.score(chunk)
    assert evaluator.score_point(WHOLE) == evaluator.score_point(WHOLE)
