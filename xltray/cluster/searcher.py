"""The job graph as a Tune search algorithm: what Tune takes for a configuration is a job.

Whether a job is done is judged by the store, never by Tune: a trial that Tune calls terminated
may have been interrupted, and one whose process died may have committed its result before.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ray.tune.search import Searcher

from xltray.cluster.jobgraph import JobGraph
from xltray.cluster.split import Split
from xltray.errors import StoreError, XltrayError
from xltray.jobs import Job


class Results(Protocol):
    """What the searcher asks the store (``xltray.store.Store``)."""

    def is_done(self, job: Job) -> bool:
        """Whether a job's result is complete."""
        ...

    def damage(self, job: Job) -> str:
        """What is wrong with a result that is there; nothing if none is there."""
        ...


def no_result(job: Job, store: Results) -> str:
    """Say what may be wrong when a job ended well and the store does not have its result, or not whole.

    Raises:
        StoreError: if the store cannot be asked.
    """
    ended = "the job ended without an error but its result"
    if damage := store.damage(job):
        return (
            f"{ended} does not count: {damage}. Check the disk and the memory of the machines; run the same "
            "command again: it makes the result anew"
        )
    return (
        f"{ended} is not in the store: found no complete result in "
        f"{store} as this process sees it. Where other machines run jobs, `storage` must be a path that "
        "all of them share, or an object store (s3://..., gs://...)"
    )


class JobSearcher(Searcher):
    """Hands out the jobs of a graph, the ready one with the longest critical path first."""

    def __init__(
        self,
        graph: JobGraph,
        jobs: Mapping[str, Job],
        store: Results,
        common: Mapping[str, Any],
        split: Split,
    ) -> None:
        """Serve the jobs of ``graph``; ``common`` is added to every trial's configuration."""
        super().__init__()
        self._split = split
        self._graph = graph
        self._jobs = jobs
        self._store = store
        self._common = dict(common)
        self._trials: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        """Return the next job, None while others must end first, or FINISHED."""
        id_ = self._graph.take()
        if id_ is None:
            return Searcher.FINISHED if self._graph.finished else None
        self._trials[trial_id] = id_
        job = self._jobs[id_]
        servers = self._split.servers(id_, self._jobs, self._graph.states)
        own = {"id": id_, "kind": job.kind, "job": job.model_dump_json(), "servers": servers}
        return {**self._common, **own}

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Ask the store whether the job is done, whatever Tune thinks.

        With ``error``, a job without a result stays as it is, running: what it failed of is not told here
        but to the callback, right after (``ProgressCallback.on_trial_error``), which then decides.
        """
        id_ = self._trials.pop(trial_id)
        job, message = self._jobs[id_], str((result or {}).get("error", ""))
        try:
            done = self._store.is_done(job)
            if not (done or error or message):
                message = no_result(job, self._store)
        except StoreError as unreachable:
            # Raised here, it would end the whole run. The next one asks the store anew.
            done, message = False, f"StoreError: {unreachable}"
        if done:
            self._graph.complete(id_)
        elif not error:
            self._graph.fail(id_, message)

    def save(self, checkpoint_path: str) -> None:
        """Write nothing of use: a run starts from the store, not from Tune's state."""
        Path(checkpoint_path).write_bytes(pickle.dumps(None))

    def restore(self, checkpoint_path: str) -> None:
        """Refuse: see ``save``."""
        raise XltrayError("Tune cannot resume a sweep. Start it again: what the store lacks will run.")

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles the searcher into its experiment folder, which is thrown away.
        return {}
