"""What failed when it was last tried: ``sweeps/<name>/failures.json``.

It is for reading, by people, ``status`` and ``--retry-failed``. What is missing is asked of the store.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from xltray.errors import Problem, StoreError
from xltray.plan import Plan
from xltray.store import Store


@dataclass(frozen=True)
class Failures:
    """Messages of failed jobs by id; for each job skipped for want of a failed one, that one's id."""

    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)


def failures_path(name: str, store: Store) -> str:
    """Return where the failures of a sweep are kept in its store."""
    return f"{store.sweep_path(name)}/failures.json"


def read_failures(name: str, store: Store) -> Failures:
    """Return the failures of a sweep; none if none were ever written.

    Raises:
        StoreError: if the file cannot be read, or holds something else.
    """
    path = failures_path(name, store)
    if not store.exists(path):
        return Failures()
    content = store.read_json(path)
    if isinstance(content, dict):
        failed, skipped = content.get("failed"), content.get("skipped", {})
        if isinstance(failed, dict) and isinstance(skipped, dict):
            return Failures({id_: str(message) for id_, message in failed.items()}, skipped)
    advice = "Delete it; the next run writes it anew."
    found = "no messages of failed jobs"
    raise StoreError(str(Problem(f"{path} in {store}", found, 'an object with "failed"', advice)))


def write_failures(plan: Plan, store: Store, now: Failures, done: Collection[str]) -> None:
    """Write what failed in a run, and keep what failed earlier and was not tried by it.

    Args:
        plan: the sweep; failures of jobs that it no longer has are dropped.
        store: where they are kept.
        now: what failed in the run.
        done: ids of what the run completed.
    """
    name = plan.sweep.name
    try:
        before = read_failures(name, store)
    except StoreError:
        # It only informs, and is written anew.
        before = Failures()
    settled = {*done, *now.failed, *now.skipped}
    left = plan.jobs.keys() - settled
    failed = {id_: message for id_, message in before.failed.items() if id_ in left} | dict(now.failed)
    skipped = {id_: cause for id_, cause in before.skipped.items() if id_ in left}
    store.write_json(failures_path(name, store), {"failed": failed, "skipped": skipped | dict(now.skipped)})
