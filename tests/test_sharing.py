"""A run on machines that do not see the same store or data is refused before its first job.

Two raylets on one machine see the same disk, so a machine that does not is played by a task that
looks somewhere else when it runs on the second one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import made_fake_jobs
import pytest
import ray
from made_rays import LEFT_OVER
from ray.cluster_utils import Cluster

from xltray.cluster import sharing
from xltray.cluster.session import ClusterError
from xltray.cluster.sharing import Question, Sight, check_sharing, look
from xltray.store import Store

pytestmark = pytest.mark.filterwarnings(*LEFT_OVER)

Answers = Callable[..., dict[str, Sight | str]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in ("ud-2.7", "xnli", ".lock"):
        (folder / name).mkdir(parents=True)
    return folder


# What one machine sees.


def question(store: Store, root: Path) -> Question:
    store.write_bytes("probe", b"nonce")
    return Question(store.uri, "probe", b"nonce", str(root))


def test_a_machine_that_shares_everything(store: Store, root: Path) -> None:
    assert look(question(store, root)) == Sight("", ("ud-2.7", "xnli"))


def test_a_store_of_the_same_name_on_another_disk(store: Store, root: Path, tmp_path: Path) -> None:
    asked = question(store, root)
    shutil.rmtree(tmp_path / "store")
    sight = look(asked)
    assert "probe" in sight.store
    assert str(tmp_path / "store") in sight.store


def test_another_file_of_the_same_name(store: Store, root: Path) -> None:
    assert look(question(store, root)._replace(content=b"other")).store


def test_no_data_root(store: Store, tmp_path: Path) -> None:
    assert look(question(store, tmp_path / "nowhere")).data is None


# What the driver makes of it.


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Sight | str]], None]:
    """Let machines at made-up addresses give the answers, without a Ray."""

    def answer(answers: dict[str, Sight | str]) -> None:
        monkeypatch.setattr(sharing.ray, "nodes", lambda: [])
        monkeypatch.setattr(sharing, "_other_machines", lambda nodes: {id_: id_ for id_ in answers})
        monkeypatch.setattr(sharing, "_ask", lambda machines, question, eye: answers)

    return answer


FINE = Sight("", ("ud-2.7", "xnli"))


def test_all_is_well(answered: Any, store: Store, root: Path, tmp_path: Path) -> None:
    answered({"10.0.0.2": FINE, "10.0.0.3": FINE._replace(data=("xnli",))})
    check_sharing(store, str(root))
    assert not list((tmp_path / "store").iterdir()), "the probe is gone"


def test_a_single_machine_writes_no_probe(answered: Any, root: Path) -> None:
    answered({})
    check_sharing(Store("/proc/cannot-be-written"), str(root))


@pytest.mark.parametrize(
    ("sight", "said"),
    [
        (FINE._replace(store="cannot read it."), ["the store: found cannot read it.", "s3://", "NFS"]),
        (FINE._replace(data=None), ["data.root", "found no such folder", "expected ud-2.7, xnli"]),
        (FINE._replace(data=()), ["data.root", "none of what this machine has"]),
        ("ModuleNotFoundError: No module named 'xltray'", ["cannot look", "same xltray"]),
    ],
)
def test_what_is_refused(
    answered: Any, store: Store, root: Path, tmp_path: Path, sight: Sight | str, said: list[str]
) -> None:
    answered({"10.0.0.2": FINE, "10.0.0.3": sight})
    with pytest.raises(ClusterError) as caught:
        check_sharing(store, str(root))
    message = str(caught.value)
    assert message.startswith("1 of 2 other machines")
    assert str(tmp_path / "store") in message
    assert "10.0.0.3" in message
    assert "10.0.0.2" not in message
    for part in said:
        assert part in message
    assert not list((tmp_path / "store").iterdir()), "the probe is gone"


def test_data_that_this_machine_lacks_too_is_no_matter(answered: Any, store: Store, tmp_path: Path) -> None:
    answered({"10.0.0.2": FINE._replace(data=None)})
    check_sharing(store, str(tmp_path / "nowhere"))


# On two raylets.


@pytest.fixture
def second_node() -> Iterator[str]:
    """The id of a second machine of a cluster that this process is connected to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster(
            initialize_head=True, connect=False, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        try:
            second = cluster.add_node(num_cpus=1)
            environment = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}
            ray.init(address=cluster.address, runtime_env=environment, log_to_driver=False)
            yield second.node_id
        finally:
            ray.shutdown()
            cluster.shutdown()


def elsewhere(asked: Question) -> Sight:
    """Look as a machine with another disk would: nothing of this machine's paths is there."""
    return look(asked._replace(uri=f"{asked.uri}-not-mounted", root=f"{asked.root}-not-mounted"))


def broken(asked: Question) -> Sight:
    raise ModuleNotFoundError("No module named 'xltray'")


@pytest.mark.slow
def test_a_second_machine_is_asked(
    second_node: str, store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_sharing(store, str(root))
    with pytest.raises(ClusterError) as caught:
        check_sharing(store, str(root), eye=elsewhere)
    assert "the store: found" in str(caught.value)
    assert "data.root" in str(caught.value)
    with pytest.raises(ClusterError, match="cannot look: ModuleNotFoundError"):
        check_sharing(store, str(root), eye=broken)

    # A whole run: not one job is begun.
    from xltray.cluster import run as run_module

    monkeypatch.setattr(
        run_module, "check_sharing", lambda store, root: check_sharing(store, root, eye=elsewhere)
    )
    job = made_fake_jobs.finetune_job("pos", "aa")
    with pytest.raises(ClusterError, match="other machines of the cluster"):
        made_fake_jobs.run(store, {job.id: job})
    assert not store.names("notes")

    monkeypatch.undo()
    outcome, _ = made_fake_jobs.run(store, {job.id: job})
    assert outcome.done == (job.id,)
