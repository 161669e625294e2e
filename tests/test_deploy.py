"""The cluster files hold together: what Ray checks offline, and what it does not.

No cloud is asked. ``made_clusters.py`` has the keys that are allowed where Ray's schema allows any.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_clusters import PROVIDERS, RAY_JOB, RUN_INSTANCES, unknown_keys
from ray.autoscaler._private.util import prepare_config, validate_config

REPOSITORY = Path(__file__).parent.parent
CLUSTERS = ("cluster.yaml", "deploy/on-prem.yaml")
FILES = (*CLUSTERS, "deploy/rayjob.yaml")
RAY = re.search(r"^ray==(\S+)$", (REPOSITORY / "constraints.txt").read_text(), flags=re.MULTILINE)[1]

SHARED = "--volume /tmp/ray:/tmp/ray"

# vCPUs and GPUs of instance types that the file may name: from AWS's list.
INSTANCES = {
    "m6i.xlarge": (4, 0),
    "g5.12xlarge": (48, 4),
    "g5.48xlarge": (192, 8),
    "g6e.12xlarge": (48, 4),
    "p4d.24xlarge": (96, 8),
    "p5.48xlarge": (192, 8),
}


def load(name: str) -> Any:
    return yaml.safe_load((REPOSITORY / name).read_text())


def found_by_ray(config: Any) -> list[str]:
    """What Ray itself finds wrong, as `ray up` would before it asks any cloud."""
    try:
        validate_config(prepare_config(copy.deepcopy(config)))
    except Exception as error:  # jsonschema, assertions, click: Ray raises all kinds
        return [str(error).splitlines()[0]]
    return []


def problems(config: Any) -> list[str]:
    """Everything wrong with a cluster file of ``ray up``."""
    found = found_by_ray(config)
    found += unknown_keys(config["provider"], PROVIDERS[config["provider"]["type"]], "provider")
    for name, kind in config.get("available_node_types", {}).items():
        found += unknown_keys(kind["node_config"], RUN_INSTANCES, name)
        cpus, gpus = INSTANCES.get(kind["node_config"].get("InstanceType"), (None, None))
        expected = {"CPU": 0, "GPU": 0} if name == config["head_node_type"] else {"CPU": cpus, "GPU": gpus}
        if kind["resources"] != expected:
            found.append(f"{name}.resources: found {kind['resources']}, expected {expected}")
        if "InstanceMarketOptions" in kind["node_config"] and config["provider"].get(
            "cache_stopped_nodes", True
        ):
            found.append("provider.cache_stopped_nodes: spot machines cannot be stopped")
    return found + list(start_problems(config))


def start_problems(config: Any) -> Iterator[str]:
    """What is wrong with how Ray is started."""
    head = " ; ".join(config["head_start_ray_commands"])
    worker = " ; ".join(config["worker_start_ray_commands"])
    local = config["provider"]["type"] == "local"
    needed = ["--head", "--autoscaling-config=~/ray_bootstrap_config.yaml", "--dashboard-host=127.0.0.1"]
    if local:
        needed += ["--num-cpus=0", "--num-gpus=0", f"--node-ip-address={config['provider'].get('head_ip')} "]
    if "docker" in config:
        yield from container_problems(config)
    yield from (f"head_start_ray_commands: no {option}" for option in needed if option not in head)
    if "--address=$RAY_HEAD_IP:6379" not in worker:
        yield "worker_start_ray_commands: no --address"
    container = " ".join(config.get("docker", {}).get("run_options", []))
    for name, commands in (("head", head), ("worker", worker)):
        if "RAY_USAGE_STATS_ENABLED=0" not in commands:
            yield f"{name}: telemetry is on"
        if "RAY_AUTH_MODE=token" not in f"{commands} {container}":
            yield f"{name}: no token authentication"
        if local and "RAY_enable_autoscaler_v2=0" not in commands:
            yield f"{name}: workers of `type: local` would not start"
    if local and not any(
        "~/xltray-venv/bin:$PATH' >> ~/.bashrc" in line for line in config["setup_commands"]
    ):
        yield "setup_commands: `ray down` would find no ray to stop"
    if not any(path.rstrip("/").endswith((".ray", ".ray/auth_token")) for path in config["file_mounts"]):
        yield "file_mounts: the token does not get to the machines"


def container_problems(config: Any) -> Iterator[str]:
    """What would keep a Prometheus on the machine from seeing whom Ray says it is to ask."""
    if SHARED not in config["docker"].get("run_options", []):
        yield f"docker.run_options: no {SHARED}"
    # Docker makes a folder that is not there as root, and Ray's images do not run as root.
    if "mkdir -p -m 1777 /tmp/ray" not in config.get("initialization_commands", []):
        yield "initialization_commands: Ray could not write to /tmp/ray"


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_cluster_files_are_right(name: str) -> None:
    assert problems(load(name)) == []


def put(*path: Any, value: Any = None, name: Any = None) -> Callable[[Any], None]:
    """Return what changes one place of a file: sets a value, renames a key, or (neither) deletes it."""

    def change(config: Any) -> None:
        for step in path[:-1]:
            config = config[step]
        old = config.pop(path[-1])
        if name is not None:
            config[name] = old
        elif value is not None:
            config[path[-1]] = value

    return change


def replace(key: str, old: str, new: str) -> Callable[[Any], None]:
    def change(config: Any) -> None:
        assert any(old in line for line in config[key])
        config[key] = [line.replace(old, new) for line in config[key]]

    return change


WORKER = ("available_node_types", "gpu_worker")
AWS_MISTAKES = {
    "a key of the file": put("idle_timeout_minutes", name="idle_timeout_minute"),
    "a key of provider": put("provider", "cache_stopped_nodes", name="cache_stoped_nodes"),
    "a key of auth": put("auth", "ssh_user", name="ssh_usr"),
    "a key of docker": put("docker", "run_options", name="run_option"),
    "a key of a node type": put(*WORKER, "min_workers", name="min_worker"),
    "a key of RunInstances": put(
        *WORKER, "node_config", "InstanceMarketOptions", name="InstanceMarketOption"
    ),
    "a key of its disks": put(
        *WORKER, "node_config", "BlockDeviceMappings", 0, "Ebs", "VolumeSize", name="VolumSize"
    ),
    "a key of its profile": put(*WORKER, "node_config", "IamInstanceProfile", value={"name": "xltray"}),
    "a value for a mapping": put(*WORKER, "node_config", "InstanceMarketOptions", value="spot"),
    "the wrong instance type": put(*WORKER, "node_config", "InstanceType", value="g5.48xlarge"),
    "jobs on the head": put("available_node_types", "head", "resources", value={}),
    "stopped spot machines": put("provider", "cache_stopped_nodes", value=True),
    "more workers than allowed": put(*WORKER, "min_workers", value=9),
    "no head": put("head_node_type", value="heads"),
    "no image": put("docker", "image"),
    "no autoscaler": replace("head_start_ray_commands", "--autoscaling-config", "--autoscaling"),
    "a dashboard for all": replace("head_start_ray_commands", "127.0.0.1", "0.0.0.0"),
    "telemetry": replace("worker_start_ray_commands", "STATS_ENABLED=0", "STATS_ENABLED=1"),
    "no token asked for": put("docker", "run_options", value=[SHARED, "--env RAY_AUTH_MODE=disabled"]),
    "a Ray that Prometheus does not see": put(
        "docker", "run_options", value=["--volume /tmp/rays:/tmp/ray", "--env RAY_AUTH_MODE=token"]
    ),
    "a folder of root's": put("initialization_commands"),
    "no token there": put("file_mounts", "/home/ray/.ray"),
}
LOCAL_MISTAKES = {
    "a key of provider": put("provider", "worker_ips", name="worker_ip"),
    "an unknown key of provider": put("provider", "head_ip", name="headip"),
    "another head": put("provider", "head_ip", value="192.0.2.99"),
    "a key of auth": put("auth", "ssh_private_key", name="ssh_privat_key"),
    "the newer autoscaler": replace("worker_start_ray_commands", "autoscaler_v2=0", "autoscaler_v2=1"),
    "no address": replace("head_start_ray_commands", "--node-ip-address", "--node-ip"),
    "jobs on the head": replace("head_start_ray_commands", "--num-cpus=0", ""),
    "a Ray that stays": replace("setup_commands", ">> ~/.bashrc", ">> ~/.profile"),
}


@pytest.mark.parametrize(
    ("file", "change"),
    [
        *(pytest.param("cluster.yaml", change, id=f"aws: {what}") for what, change in AWS_MISTAKES.items()),
        *(
            pytest.param("deploy/on-prem.yaml", change, id=f"local: {what}")
            for what, change in LOCAL_MISTAKES.items()
        ),
    ],
)
def test_mistakes_are_found(file: str, change: Callable[[Any], None]) -> None:
    # Through JSON-like text, so that what YAML shares between places is shared no more.
    config = yaml.safe_load(yaml.dump(load(file), Dumper=NoAliases))
    change(config)
    try:
        found = problems(config)
    except SystemExit:  # how Ray refuses a local file
        return
    assert found


class NoAliases(yaml.SafeDumper):
    """Writes what is shared in full at each place."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def test_spot_machines_that_come_and_go() -> None:
    config = load("cluster.yaml")
    worker = config["available_node_types"]["gpu_worker"]
    assert worker["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert worker["resources"]["GPU"] > 1
    assert worker["min_workers"] == 0
    assert worker["max_workers"] == config["max_workers"]
    assert 0 < config["idle_timeout_minutes"] <= 30
    # The quota to ask for is that of all of them.
    cpus = worker["max_workers"] * worker["resources"]["CPU"]
    for name in ("cluster.yaml", "docs/cluster.md"):
        assert f" {cpus} vCPUs" in (REPOSITORY / name).read_text()
    assert f"--desired-value {cpus}\n" in (REPOSITORY / "docs/cluster.md").read_text()


def test_the_machine_image_must_be_filled_in() -> None:
    """A true id is of one region and grows old; this one EC2 refuses, and the documentation fills it in."""
    nodes = load("cluster.yaml")["available_node_types"].values()
    assert {node["node_config"]["ImageId"] for node in nodes} == {"ami-FILL-IN"}
    guide = (REPOSITORY / "docs/cluster.md").read_text()
    assert 'sed -i "s/ami-FILL-IN/' in guide


def test_the_keys_are_those_of_ec2() -> None:
    """Where botocore is installed (extra `aws`), its description of the API has all that we allow."""
    loaders = pytest.importorskip("botocore.loaders")
    shapes = loaders.Loader().load_service_model("ec2", "service-2")["shapes"]
    members = shapes["RunInstancesRequest"]["members"]
    assert set(RUN_INSTANCES) - {"SubnetIds"} <= set(members)


@pytest.mark.parametrize("name", [*FILES, "deploy/Dockerfile", "docs/cluster.md"])
def test_all_name_the_version_of_ray_that_is_pinned(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    versions = re.findall(r"rayproject/ray:([\d.]+)|rayVersion: ([\d.]+)|xltray:([\d.]+)", text)
    assert {version for found in versions for version in found if version} <= {RAY}
    if name != "deploy/on-prem.yaml":
        assert versions
    assert "ray-ml" not in text


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_project_is_installed_as_it_is_tested(name: str) -> None:
    config = load(name)
    assert "." in config["file_mounts"].values()
    (install,) = (command for command in config["setup_commands"] if "pip install" in command)
    assert "-c constraints.txt" in install
    for folder in (".git/", ".venv/", "results/"):
        assert folder in config["rsync_exclude"]
    # What is fetched on the head gets to the workers with the project.
    assert not any(pattern.startswith("data") for pattern in config["rsync_exclude"])


@pytest.mark.parametrize("name", [*FILES, "deploy/Dockerfile", "docs/cluster.md"])
def test_no_secrets(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    assert not re.search(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|BEGIN [A-Z ]*PRIVATE KEY|://[^/\s]+:[^/\s]+@", text)
    assert not re.search(r"(AUTH_TOKEN|HF_TOKEN|SECRET_ACCESS_KEY|PASSWORD)\s*[=:]\s*[^\s$]", text)


@pytest.mark.parametrize("name", FILES)
def test_a_newcomer_is_told_what_to_change(name: str) -> None:
    marks = re.findall(r"CHANGE (\d)(?=:)", (REPOSITORY / name).read_text())
    assert sorted(set(marks)) == ["1", "2", "3", "4", "5"]


# Kubernetes.


def test_the_ray_job_is_right() -> None:
    job = load("deploy/rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert list(unknown_keys(job, RAY_JOB)) == []
    spec = job["spec"]
    assert "python -m xltray.sweep sweeps/full.yaml" in spec["entrypoint"]
    assert spec["shutdownAfterJobFinishes"] is True
    cluster = spec["rayClusterSpec"]
    assert cluster["rayVersion"] == RAY
    assert cluster["authOptions"] == {"mode": "token"}
    head, (worker,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert head["serviceType"] == "ClusterIP"
    assert head["rayStartParams"]["num-cpus"] == "0"
    containers = [group["template"]["spec"]["containers"][0] for group in (head, worker)]
    assert len({container["image"] for container in containers}) == 1
    for container in containers:
        assert container["resources"]["requests"] == container["resources"]["limits"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in head["template"]["spec"]["volumes"]}
    assert int(containers[1]["resources"]["limits"]["nvidia.com/gpu"]) > 1
    assert "nvidia.com/gpu" not in containers[0]["resources"]["limits"]


@pytest.mark.parametrize(
    "change",
    [
        put("spec", "entrypoint", name="entryPoint"),
        put("spec", "rayClusterSpec", "authOptions", name="authOption"),
        put("spec", "rayClusterSpec", "workerGroupSpecs", 0, "maxReplicas", name="maxReplica"),
        put(
            "spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "containers", 0, "env", name="envs"
        ),
    ],
)
def test_mistakes_in_the_ray_job_are_found(change: Callable[[Any], None]) -> None:
    job = load("deploy/rayjob.yaml")
    change(job)
    assert len(list(unknown_keys(job, RAY_JOB))) == 1
