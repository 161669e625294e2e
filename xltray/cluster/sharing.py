"""Does every machine that will run jobs see the store and the data?

A path that only the driver's machine has would cost hours before anybody notices: jobs end well and
their results lie on disks that nobody reads. So before the first job a file is written to the store,
and a small task on each other machine reads it back and looks at the data root. That also finds an
object store for which a machine has no permission, and an NFS folder that is not mounted.

Machines that join later are not asked; what they run fails with ``searcher.no_result`` or with the
name of the corpus file that is missing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from xltray.cluster.session import ClusterError
from xltray.errors import StoreError
from xltray.store import Store

LOOK_SECONDS = 120.0
"""A machine that has just joined may first have to start a process and read libraries from a cold disk."""

_STORE_ADVICE = (
    "Set `storage` to an object store that all machines may write (s3://bucket/folder, gs://...), or to a "
    "folder that all of them mount (NFS)."
)
_DATA_ADVICE = "Put the corpora at the same path on every machine (README: On a cluster), or set data.root."


class Sight(NamedTuple):
    """What a process on one machine sees."""

    store: str
    """Why the file that the driver wrote cannot be read; empty if it can."""
    data: tuple[str, ...] | None
    """Names in the data root; None if there is no such folder."""


class Question(NamedTuple):
    """What a machine is asked: to read ``probe`` in the store at ``uri``, and to list ``root``."""

    uri: str
    probe: str
    content: bytes
    root: str


Eye = Callable[[Question], Sight]
"""What runs on a machine; it is importable there, or pickled with all that it needs."""


def look(question: Question) -> Sight:
    """Answer on the machine where this runs."""
    try:
        found = Store(question.uri).read_bytes(question.probe)
        problem = "" if found == question.content else "it holds something else there"
    except StoreError as error:
        problem = str(error)
    return Sight(problem, names_in(question.root))


def names_in(folder: str) -> tuple[str, ...] | None:
    """Return the visible names in a folder; None if there is none."""
    path = Path(folder)
    if not path.is_dir():
        return None
    return tuple(sorted(entry.name for entry in path.iterdir() if not entry.name.startswith(".")))


def check_sharing(store: Store, root: str, *, eye: Eye = look) -> None:
    """Check that the machines that can run jobs see the store and, if this one has it, the data root.

    Args:
        store: where results go.
        root: the data root, as an absolute path.
        eye: what is run on each of the other machines.

    Raises:
        ClusterError: naming each machine that does not, and what it sees instead.
        StoreError: if this process itself cannot write to the store.
    """
    others = _other_machines(ray.nodes())  # type: ignore[no-untyped-call]
    if not others:
        return
    content = uuid.uuid4().hex.encode()
    # The store's listings leave out names that end like this.
    question = Question(store.uri, f".shared-{uuid.uuid4().hex}.tmp", content, root)
    store.write_bytes(question.probe, content)
    try:
        answers = _ask(others, question, eye)
    finally:
        store.delete(question.probe)
    here = names_in(root)
    problems = {id_: list(_wrong(others[id_], answer, question, here)) for id_, answer in answers.items()}
    blind = [lines for lines in problems.values() if lines]
    if blind:
        heading = (
            f"{len(blind)} of {len(others)} other machines of the cluster do not see what this one does; "
            f"the store is {store}:"
        )
        raise ClusterError("\n".join([heading, *(line for lines in blind for line in lines)]))


def _other_machines(nodes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return id and address of the machines besides this one that can run jobs."""
    own = ray.get_runtime_context().get_node_id()
    return {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in nodes
        # A head node without CPUs runs no job, so it need not see anything.
        if node["Alive"] and node["NodeID"] != own and node["Resources"].get("CPU", 0) > 0
    }


def _ask(machines: Mapping[str, str], question: Question, eye: Eye) -> dict[str, Sight | str]:
    """Return what each machine answers, or why it does not; machines lost meanwhile are left out."""
    # It reserves nothing, so a machine that is busy with another run answers too.
    remote = ray.remote(num_cpus=0, max_retries=0)(eye)
    asked = {
        id_: remote.options(
            name="xltray: does this machine see the store?",
            scheduling_strategy=NodeAffinitySchedulingStrategy(id_, soft=False),
        ).remote(question)
        for id_ in machines
    }
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=LOOK_SECONDS)
    answers: dict[str, Sight | str] = {}
    for id_, answer in asked.items():
        try:
            answers[id_] = ray.get(answer, timeout=0)
        except GetTimeoutError:
            answers[id_] = f"no answer within {LOOK_SECONDS:g} s"
        except RayTaskError as error:
            cause = error.cause
            answers[id_] = f"{type(cause).__name__}: {cause}"
        except RayError as error:
            if _is_alive(id_):
                answers[id_] = f"{type(error).__name__}: {error}".splitlines()[0]
    return answers


def _is_alive(id_: str) -> bool:
    return any(node["NodeID"] == id_ and node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]


def _wrong(
    address: str, answer: Sight | str, question: Question, here: tuple[str, ...] | None
) -> Iterable[str]:
    """Yield a line for each thing that is wrong with what a machine answered."""
    if isinstance(answer, str):
        yield (
            f"  - {address}: it cannot look: {answer}. Expected the same xltray as here "
            "on every machine (pip install)."
        )
        return
    if answer.store:
        yield (
            f"  - {address}: the store: found {answer.store} Expected the file that this machine "
            f"has just written there. {_STORE_ADVICE}"
        )
    # An unmounted folder is there, and empty. Only some of the names may be needed there.
    if here and not set(here) & set(answer.data or ()):
        found = "no such folder" if answer.data is None else "none of what this machine has in it"
        where = f"  - {address}: data.root {question.root}"
        yield f"{where}: found {found}; expected {_few(here)}. {_DATA_ADVICE}"


def _few(names: tuple[str, ...], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
