"""How long a run waits for machines, and what it says meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from xltray.cluster import demand, room, session, waiting
from xltray.cluster.capacity import CapacityError, runs_jobs
from xltray.cluster.interrupt import Interrupt
from xltray.cluster.room import await_room
from xltray.cluster.session import Session
from xltray.cluster.watch import Gone
from xltray.spec_runtime import RuntimeSpec

HOUR = 3600.0

Machine = tuple[float, float, dict[str, float]]
"""From when, until when (in seconds), and its resources."""


class Cluster:
    """Machines that come and go while somebody waits; time passes only when somebody sleeps."""

    def __init__(self, *machines: Machine) -> None:
        """With a head that runs no jobs."""
        self.machines = [(0.0, float("inf"), {"memory": 1.0}), *machines]
        self.now = 0.0
        self.said: list[str] = []
        self.requests: list[list[dict[str, float]]] = []
        self.answering = True
        self.interrupt = Interrupt(self.said.append)
        self.interrupt_at = float("inf")

    @property
    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": begin <= self.now < end, "Resources": has} for begin, end, has in self.machines]

    @property
    def asked(self) -> list[list[dict[str, float]]]:
        """The requests, each once though it was repeated; the first is that nothing is asked for any more."""
        first, *later = self.requests
        assert first == []
        return [new for old, new in pairwise([first, *later]) if new != old]

    def __call__(self) -> None:
        """In the place of ``Watch``, which looks whether Ray is there."""

    def answers(self) -> bool:
        """In the place of ``Watch``, too."""
        return self.answering

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.interrupt.asked = self.now >= self.interrupt_at


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Wait on a cluster; returns how many seconds that took."""

    def run(cluster: Cluster, *, can_grow: bool = True, device: str = "cpu", **runtime: Any) -> float:
        monkeypatch.setattr(room.time, "monotonic", lambda: cluster.now)
        monkeypatch.setattr(room.time, "sleep", cluster.sleep)
        monkeypatch.setattr(demand, "request_resources", lambda bundles: cluster.requests.append(bundles))
        here = Session("here", device, can_grow, pending=2)
        kinds = {"finetune", "surface"}
        await_room(kinds, RuntimeSpec(**runtime), here, cluster.interrupt, cluster, cluster.said.append)  # type: ignore[arg-type]
        return cluster.now

    return run


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_first_machine_is_waited_for_without_a_limit(wait: Any, device: str) -> None:
    has = {"CPU": 4.0} if device == "cpu" else {"CPU": 4.0, "GPU": 1.0}
    cluster = Cluster((3 * HOUR, 9 * HOUR, has))
    assert wait(cluster, device=device) == 3 * HOUR
    what = "no machine for jobs" if device == "cpu" else "no machine with GPUs for jobs"
    assert cluster.said[0] == f"{what}; waiting; Ctrl-C ends"
    assert cluster.said[-1] == f"{what}; waiting, 175 min so far; Ctrl-C ends"
    assert len(cluster.said) == 3 * HOUR / waiting.NOTE_SECONDS
    assert cluster.asked == [[{"CPU": 1.0, **({"GPU": 1.0} if device == "cuda" else {})}], []]


def test_machines_that_are_there_and_too_small_end_it_after_ten_minutes(wait: Any) -> None:
    cluster = Cluster((0, 9 * HOUR, {"CPU": 2.0}))
    with pytest.raises(CapacityError, match="a finetune job needs 3 CPU on one machine; found at most 2 CPU"):
        wait(cluster, threads=3)
    assert room.JOIN_SECONDS < cluster.now <= room.JOIN_SECONDS + 4
    assert len(cluster.said) == 1
    assert cluster.said[0].endswith("Waiting up to 10 min for such a machine to join.")
    assert cluster.asked == [[{"CPU": 3.0}], []], "what was asked for is taken back"


def test_these_ten_minutes_begin_with_the_first_machine_and_again_with_the_next(wait: Any) -> None:
    small = {"CPU": 2.0}
    cluster = Cluster(
        (HOUR, HOUR + 500, small), (2 * HOUR, 2 * HOUR + 500, small), (3 * HOUR, 9 * HOUR, small)
    )
    with pytest.raises(CapacityError):
        wait(cluster, threads=3)
    assert 0 < cluster.now - 3 * HOUR - room.JOIN_SECONDS <= 4
    late = Cluster((HOUR, 9 * HOUR, small), (HOUR + 500, 9 * HOUR, {"CPU": 4.0}))
    assert wait(late, threads=3) == HOUR + 500


