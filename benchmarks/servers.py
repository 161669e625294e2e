"""Two servers on two cores against one: separate processes of one thread, each with its own model.

A server scores points when it is told to; the clock is the wall's, because cores are what is measured. Each
also says how much CPU time its turn took: what two take more of than one is slower computing (caches,
threads), and the rest of the wall's time is waiting for a core.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

from benchmarks.examples import make_split
from benchmarks.lengths import Pieces
from benchmarks.models import SIZES, trained
from benchmarks.ours import Ours
from xltray.nn.device import set_threads


class Work(NamedTuple):
    """What a server scores, and how many points at a time."""

    size: str
    sentences: Sequence[Pieces]
    points: int
    steps: int


class Servers:
    """Two processes that wait for work."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self.connections = connections
        self.cpu: dict[str, list[float]] = {"one_cpu": [], "two_cpu": []}

    def one(self) -> None:
        """Have one server score its points."""
        self.cpu["one_cpu"].append(self._score(self.connections[:1]))

    def two(self) -> None:
        """Have both score as many points each at the same time."""
        self.cpu["two_cpu"].append(self._score(self.connections))

    def _score(self, connections: Sequence[Connection]) -> float:
        """Have servers score, and return the mean of their CPU seconds."""
        for connection in connections:
            connection.send("score")
        spent: list[float] = [connection.recv() for connection in connections]
        return sum(spent) / len(spent)


@contextmanager
def two_servers(work: Work) -> Iterator[Servers]:
    """Start two servers, and end them."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(2)]
    processes = [context.Process(target=_serve, args=(inner, work), daemon=True) for _, inner in pipes]
    for process, (_, inner) in zip(processes, pipes, strict=True):
        process.start()
        # So that a server that dies is an end of file here, not a wait for ever.
        inner.close()
    outer = [connection for connection, _ in pipes]
    try:
        for connection in outer:
            connection.recv()
        yield Servers(outer)
    finally:
        for connection in outer:
            connection.close()
        for process in processes:
            process.join()


def _serve(connection: Connection, work: Work) -> None:
    set_threads(1)
    vocabulary = SIZES[work.size].vocabulary
    split = make_split("pos", work.sentences, vocabulary=vocabulary, seed=2)
    ours = Ours(trained("pos", SIZES[work.size], split, device="cpu", steps=work.steps), split)
    ours.score()
    connection.send("ready")
    while _told(connection):
        started = time.process_time()
        for _ in range(work.points):
            ours.score()
        connection.send(time.process_time() - started)


def _told(connection: Connection) -> bool:
    """Wait for the next message; False when the other side is gone."""
    try:
        connection.recv()
    except EOFError:
        return False
    return True
