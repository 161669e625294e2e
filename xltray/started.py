"""A sweep as it was last started: what it wrote of itself, beside the results in its store.

sweeps/<name>/sweep.yaml    the resolved sweep file
sweeps/<name>/plan.json     its jobs, with the commits that branches of encoders were then
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from xltray.errors import Problem, StoreError
from xltray.fingerprint import canonical
from xltray.jobs import FinetuneJob, Job, parse_job
from xltray.plan import Plan
from xltray.spec import SweepSpec
from xltray.store import Store
from xltray.sweepfile import dump_sweep
from xltray.yaml_source import CoreLoader

# How and where a sweep runs says nothing about which sweep it is.
NOT_COMPARED = ("name", "storage", "runtime")


def write_plan(plan: Plan, store: Store, licences: Sequence[Mapping[str, object]] = ()) -> None:
    """Write the resolved sweep file and the plan, with the licences of what it reads."""
    folder = store.sweep_path(plan.sweep.name)
    store.write_bytes(f"{folder}/sweep.yaml", dump_sweep(plan.sweep).encode())
    jobs = [job.model_dump(mode="json") for job in plan.jobs.values()]
    surfaces = [job.id for job in plan.of_kind("surface")]
    # Encoders that nothing was taught: what the analysis compares the others with.
    controls = [name for name, e in plan.sweep.encoders.items() if e.pretrain and not e.pretrain.steps]
    content = {
        "name": plan.sweep.name,
        "surfaces": surfaces,
        "controls": controls,
        "licences": list(licences),
        "jobs": jobs,
    }
    store.write_json(f"{folder}/plan.json", content)


def read_sweep(name: str, store: Store) -> SweepSpec:
    """Return the sweep last started under a name.

    Raises:
        StoreError: if there is none, or none that this version can read.
    """
    path = f"{store.sweep_path(name)}/sweep.yaml"
    try:
        return SweepSpec.model_validate(yaml.load(store.read_bytes(path), Loader=CoreLoader))
    except (ValueError, yaml.YAMLError) as error:
        found = f"what is no sweep of this version of xltray ({type(error).__name__})"
        advice = "Run the sweep again; it writes that file anew."
        problem = Problem(f"{path} in {store}", found, "a resolved sweep file", advice)
        raise StoreError(str(problem)) from error


def read_jobs(sweep: SweepSpec, store: Store, start: str) -> list[Job]:
    """Return the jobs of the plan.

    Args:
        sweep: which sweep is meant.
        store: where it is kept.
        start: the command that starts it, for messages.

    Raises:
        StoreError: if there is no plan, or none of this version.
    """
    path = f"{store.sweep_path(sweep.name)}/plan.json"
    if not store.exists(path):
        where = f"sweep {sweep.name!r} is not in {sweep.storage}"
        advice = f"Start it ({start}), or check `name` and `storage`."
        raise StoreError(str(Problem(where, f"no {path}", "the plan that a started sweep writes", advice)))
    try:
        return [parse_job(job) for job in store.read_json(path)["jobs"]]
    except (KeyError, TypeError, ValueError) as error:
        # Of another version of xltray, or edited.
        found = f"what is no plan of this version of xltray ({type(error).__name__})"
        advice = f"Run the sweep again; it writes its plan anew: {start}"
        raise StoreError(
            str(Problem(f"{path} in {sweep.storage}", found, "a plan, with jobs", advice))
        ) from error


def differing(sweep: SweepSpec, store: Store) -> list[str]:
    """Return the fields in which the sweep differs from the one last started, if only that can be read."""
    then = _sweep(sweep.name, store)
    if then is None:
        # Of another version, or edited. The plan is what counts.
        return []
    stored, now = canonical(then), canonical(sweep)
    return sorted(name for name in {*stored, *now} - set(NOT_COMPARED) if stored.get(name) != now.get(name))


def commits(sweep: SweepSpec, store: Store) -> dict[tuple[str, str], str]:
    """Return the commits that the sweep was last started with, by checkpoint and revision.

    Results are of those commits: a branch that has moved since names other ones.
    """
    then = _sweep(sweep.name, store)
    if then is None:
        return {}
    try:
        jobs = read_jobs(sweep, store, "")
    except StoreError:
        return {}
    found = {job.encoder.name: job.encoder.revision for job in jobs if isinstance(job, FinetuneJob)}
    return {
        (encoder.checkpoint, encoder.revision): commit
        for name, encoder in then.encoders.items()
        if encoder.checkpoint and (commit := found.get(name))
    }


def _sweep(name: str, store: Store) -> SweepSpec | None:
    """Return the sweep last started under a name; None if there is none, or none that can be read."""
    try:
        return read_sweep(name, store)
    except StoreError:
        return None
