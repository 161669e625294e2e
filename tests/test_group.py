"""Several processes fine-tune one model together: the numbers of one process, to the order of sums."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from made_finetune import into, weights, with_recipe
from made_group import Followers, still
from made_resume import checkpoints, content, context_for, done_of
from tiny import Tiny, run_job

from xltray.context import JobContext
from xltray.group import HOST, lead
from xltray.jobs import FinetuneJob
from xltray.nn.packing import Tokens
from xltray.tasks.base import Encoded
from xltray.training import part

__all__ = ["still"]


@pytest.fixture(scope="module")
def followers() -> Iterator[Followers]:
    started = Followers(2)
    yield started
    started.close()


def train_losses(context: JobContext, job: FinetuneJob) -> list[float]:
    path = Path(context.store.uri) / "endpoints" / job.id / "history.parquet"
    losses: list[float] = pq.read_table(path)["train_loss"].to_pylist()
    return losses


# Batches of 10, of 7 (the last is of 5: parts of 3 and 2) and of 13 (the last is of 1: nothing for one).
@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "languages", "recipe"),
    [
        ("pos", ("qaa",), {}),
        ("pos", ("qaa", "qab"), {"clip_norm": 0.5}),
        ("parsing", ("qaa",), {"batch_size": 7}),
        ("parsing", ("qaa",), {"batch_size": 13, "clip_norm": 1.0}),
    ],
)
def test_two_processes_give_the_numbers_of_one(
    followers: Followers,
    still: Tiny,
    tmp_path: Path,
    task: str,
    languages: tuple[str, ...],
    recipe: dict[str, Any],
) -> None:
    job = with_recipe(still.endpoint(task, *languages), **recipe)
    one, two = into(still, tmp_path / "one"), into(still, tmp_path / "two")
    run_job(job, one)
    list(followers.finetune(job, two))
    assert done_of(one, job)["steps"] == done_of(two, job)["steps"] >= 24
    assert train_losses(two, job) == pytest.approx(train_losses(one, job), abs=1e-5)
    assert train_losses(two, job) != train_losses(one, job), (
        "sums are in another order: it is not one process"
    )
    found, expected = weights(two, job), weights(one, job)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=0, msg=name)
    assert done_of(two, job)["provenance"]["processes"] == "2"
    assert done_of(one, job)["provenance"]["processes"] == "1"


@pytest.mark.slow
@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_it_repeats_and_goes_on_bit_for_bit(
    followers: Followers, tiny: Tiny, tmp_path: Path, task: str
) -> None:
    """With dropout, whose random numbers are another process's too."""
    job = tiny.endpoint(task, "qaa")
    once, again, cut = (context_for(tiny, tmp_path / name) for name in ("once", "again", "cut"))
    list(followers.finetune(job, once))
    list(followers.finetune(job, again))
    assert content(once, job) == content(again, job)
    assert content(once, job) != content(tiny.context, job), "dropout is drawn by each for itself"
    steps = followers.finetune(job, cut)
    for _ in range(4):
        next(steps)
    steps.close()
    assert "RuntimeError" in followers.answers()[0], "it does not wait for a process that is gone"
    [name] = checkpoints(cut, job)
    progress = list(followers.finetune(job, cut))
    assert progress[0].done == int(name.split("-")[0]) > 0
    assert content(cut, job) == content(once, job)
    [resumed] = done_of(cut, job)["resumed"]
    assert resumed["exact"]
    assert resumed["from"]["processes"] == 2


@pytest.mark.slow
def test_what_one_process_began_two_end_but_not_to_the_same_bits(
    followers: Followers, tiny: Tiny, tmp_path: Path
) -> None:
    from made_resume import begin

    job, context = tiny.endpoint(), context_for(tiny, tmp_path)
    begin(job, context, 3)
    progress = list(followers.finetune(job, context))
    assert progress[0].done > 0
    [resumed] = done_of(context, job)["resumed"]
    assert not resumed["exact"]


@pytest.mark.slow
def test_patience_ends_all_processes(followers: Followers, tiny: Tiny, tmp_path: Path) -> None:
    job = with_recipe(tiny.endpoint(), patience=1, min_gain=1.0)
    context = into(tiny, tmp_path)
    progress = list(followers.finetune(job, context))
    assert progress[-1].done < progress[-1].total


@pytest.mark.slow
def test_a_process_that_is_lost_ends_the_first_with_an_error(tiny: Tiny, tmp_path: Path) -> None:
    followers, context = Followers(2), context_for(tiny, tmp_path)
    steps = followers.finetune(tiny.endpoint(), context)
    next(steps)
    followers.close()
    begin = time.monotonic()
    with pytest.raises(RuntimeError, match=r"(?i)connection|peer|gloo"):
        list(steps)
    assert time.monotonic() - begin < 30
    assert not torch.distributed.is_initialized()


def test_processes_meet_where_only_their_own_machine_reaches_them() -> None:
    first = lead(2)
    socket.create_connection((HOST, first.port), timeout=5).close()
    # Reaches what listens on all addresses of this machine.
    with pytest.raises((ConnectionRefusedError, TimeoutError)):
        socket.create_connection(("127.0.0.2", first.port), timeout=5).close()


# Parts of a batch.


def sequences(*lengths: int) -> list[Encoded]:
    return [Encoded(Tokens([1] * length, [0] * length), [0], {}, n) for n, length in enumerate(lengths)]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_parts_are_the_batch(size: int) -> None:
    batch = sequences(5, 9, 2, 2, 30, 31)
    parts = [part(batch, rank, size) for rank in range(size)]
    assert sorted(s.example for own in parts for s in own) == list(range(6))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_parts_are_about_as_long() -> None:
    one, other = (part(sequences(30, 2, 31, 3), rank, 2) for rank in range(2))
    assert [len(s.tokens.ids) for s in one] == [2, 30]
    assert [len(s.tokens.ids) for s in other] == [3, 31]
    batch = sequences(30, 2, 31, 3)
    assert part(batch, 0, 1) is batch, "one process takes it as it is"
