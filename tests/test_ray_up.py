"""A real ``ray up`` of deploy/on-prem.yaml, as docs/cluster.md says; a sweep there loses its only worker."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_faults import ONE_CELL, Noted, check_results, write_sweep
from made_hosts import SHARED, USER, Host, Hosts, ssh, why_not
from made_slow_jobs import NOTES
from tiny import Tiny

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parent.parent
ADDRESSES = {"desk": "198.51.100.1", "head": "198.51.100.10", "worker": "198.51.100.11"}
CLUSTER = "filled-in.yaml"
DASHBOARD = "http://localhost:8265"
PATIENCE = 60.0


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """A user's machine and two machines for a cluster."""
    if reason := why_not():
        pytest.skip(f"hosts cannot be made here: {reason}")
    with Hosts(tmp_path / "hosts", ADDRESSES) as hosts:
        yield hosts


def test_a_sweep_outlives_the_only_worker_of_a_cluster(hosts: Hosts, tiny: Tiny) -> None:
    desk, head, worker = (hosts[name] for name in ADDRESSES)
    notes = lay_out(hosts, tiny)
    desk.run("ray get-auth-token --generate > /dev/null")
    desk.run(f"cd xltray && ray up -y {CLUSTER}")

    with desk.meanwhile(f"cd xltray && ray dashboard {CLUSTER}"):
        desk.run("until (: < /dev/tcp/localhost/8265) 2> /dev/null; do sleep 0.2; done", timeout=30)
        ask = f"import urllib.request as r; r.urlopen('{DASHBOARD}/api/jobs/')"
        assert "401: Unauthorized" in desk.run(f"python -c {shlex.quote(ask)}", code=1)

        sweep = "~/xltray-venv/bin/python tests/made_slow_jobs.py one.yaml runtime.device=cuda"
        line = f"cd ~/xltray && {sweep}"
        submit = f"RAY_AUTH_MODE=token ray job submit --address {DASHBOARD} -- bash -c {shlex.quote(line)}"
        job = Noted(desk.command(submit), notes)
        assert job.wait_for("finetune", 3)["gpus"], "it has reserved a GPU"
        (raylet,) = worker.processes("raylet")
        raylet.kill()
        code, output = job.end()
        assert code == 0, output
        assert "(loss 1 of 5)" in output
        resumed = check_results(tiny, hosts.shared / "store")
        assert resumed, "it went on from a validation"
        assert all(each["exact"] for each in resumed)

    desk.run(f"cd xltray && ray down -y {CLUSTER}")
    desk.run(f"{ssh(worker)} '~/xltray-venv/bin/ray stop'")
    for host in (head, worker):
        await_end_of_ray(host)


def lay_out(hosts: Hosts, tiny: Tiny) -> Path:
    """Put everywhere what is there before ``ray up``; returns the folder for notes of jobs."""
    for name in ("head", "worker"):
        home = hosts[name].home
        (home / "bin").mkdir()
        # There is a `python3`, as the file expects, and no `ray`.
        (home / "bin/python3").symlink_to(os.path.realpath(sys.executable))
        (home / ".profile").write_text(f"export PATH=~/bin:$PATH {NOTES}={SHARED}/notes\n")
    config = fill_in(yaml.safe_load((REPOSITORY / "deploy/on-prem.yaml").read_text()))
    # As a fresh clone: `ray up` would read a virtual environment too.
    unwanted = shutil.ignore_patterns(*(pattern.rstrip("/") for pattern in config["rsync_exclude"]))
    project = shutil.copytree(REPOSITORY, hosts["desk"].home / "xltray", ignore=unwanted)
    (project / CLUSTER).write_text(yaml.safe_dump(config))
    write_sweep(project / "one.yaml", ONE_CELL, SHARED / "store")
    encoder = tiny.store.encoder_path(tiny.encoder().id)
    shutil.copytree(tiny.root / encoder, hosts.shared / "store" / encoder)
    notes = hosts.shared / "notes"
    notes.mkdir()
    return notes


def fill_in(config: dict[str, Any]) -> dict[str, Any]:
    """Change what is marked CHANGE; and there is no network to install from, and there are no GPUs."""
    shipped = config["provider"]["head_ip"]
    config["provider"] |= {"head_ip": ADDRESSES["head"], "worker_ips": [ADDRESSES["worker"]]}
    config["auth"]["ssh_user"] = USER
    config["head_start_ray_commands"] = [
        line.replace(shipped, ADDRESSES["head"]) for line in config["head_start_ray_commands"]
    ]
    commands = config["setup_commands"]
    (install,) = (number for number, line in enumerate(commands) if "pip install" in line)
    commands[install] = link_installed()
    config["worker_start_ray_commands"][-1] += " --num-gpus=2"
    return config


def link_installed() -> str:
    """Return what makes the new environment one of all that is installed in this one."""
    packages = shlex.quote(sysconfig.get_path("purelib"))
    program = r"#!%s\nfrom ray.scripts.scripts import main\nmain()\n"
    return (
        "cd ~/xltray-venv/lib/python*/site-packages && "
        f"printf '%s\\n' ~/xltray ~/xltray/tests {packages} > here.pth && "
        f"cd ~/xltray-venv/bin && printf '{program}' $PWD/python > ray && chmod +x ray"
    )


def await_end_of_ray(host: Host) -> None:
    """Wait until nothing is left there but what lets users in."""
    deadline = time.monotonic() + PATIENCE
    while left := [process for process in host.processes() if process.name() != "sshd"]:
        assert time.monotonic() < deadline, f"{host.name}: still runs {left}"
        time.sleep(0.5)
