"""Which endpoints learned nothing: the rule, and what the store knows of it.

Fine-tuning can fail at a recipe that mostly works: a large encoder on XNLI may end at a third, which
is what one answer for all pairs scores. Such an endpoint is a result and is kept, with its cells. It is
marked (DONE.json, the column ``not_learned`` of geometry, ``sweeps/<name>/unlearned.json``), so that
nobody has to average over it unawares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from xltray.errors import DamagedError, StoreError
from xltray.events import silent
from xltray.folders import DONE
from xltray.jobs import FinetuneJob, SurfaceJob
from xltray.plan import Plan
from xltray.store import READERS, Store

LEAST_MARGIN = 0.01
STANDARD_ERRORS = 3
CORNERS = ("source", "target", "bilingual")


class Verdict(NamedTuple):
    """A score, the baseline's on the same dev set, and by how much it must be exceeded."""

    score: float
    baseline: float
    margin: float

    @property
    def learned(self) -> bool:
        """Whether the score is above the baseline by more than the margin."""
        return self.score > self.baseline + self.margin


def judge(score: float, baseline: float, decisions: float) -> Verdict:
    """Compare a kept model's primary dev score with that of the best constant answer.

    The margin is three standard errors of the baseline over so many decisions, taken as independent.
    Three, since the kept model is the best of some twenty validations: the best of twenty scores that
    only chance sets apart exceeds two standard errors in a third of all cases, three in one of forty.
    It is one point at least, so that a large dev set does not call a hair's breadth learning.
    """
    variance = baseline * (1 - baseline) / decisions if decisions else 0.0
    return Verdict(score, baseline, max(LEAST_MARGIN, STANDARD_ERRORS * variance**0.5))


def not_learned(job: SurfaceJob, store: Store) -> str | None:
    """Name the corners of a cell whose endpoint did not learn: "", "source", "source,bilingual".

    Returns None where nobody knows: an endpoint of an older version has no verdict.
    """
    verdicts = {corner: _record(store, job.endpoints[corner]).get("learned") for corner in CORNERS}
    failed = ",".join(corner for corner in CORNERS if verdicts[corner] is False)
    return failed if failed or None not in verdicts.values() else None


def find_unlearned(
    plan: Plan, store: Store, say: Callable[[str], None] = silent
) -> dict[str, dict[str, Any]]:
    """Return what is to say of each endpoint of a plan that did not learn, by id.

    Endpoints may be deleted once their surfaces are done; of those, what was last written counts. ``say`` is
    told of each folder whose DONE.json is damaged: it is left out.
    """
    jobs = {job.id: job for job in plan.jobs.values() if isinstance(job, FinetuneJob)}
    there = store.done_ids(plan.jobs.values())
    needed = plan.needed(there)

    def verdict(id_: str) -> Mapping[str, Any] | DamagedError | None:
        try:
            return _unlearned(store, jobs[id_])
        except DamagedError as damage:
            return damage

    present = [id_ for id_ in jobs if id_ in there]
    with ThreadPoolExecutor(READERS) as readers:
        verdicts = dict(zip(present, readers.map(verdict, present), strict=True))
    found = {}
    for id_, told in verdicts.items():
        if isinstance(told, DamagedError):
            say(str(told))
        elif told is not None:
            found[id_] = _entry(plan, jobs[id_], told)
    earlier = {
        id_: entry
        for id_, entry in _earlier(plan, store).items()
        if id_ in jobs and id_ not in there and id_ not in needed
    }
    return {id_: (found | earlier)[id_] for id_ in jobs if id_ in found or id_ in earlier}


def write_unlearned(plan: Plan, store: Store, found: Mapping[str, Any]) -> None:
    """Write what was found beside the plan, for programs and for later runs."""
    store.write_json(_path(plan, store), {"unlearned": dict(found)})


def describe(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each endpoint that did not learn: score and baseline of each such language."""
    return [f"did not learn  {id_}: {', '.join(_scores(entry['baselines']))}" for id_, entry in found.items()]


def _scores(baselines: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    for language, said in baselines.items():
        if not said["learned"]:
            yield (
                f"{said['metric']} {said['score']:.3f} on {language} (a constant answer: {said['value']:.3f})"
            )


def _entry(plan: Plan, job: FinetuneJob, record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task": job.task,
        "languages": list(job.languages),
        "seed": job.seed,
        "encoder": job.encoder.name,
        "baselines": record["baselines"],
        "cells": [cell.id for cell in plan.of_kind("surface") if job.id in cell.needs],
    }


def _record(store: Store, job: FinetuneJob) -> Mapping[str, Any]:
    return store.read_done(store.endpoint_path(job.id))


def _unlearned(store: Store, job: FinetuneJob) -> Mapping[str, Any] | None:
    """Return the record of an endpoint that did not learn, None of any other; DamagedError if broken."""
    record = _record(store, job)
    if record.get("learned") is not False:
        return None
    if not _can_be_described(job.id, record):
        folder = store.endpoint_path(job.id)
        problem = "has changed since it was written: found no baselines, expected those of each language"
        raise DamagedError(folder, f"{folder}/{DONE} in the store {store} {problem}")
    return record


def _earlier(plan: Plan, store: Store) -> Mapping[str, Any]:
    path = _path(plan, store)
    try:
        content = store.read_json(path) if store.exists(path) else {}
    except StoreError:
        # Derived from the endpoints, and written anew: not worth an error at the end of a run.
        return {}
    found = content.get("unlearned") if isinstance(content, dict) else None
    if not isinstance(found, dict):
        return {}
    # Edited, or of another version: nothing can be said of such an endpoint.
    return {id_: entry for id_, entry in found.items() if _can_be_described(id_, entry)}


def _can_be_described(id_: str, entry: Any) -> bool:
    try:
        return bool(describe({id_: entry}))
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def _path(plan: Plan, store: Store) -> str:
    return f"{store.sweep_path(plan.sweep.name)}/unlearned.json"
