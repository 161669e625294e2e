"""Ctrl-C and SIGTERM end a run in good order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import made_rays
import pytest

from xltray.store import Store

# Fixtures: pytest looks for them in this module.
module_ray = made_rays.module_ray


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


SCRIPT = """
import sys, made_fake_jobs as t
from xltray.store import Store
store = Store(sys.argv[1])
jobs = t.jobs_of(*(t.finetune_job("slow", language) for language in ("aa", "bb", "cc")))
outcome, shown = t.run(store, jobs, address="local")
print(shown)
print("interrupted", outcome.interrupted, outcome.done, outcome.failed, outcome.skipped)
print("torch imported", "torch" in sys.modules)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("module_ray")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_run_in_good_order(store: Store, number: signal.Signals) -> None:
    command = [sys.executable, "-c", SCRIPT, store.uri]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not store.names("notes") and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(number)
        asked = time.monotonic()
        shown, _ = process.communicate(timeout=60)
    assert time.monotonic() - asked < 30, "jobs end at their next step; to their own end it is a minute"
    assert process.returncode == 0
    assert "stopping after the steps under way" in shown
    assert "interrupted True () {} {}" in shown
    assert "torch imported False" in shown
