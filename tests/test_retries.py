"""What a job failed of, and how often it may be tried again."""

from __future__ import annotations

import pytest
import ray.cloudpickle
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    LocalRayletDiedError,
    NodeDiedError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from xltray.cluster.callback import judge
from xltray.cluster.retries import Cause, Retries
from xltray.cluster.server import LostServersError


def test_each_kind_of_failure_has_a_budget_of_its_own_for_each_job() -> None:
    retries = Retries(errors=1, losses=2)
    assert retries.allow("a", Cause.LOSS)
    assert retries.allow("a", Cause.ERROR)
    assert retries.told("a", Cause.ERROR) == "error 1 of 1"
    assert retries.allow("a", Cause.LOSS)
    assert retries.told("a", Cause.LOSS) == "loss 2 of 2"
    assert retries.allow("b", Cause.ERROR), "another job's failures do not count"
    assert not retries.allow("a", Cause.ERROR)
    assert not retries.allow("a", Cause.LOSS)
    assert (retries.tries("a"), retries.tries("b"), retries.tries("c")) == (5, 1, 0)


def test_a_budget_of_none() -> None:
    retries = Retries(errors=0, losses=0)
    assert not retries.allow("a", Cause.ERROR)
    assert not retries.allow("a", Cause.LOSS)


def raised(cause: Exception) -> RayTaskError:
    """What Ray makes of an error that a worker raised, once it has come over."""
    trace = f"Traceback:\n  in step\n{type(cause).__name__}: {cause}"
    error = RayTaskError("step", trace, cause)
    reread: RayTaskError = ray.cloudpickle.loads(ray.cloudpickle.dumps(error))
    return reread


@pytest.mark.parametrize(
    "error",
    [
        ActorDiedError(),
        ActorUnavailableError("no answer", None),
        LocalRayletDiedError(),
        NodeDiedError("gone"),
        OutOfMemoryError("no room"),
        WorkerCrashedError(),
        raised(ActorDiedError()),
        raised(LostServersError("2 EndpointServers did not start")),
    ],
)
def test_a_lost_process_or_machine_is_a_loss(error: Exception) -> None:
    assert judge(error).cause is Cause.LOSS


class UnpicklableError(Exception):
    def __reduce__(self) -> str:
        raise TypeError("no")


@pytest.mark.parametrize(
    ("error", "first"),
    [
        (raised(ValueError("not finite")), "ValueError: not finite"),
        (raised(MemoryError("no room")), "MemoryError: no room"),
        (
            raised(UnpicklableError("odd")),
            "RayError: Exception test_retries.UnpicklableError isn't serializable",
        ),
        (
            ActorDiedError(raised(ValueError("in the constructor"))),
            "ActorDiedError: The actor died because of",
        ),
        (RayError("odd"), "RayError: odd"),
        (RuntimeError("Tune's own"), "RuntimeError: Tune's own"),
    ],
)
def test_an_error_of_the_job_is_none(error: Exception, first: str) -> None:
    failure = judge(error)
    assert failure.cause is Cause.ERROR
    assert failure.message.startswith(first)


def test_the_message_is_the_error_and_the_end_of_its_traceback() -> None:
    assert judge(raised(ValueError("a"))).message.splitlines()[:2] == ["ValueError: a", "Traceback:"]
    lost = judge(ActorDiedError()).message.splitlines()
    assert lost[0] == "the job's process died (out of memory, killed, or its machine was lost)"
    assert lost[1] == "The actor died unexpectedly before finishing this task."
