"""What a job takes of a machine, and whether the machines have it."""

from __future__ import annotations

import pytest

from xltray.cluster.capacity import CapacityError, bundles, check_room, count_devices
from xltray.cluster.trial import JobTrial


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_a_surface_with_one_server_takes_exactly_what_a_finetuning_takes(threads: int) -> None:
    [whole] = bundles("finetune", threads=threads, device="cpu", servers=1)
    coordinator, server = bundles("surface", threads=threads, device="cpu", servers=1)
    assert coordinator["CPU"] + server["CPU"] == whole["CPU"] == threads


def test_a_finetuning_reserves_what_pretraining_does_so_that_it_gets_its_process() -> None:
    config = {"threads": 2, "device": "cpu", "servers": 1, "processes": 1}
    pretraining, finetuning, surface = (
        JobTrial.default_resource_request({**config, "kind": kind})
        for kind in ("pretrain", "finetune", "surface")
    )
    assert pretraining == finetuning != surface
    assert hash(pretraining) == hash(finetuning), "Tune looks for it by that"


def test_gpus_go_to_finetunings_and_servers_not_to_coordinators() -> None:
    assert bundles("pretrain", threads=2, device="cuda", servers=3) == [{"CPU": 2, "GPU": 1}]
    coordinator, *servers = bundles("surface", threads=2, device="cuda", servers=3)
    assert coordinator == {"CPU": 0.1}
    assert servers == [{"CPU": 1.9, "GPU": 1}, {"CPU": 2, "GPU": 1}, {"CPU": 2, "GPU": 1}]


def test_a_job_that_fits_nowhere_is_an_error() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 4.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    check_room("surface", [{"CPU": 0.1}, {"CPU": 3.9}, {"CPU": 2.0}], nodes)
    with pytest.raises(CapacityError, match="needs 5 CPU on one machine; found at most 4 CPU"):
        check_room("finetune", [{"CPU": 5.0}], nodes)
    with pytest.raises(CapacityError, match=r"needs 1 CPU and 1 GPU .*; found at most 4 CPU and 0 GPU"):
        check_room("finetune", [{"CPU": 1.0, "GPU": 1.0}], nodes)
    with pytest.raises(CapacityError, match="needs 8 CPU; found 6 CPU on all machines together"):
        check_room("surface", [{"CPU": 4.0}, {"CPU": 4.0}], nodes)


def test_devices_are_gpus_with_cpus_for_them_or_else_threads() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 9.0, "GPU": 8.0}},
        {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 4.0}},
        {"Alive": True, "Resources": {}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    assert count_devices(1, "cuda", nodes) == 8 + 4
    assert count_devices(2, "cuda", nodes) == 4 + 4
    assert count_devices(1, "cpu", nodes) == 25
    assert count_devices(4, "cpu", nodes) == 2 + 4
