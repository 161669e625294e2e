"""Jobs that were handed out when Tune was stopped: the store knows which of them are done."""

from __future__ import annotations

from collections.abc import Mapping

from xltray.cluster.jobgraph import JobGraph, State
from xltray.cluster.searcher import Results
from xltray.errors import StoreError
from xltray.jobs import Job


def committed(graph: JobGraph, jobs: Mapping[str, Job], store: Results) -> list[str]:
    """Return which running jobs have just committed their result, as far as the store answers.

    A store that does not answer once is asked no more: with its patience, each of many jobs would take
    minutes, and somebody waits for the end. The next run sees the rest.
    """
    found = []
    try:
        for id_ in graph.of(State.RUNNING):
            if store.is_done(jobs[id_]):
                found.append(id_)
    except StoreError:
        pass
    return found


def take_back(graph: JobGraph, jobs: Mapping[str, Job], store: Results) -> None:
    """Have jobs that were handed out and did not start wait again."""
    for id_ in committed(graph, jobs, store):
        graph.complete(id_)
    for id_ in graph.of(State.RUNNING):
        graph.retry(id_)
