"""The dashboard's questions, asked of a real Prometheus that watches a run as docs/monitoring.md says."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from rich.console import Console
from test_monitoring import DASHBOARD, ROOT
from tiny import make_tiny

from xltray.cluster.metrics import RunMetrics
from xltray.cluster.run import run_plan
from xltray.cluster.session import worker_environment

PROMETHEUS = shutil.which("prometheus")
# Of a GPU there is none here: of Ray's own metric only that the question can be read is tested.
NEEDS_A_GPU = {"GPU utilisation (Ray's own)"}
VARIABLES = {"$session": ".*", "$task": ".*", "$encoder": ".*", "$__rate_interval": "30s"}
RATE = re.compile(r"rate\((ray_\w+\{[^}]*\})\[30s\]\)")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Prometheus:
    """A Prometheus that asks a Ray every second, and what it knows."""

    def __init__(self, configuration: Path, folder: Path) -> None:
        settings = yaml.safe_load(configuration.read_text(encoding="utf-8"))
        settings["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
        file = folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        self._address = f"127.0.0.1:{free_port()}"
        self._log = (folder / "prometheus.log").open("wb")
        self._process = subprocess.Popen(
            [
                str(PROMETHEUS),
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self._address}",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def ask(self, path: str, **parameters: str | float) -> Any:
        """Ask its HTTP interface; a question that it cannot read raises an error."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://{self._address}/api/v1/{path}?{query}", timeout=30) as answer:
            return json.loads(answer.read())["data"]

    def await_targets(self) -> None:
        """Wait until Ray has answered it."""
        end = time.monotonic() + 60
        while True:
            try:
                if self.ask("query", query="ray_node_cpu_count")["result"]:
                    return
            except OSError:
                assert self._process.poll() is None, "Prometheus ended"
            assert time.monotonic() < end, "Prometheus sees no Ray"
            time.sleep(0.5)

    def curves(self, expression: str, begin: float) -> dict[str, list[float]]:
        """What a panel shows of the time since then: the values of each curve, by its labels.

        Instead of rates what they are of: all that so short a run counts may come between two looks.
        """
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)
        self.ask("query", query=expression)
        plain = RATE.sub(r"\1", expression)
        assert "rate(" not in plain
        found = self.ask("query_range", query=plain, start=begin, end=time.time(), step=1)
        return {
            ",".join(f"{key}={value}" for key, value in sorted(curve["metric"].items())): [
                float(value) for _, value in curve["values"]
            ]
            for curve in found["result"]
        }

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()


@ray.remote(num_cpus=0)
class AnotherDriver:
    """Tells of the cluster what the driver of a second sweep would, until it is let go."""

    def __init__(self, devices: int) -> None:
        self._metrics = RunMetrics()
        self._metrics.update({}, {}, devices)

    def is_there(self) -> bool:
        return True


def numbers(curves: dict[str, list[float]]) -> list[float]:
    """All that is drawn: where a rate of nothing is divided, Prometheus says NaN."""
    return [value for values in curves.values() for value in values if not math.isnan(value)]


def busy_share() -> str:
    """Return the question of the panel of that name."""
    [panel] = (panel for panel in DASHBOARD["panels"] if panel["title"] == "GPU busy share")
    return str(panel["targets"][0]["expr"])


@contextmanager
def watched_ray(folder: Path) -> Iterator[Prometheus]:
    """A Ray with a dashboard, which is what tells Prometheus where to ask."""
    variables = {**worker_environment(1), "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    # Ray puts sockets there, whose paths may not be long.
    with tempfile.TemporaryDirectory(prefix="xltray", dir="/tmp", ignore_cleanup_errors=True) as ray_folder:
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=True,
            dashboard_port=free_port(),
            log_to_driver=False,
            runtime_env={"env_vars": variables},
            _temp_dir=ray_folder,
            _system_config={"metrics_report_interval_ms": 200},
        )
        try:
            latest = Path(ray_folder) / "session_latest" / "metrics" / "prometheus" / "prometheus.yml"
            prometheus = Prometheus(latest, folder)
            try:
                prometheus.await_targets()
                yield prometheus
            finally:
                prometheus.close()
        finally:
            ray.shutdown()


@pytest.mark.slow
@pytest.mark.skipif(PROMETHEUS is None, reason="no program prometheus here")
@pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning", "ignore:subprocess .* is still:ResourceWarning"
)
def test_every_panel_shows_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    tiny = make_tiny(
        tmp_path / "store", tasks=["pos"], pairs={"qaa": ["qab"]}, scopes=["all"], runtime={"retries": 1}
    )
    begin = time.time()
    with watched_ray(tmp_path) as prometheus:
        another = AnotherDriver.remote(2)
        assert ray.get(another.is_there.remote(), timeout=60)
        outcome = run_plan(
            tiny.plan,
            dict(tiny.plan.jobs),
            tiny.store,
            console=Console(file=io.StringIO()),
            runners="test_monitoring:flaky_runners",
        )
        assert len(outcome.done) == 5
        time.sleep(3)  # for what was counted last

        shown = {
            (panel["title"], target["refId"]): prometheus.curves(target["expr"], begin)
            for panel in DASHBOARD["panels"]
            for target in panel["targets"]
        }
        for (title, _), curves in shown.items():
            if title not in NEEDS_A_GPU:
                assert max(numbers(curves), default=0.0) > 0, (title, curves)
        assert max(shown["Failed attempts", "A"]["encoder=small,task=pos"]) == 1
        assert max(shown["Jobs by state", "A"]["state=done"]) == 5
        assert max(shown["Points per second", "A"]["encoder=small,task=pos"]) == 11
        assert max(shown["Sentences per second", "A"]["encoder=small,task=pos"]) == 11 * (30 + 30)
        # Two drivers tell of the same two devices.
        assert len(prometheus.curves("ray_xltray_devices", begin)) == 2
        _, devices = busy_share().split(" / ")
        assert max(numbers(prometheus.curves(devices, begin))) == 2

        # What the menus at the top offer.
        offered = {}
        for variable in DASHBOARD["templating"]["list"]:
            if variable["type"] == "query":
                [(metric, label)] = re.findall(r"^label_values\((\w+), (\w+)\)$", variable["definition"])
                offered[label] = prometheus.ask(f"label/{label}/values", **{"match[]": metric})
        assert (offered["task"], offered["encoder"]) == (["pos", "pretrain"], ["small"])
        [session] = offered["SessionName"]
        assert session.startswith("session_")
