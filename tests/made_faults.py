"""A real sweep at a slow pace on a cluster of this machine, and the faults that befall it.

    python tests/made_faults.py SWEEP.yaml ...     xltray.sweep, with jobs that say where they are and pause

Jobs are the real ones; after each step they leave a line in a folder, so that a test knows which process to
kill, and when.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import yaml

from xltray.cluster.jobrunners import JobRunners, real_runners
from xltray.context import JobContext, Progress

HERE = Path(__file__).parent
NOTES = "XLTRAY_FAULT_NOTES"
PAUSE = 0.25
PATIENCE = 300.0


# What workers run.


def slow_runners() -> JobRunners:
    """The real jobs, with notes and pauses."""
    real = real_runners()

    def finetune(job: Any, context: JobContext) -> Iterator[Progress]:
        for number, progress in enumerate(real.finetune(job, context), 1):
            _note("finetune", number)
            yield progress

    def evaluator(context: JobContext) -> Any:
        inner = real.evaluator(context)
        score = inner.score
        done = [0]

        def noted(chunk: Any) -> Any:
            done[0] += 1
            _note("server", done[0])
            return score(chunk)

        inner.score = noted  # type: ignore[method-assign]
        return inner

    return JobRunners(real.pretrain, finetune, real.surface, evaluator)


def _note(kind: str, number: int) -> None:
    import ray

    node = ray.get_runtime_context().get_node_id()
    note = {"kind": kind, "pid": os.getpid(), "node": node, "number": number}
    path = Path(os.environ[NOTES]) / f"{time.monotonic_ns()}-{uuid.uuid4().hex}"
    path.with_suffix(".tmp").write_text(json.dumps(note))
    path.with_suffix(".tmp").rename(path.with_suffix(".json"))
    time.sleep(PAUSE)


# What tests do with it.


class Driver:
    """``python -m xltray.sweep`` in a process of its own."""

    def __init__(self, file: Path, address: str, notes: Path) -> None:
        """Start it."""
        self.notes = notes
        self._seen = set(notes.iterdir())
        command = [sys.executable, str(HERE / "made_faults.py"), str(file), f"runtime.address={address}"]
        self.process = subprocess.Popen(
            command, cwd=HERE.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def wait_for(self, kind: str, number: int) -> dict[str, Any]:
        """Wait until a job of this kind has taken so many steps; returns its note."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            for path in sorted(set(self.notes.glob("*.json")) - self._seen):
                self._seen.add(path)
                note: dict[str, Any] = json.loads(path.read_text())
                if note["kind"] == kind and note["number"] >= number:
                    return note
            time.sleep(0.02)
        self.process.kill()
        raise AssertionError(f"no {kind} took {number} steps:\n{self.process.communicate()[0]}")

    def end(self) -> tuple[int, str]:
        """Wait for its end; returns the exit code and what it printed."""
        try:
            output, _ = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it does not end:\n{self.process.communicate()[0]}") from None
        return self.process.returncode, output


def write_sweep(path: Path, sweep: dict[str, Any], store: Path | str) -> Path:
    """Write a sweep file that checkpoints each validation and forgives lost processes."""
    runtime = {"checkpoint_seconds": 0, "retries": 3, "points_per_chunk": 4, "device": "cpu"}
    path.write_text(yaml.safe_dump({**sweep, "storage": str(store), "runtime": runtime}))
    return path


def kill_node(node: Any, whole: bool) -> None:
    """Kill a node's raylet, or with it all that it has started."""
    pids = [info.process.pid for infos in node.all_processes.values() for info in infos]
    (raylet,) = [info.process.pid for info in node.all_processes["raylet"]]
    if whole:
        pids += [child.pid for child in psutil.Process(raylet).children(recursive=True)]
    for pid in pids if whole else [raylet]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def main(arguments: list[str]) -> int:
    """Run a sweep with slow jobs."""
    import xltray.cluster.run as run
    from xltray.sweep import main as sweep

    slow: Callable[..., Any] = partial(run.run_plan, runners="made_faults:slow_runners")
    run.run_plan = slow
    return sweep(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
