"""What a run exports, and that the Grafana dashboard asks for exactly that."""

from __future__ import annotations

import io
import json
import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from rich.console import Console
from tiny import make_tiny

from xltray.cluster.jobrunners import JobRunners, real_runners
from xltray.cluster.run import run_plan
from xltray.cluster.session import worker_environment
from xltray.context import JobContext, Progress
from xltray.jobs import FinetuneJob

ROOT = Path(__file__).parent.parent
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARD = json.loads((GRAFANA / "xltray.json").read_text(encoding="utf-8"))
SERIES = re.compile(r"^(?P<name>ray_xltray_\w+)\{(?P<tags>.*)\} (?P<value>\S+)$", flags=re.MULTILINE)


def flaky_runners() -> JobRunners:
    """What runs real jobs, except that one fine-tuning fails at its first attempt."""
    real = real_runners()

    def finetune(job: FinetuneJob, context: JobContext) -> Iterator[Progress]:
        if len(job.languages) == 2 and not context.store.exists("failed-once"):
            context.store.write_bytes("failed-once", b"")
            raise ValueError("once")
        return real.finetune(job, context)

    return real._replace(finetune=finetune)


@contextmanager
def scraped(port: int) -> Iterator[dict[str, dict[str, float]]]:
    """Ask a Ray for its metrics again and again; the last value of each series by name and tags."""
    values: dict[str, dict[str, float]] = {}
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(0.3):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                for series in SERIES.finditer(answer.read().decode()):
                    values.setdefault(series["name"], {})[series["tags"]] = float(series["value"])

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield values
    finally:
        ended.set()
        thread.join()


def asked_for(dashboard: Any) -> set[str]:
    """The metrics of ours that a dashboard names, as Ray exports them."""
    return set(re.findall(r"\bray_xltray_\w+", json.dumps(dashboard)))


def total(values: dict[str, float], *tags: str) -> float:
    return sum(value for key, value in values.items() if all(tag in key for tag in tags))


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning", "ignore:subprocess .* is still:ResourceWarning"
)
def test_the_dashboard_names_all_that_a_run_exports_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    tiny = make_tiny(
        tmp_path / "store", tasks=["pos"], pairs={"qaa": ["qab"]}, scopes=["all"], runtime={"retries": 1}
    )
    variables = {**worker_environment(1), "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": variables},
        _system_config={"metrics_report_interval_ms": 100},
    )
    try:
        with scraped(ray.nodes()[0]["MetricsExportPort"]) as values:
            jobs = dict(tiny.plan.jobs)
            outcome = run_plan(
                tiny.plan,
                jobs,
                tiny.store,
                console=Console(file=io.StringIO()),
                runners="test_monitoring:flaky_runners",
            )
            threading.Event().wait(1.5)
    finally:
        ray.shutdown()
    assert len(outcome.done) == len(jobs) == 5

    # Of a histogram, sum and count come for free.
    exported = {name for name in values if not re.search("point_seconds_(sum|count)$", name)}
    assert asked_for(DASHBOARD) == exported

    pos = ('task="pos"', 'encoder="small"')
    assert total(values["ray_xltray_points_total"], *pos) == len(tiny.cell().grid) == 11
    assert total(values["ray_xltray_sentences_total"], *pos) == 11 * (30 + 30)
    assert total(values["ray_xltray_point_seconds_bucket"], 'le="+Inf"', *pos) == 11
    assert total(values["ray_xltray_failures_total"], *pos) == 1
    assert total(values["ray_xltray_failures_total"]) == 1
    steps = [tiny.done(job)["steps"] for job in jobs.values() if isinstance(job, FinetuneJob)]
    assert total(values["ray_xltray_steps_total"], *pos) == sum(steps)
    assert total(values["ray_xltray_jobs"], 'kind="finetune"', 'state="done"') == 3
    assert total(values["ray_xltray_jobs"]) == 5
    assert total(values["ray_xltray_devices"]) == 2
    written = sum(file.stat().st_size for file in (tmp_path / "store").rglob("*") if file.is_file())
    assert 0.9 * written < total(values["ray_xltray_written_bytes_total"]) < 1.5 * written
    assert total(values["ray_xltray_busy_seconds_total"], *pos) > 0


def test_the_dashboard_holds_together() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells), "panels overlap"
    assert max(x for x, _ in cells) < 24
    known = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    for panel in panels:
        for target in panel["targets"]:
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= known | {"__rate_interval"}
            assert target["expr"].count("(") == target["expr"].count(")")
            # A counter is only good for its growth; but of the first failure, the one that matters most,
            # Prometheus sees none: before it the counter was not there.
            for name in set(re.findall(r"\w+_total", target["expr"])) - {"ray_xltray_failures_total"}:
                assert re.search(rf"(rate|increase)\({name}\{{[^}}]*\}}\[", target["expr"])


def test_grafana_is_told_where_the_dashboard_is() -> None:
    (provider,) = yaml.safe_load((GRAFANA / "provider.yaml").read_text())["providers"]
    assert provider["type"] == "file"
    guide = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    assert f"deploy/grafana/xltray.json {provider['options']['path']}/" in " ".join(guide.split())
    (source,) = yaml.safe_load((GRAFANA / "datasource.yaml").read_text())["datasources"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)


def test_every_metric_is_explained() -> None:
    guide = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    explained = {f"ray_{name}" for name in re.findall(r"`(xltray_\w+)`", guide)}
    plain = {re.sub("_(total|bucket)$", "", name) for name in asked_for(DASHBOARD)}
    assert explained == plain
