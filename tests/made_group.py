"""A fine-tuning that several processes share; the test's own is the first, and the others are here.

They are started once and serve many fine-tunings, as under Ray.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection

import pytest
from tiny import PRETRAIN, Tiny, make_tiny, run_job

from xltray.context import JobContext, Member, Progress
from xltray.jobs import FinetuneJob


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The tiny sweep's encoder without dropout, at rates at which rounding errors do not grow."""
    tiny = make_tiny(
        tmp_path_factory.mktemp("still") / "store",
        encoders={"small": {"pretrain": PRETRAIN | {"dropout": 0.0}}},
        finetune={"dropout": 0.0, "learning_rate": 1e-3, "epsilon": 1e-4, "epochs": 6, "patience": 99},
        parser={"dropout": 0.0},
    )
    run_job(tiny.encoder(), tiny.context)
    return tiny


class Followers:
    """Processes 1 to ``size - 1``."""

    def __init__(self, size: int) -> None:
        self.size = size
        context = multiprocessing.get_context("spawn")
        pipes = [context.Pipe() for _ in range(1, size)]
        self.connections = [outer for outer, _ in pipes]
        self.processes = [context.Process(target=_serve, args=(inner,), daemon=True) for _, inner in pipes]
        for process in self.processes:
            process.start()

    def finetune(self, job: FinetuneJob, context: JobContext) -> Iterator[Progress]:
        """Fine-tune with them, as ``xltray.finetune.finetune``."""
        from xltray.finetune import finetune
        from xltray.group import lead

        for connection in self.connections:
            while connection.poll():
                connection.recv()
        first = lead(self.size)
        for rank, connection in enumerate(self.connections, 1):
            connection.send((job, replace(context, member=Member(rank, self.size, first.port))))
        yield from finetune(job, replace(context, member=first))
        assert self.answers() == [""] * (self.size - 1)

    def answers(self) -> list[str]:
        """Return what went wrong in each of them in the last fine-tuning; empty if nothing did."""
        return [connection.recv() if connection.poll(60) else "no answer" for connection in self.connections]

    def close(self) -> None:
        """End them."""
        for process in self.processes:
            process.kill()
            process.join()


def _serve(connection: Connection) -> None:
    from xltray.finetune import finetune

    while True:
        job, context = connection.recv()
        try:
            for _ in finetune(job, context):
                pass
            connection.send("")
        except Exception as error:
            connection.send(f"{type(error).__name__}: {error}")