def test_what_the_next_kind_needs_is_asked_for_once_the_first_has_room(wait: Any) -> None:
    machine = {"CPU": 5.0, "GPU": 4.0}
    cluster = Cluster((HOUR, 9 * HOUR, machine), (HOUR + 500, 9 * HOUR, machine))
    assert wait(cluster, device="cuda", servers_per_surface=8) == HOUR + 500
    endpoint, surface, nothing = cluster.asked
    assert endpoint == [{"CPU": 1.0, "GPU": 1.0}]
    assert sum(bundle.get("GPU", 0) for bundle in surface) == 8
    assert not nothing
    assert [line for line in cluster.said if "a surface job needs" in line] == cluster.said[-1:]
    # Each kind is waited for anew.
    late = Cluster(
        (0, 9 * HOUR, {"CPU": 2.0}), (500, 9 * HOUR, {"CPU": 4.0}), (1000, 9 * HOUR, {"CPU": 40.0})
    )
    assert wait(late, threads=3, servers_per_surface=4) == 1000
    assert [bundles[:1] for bundles in late.asked] == [[{"CPU": 3.0}], [{"CPU": 0.1}], []]


def test_a_ray_on_this_machine_alone_is_not_waited_for(wait: Any) -> None:
    cluster = Cluster((0, HOUR, {"CPU": 2.0}))
    with pytest.raises(CapacityError):
        wait(cluster, can_grow=False, device="cuda")
    assert cluster.now == 0
    assert not cluster.said
    assert not cluster.requests


def test_nothing_is_said_where_there_is_room(wait: Any) -> None:
    cluster = Cluster((0, HOUR, {"CPU": 2.0}))
    assert wait(cluster, threads=2) == 0
    assert not cluster.said
    assert not cluster.asked


def test_an_interrupt_ends_the_wait(wait: Any) -> None:
    cluster = Cluster()
    cluster.interrupt_at = HOUR
    assert wait(cluster) == HOUR
    assert cluster.asked[-1] == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, Gone])
@pytest.mark.parametrize("answering", [True, False])
def test_what_was_asked_for_is_taken_back_unless_ray_is_gone(
    wait: Any, error: type[BaseException], answering: bool
) -> None:
    class Ending(Cluster):
        def sleep(self, seconds: float) -> None:
            raise error

    cluster = Ending()
    cluster.answering = answering
    with pytest.raises(error):
        wait(cluster)
    asked = [[{"CPU": 1.0}]]
    assert cluster.asked == (asked if error is Gone or not answering else [*asked, []])


def test_a_request_is_repeated_as_another_run_may_have_replaced_it(wait: Any) -> None:
    cluster = Cluster((HOUR, 9 * HOUR, {"CPU": 4.0}))
    wait(cluster)
    assert cluster.requests.count([{"CPU": 1.0}]) == HOUR / demand.REPEAT_SECONDS


@pytest.mark.parametrize(
    ("device", "has", "expected"),
    [
        ("cpu", {"CPU": 1.0}, True),
        ("cpu", {"CPU": 0.0, "GPU": 4.0}, False),
        ("cuda", {"CPU": 8.0}, False),
        ("cuda", {"CPU": 8.0, "GPU": 1.0}, True),
    ],
)
def test_which_machines_are_for_jobs(device: str, has: dict[str, float], expected: bool) -> None:
    assert runs_jobs(device, [{"Alive": True, "Resources": has}]) is expected
    assert not runs_jobs(device, [{"Alive": False, "Resources": has}])


@pytest.fixture
def find_device(monkeypatch: pytest.MonkeyPatch) -> Callable[[Cluster], str]:
    """Find out what a run computes on that leaves that to the machines of a cluster."""

    def find(cluster: Cluster) -> str:
        def resources() -> dict[str, float]:
            alive = (node["Resources"] for node in cluster.nodes if node["Alive"])
            return {name: amount for has in alive for name, amount in has.items()}

        monkeypatch.setattr(session, "_resources", resources)
        monkeypatch.setattr(session, "Watch", lambda: cluster)
        monkeypatch.setattr(session.time, "monotonic", lambda: cluster.now)
        monkeypatch.setattr(session.time, "sleep", cluster.sleep)
        monkeypatch.setattr(demand, "request_resources", lambda bundles: cluster.requests.append(bundles))
        return session._device(RuntimeSpec(threads=3), growing=True, say=cluster.said.append)

    return find


def test_an_unknown_device_waits_for_the_first_machine(find_device: Callable[[Cluster], str]) -> None:
    cluster = Cluster((2 * HOUR, 9 * HOUR, {"CPU": 4.0, "GPU": 1.0}))
    assert find_device(cluster) == "cuda"
    assert cluster.now == 2 * HOUR
    assert "no machine has joined the cluster (runtime.device=cuda would ask for one" in cluster.said[0]
    assert "115 min so far" in cluster.said[-1]
    assert cluster.asked == [[{"CPU": 3.0}], []], "where machines are started on demand, none would be"


def test_a_ray_that_is_lost_before_the_first_machine_is_noticed(
    find_device: Callable[[Cluster], str],
) -> None:
    class Lost(Cluster):
        def __call__(self) -> None:
            if self.now > HOUR:
                raise Gone("no answer")

    cluster = Lost()
    with pytest.raises(Gone):
        find_device(cluster)
    assert cluster.asked == [[{"CPU": 3.0}]]
