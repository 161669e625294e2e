"""Giving back memory between jobs."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from xltray.cluster import trial, trim

# In a process of its own: what other tests have left would blur it. Blocks of 64 kB are below what glibc
# gives back by itself, and a small one after each keeps the holes between them off the end of the heap.
MEASURE = """
import re
from pathlib import Path
from xltray.cluster.trim import give_back_memory

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024

kept, freed = [], []
for _ in range(3000):
    freed.append(b"x" * 65536)
    kept.append(b"x" * 600)
del freed
before = resident()
give_back_memory()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_holes_between_what_is_kept_are_given_back() -> None:
    run = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    assert int(run.stdout) > 100  # MB, of 187


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trim.ctypes, "CDLL", lambda _: object())
    trim.give_back_memory()


def test_memory_is_given_back_before_the_next_job(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(trial, "give_back_memory", lambda: calls.append(1))
    job = trial.JobTrial.__new__(trial.JobTrial)
    assert job.reset_config({"kind": "finetune"})
    assert calls == [1]
