"""Metrics of a run, which Ray collects from all processes and exports for Prometheus.

Ray puts ``ray_`` before the names and ``_total`` behind those of counters. Tags are few: every value of
a tag is another time series in every process. Metrics are for watching a run; what counts is in the
store. docs/monitoring.md has the list; a test compares ``deploy/grafana/xltray.json`` with what a run
exports.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ray.util.metrics import Counter, Gauge, Histogram

from xltray.cluster.jobgraph import State
from xltray.jobs import Job, PretrainJob

if TYPE_CHECKING:
    from xltray.results import Score

TAGS = ("task", "encoder")
POINT_SECONDS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]
"""Bounds of the histogram's buckets: from a toy's point on a GPU to a large encoder's on a CPU."""


def tags_of(job: Job) -> dict[str, str]:
    """Return the tags of a job; in the place of a task, pretraining has ``pretrain``."""
    if isinstance(job, PretrainJob):
        return {"task": job.kind, "encoder": job.name}
    return {"task": job.task, "encoder": job.encoder.name}


class WorkMetrics:
    """What a process that works at jobs counts; one a process."""

    def __init__(self) -> None:
        """Register the metrics with the Ray that this process belongs to."""
        self._points = Counter("xltray_points", "Points scored", TAGS)
        self._sentences = Counter("xltray_sentences", "Sentences (XNLI: pairs) scored", TAGS)
        self._point_seconds = Histogram(
            "xltray_point_seconds",
            "Seconds that a point took, on both dev sets; the mean of the chunk that it came in",
            POINT_SECONDS,
            TAGS,
        )
        self._steps = Counter("xltray_steps", "Steps of training", TAGS)
        self._written = Counter("xltray_written_bytes", "Bytes written to the store by jobs", TAGS)
        self._busy = Counter(
            "xltray_busy_seconds",
            "Seconds in which a process that holds a device (a GPU, or CPU threads) worked at a job",
            TAGS,
        )

    @contextmanager
    def busy(self, tags: Mapping[str, str]) -> Iterator[None]:
        """Count the time inside as time in which the device was used."""
        begin = time.monotonic()
        try:
            yield
        finally:
            _add(self._busy, time.monotonic() - begin, tags)

    def scored(self, scores: Sequence[Score], seconds: float, tags: Mapping[str, str]) -> None:
        """Count the scores of a chunk, which took so long in all."""
        points = len({score.point for score in scores})
        # Parsing has several metrics of the same sentences.
        examples = {(score.point, score.language): score.examples for score in scores}
        _add(self._points, points, tags)
        _add(self._sentences, sum(examples.values()), tags)
        for _ in range(points):
            self._point_seconds.observe(seconds / points, dict(tags))

    def trained(self, steps: int, tags: Mapping[str, str]) -> None:
        """Count steps of training."""
        _add(self._steps, steps, tags)

    def wrote(self, size: int, tags: Mapping[str, str]) -> None:
        """Count bytes written to the store."""
        _add(self._written, size, tags)


class RunMetrics:
    """What the process that runs a sweep knows."""

    def __init__(self) -> None:
        """Register the metrics with the Ray in use."""
        self._jobs = Gauge("xltray_jobs", "Jobs of the run by kind and state", ("kind", "state"))
        self._devices = Gauge("xltray_devices", "Devices in the cluster: GPUs, or as many as CPUs serve")
        self._failures = Counter(
            "xltray_failures", "Attempts at jobs that failed, those that are tried again included", TAGS
        )

    def update(self, jobs: Mapping[str, Job], states: Mapping[str, State], devices: int) -> None:
        """Tell where all jobs stand, and how many devices there are."""
        kinds = sorted({job.kind for job in jobs.values()})
        counts = Tally((jobs[id_].kind, state) for id_, state in states.items())
        for kind in kinds:
            # A state that no job is in any more must fall to zero.
            for state in State:
                self._jobs.set(counts[kind, state], {"kind": kind, "state": state.value})
        self._devices.set(devices)

    def failed(self, job: Job) -> None:
        """Count an attempt that failed."""
        _add(self._failures, 1, tags_of(job))


def _add(counter: Counter, value: float, tags: Mapping[str, str]) -> None:
    # Ray refuses to add nothing.
    if value > 0:
        counter.inc(value, dict(tags))
