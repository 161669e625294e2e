"""Output that nobody takes ends no command and changes no exit code."""

from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pytest
import yaml
from made_commands import SWEEP
from rich.console import Console

from xltray.events import JsonLines
from xltray.inputs import FileInputs
from xltray.output import Bearing, spoken
from xltray.plan import make_plan
from xltray.started import write_plan
from xltray.store import Store
from xltray.sweepfile import load_sweep

ROOT = Path(__file__).parent.parent
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
MANY = 2000
"""Lines enough to overflow any buffer."""


def full() -> TextIO:
    return FULL.open("w", encoding="utf-8")


def unread() -> TextIO:
    reader, writer = os.pipe()
    os.close(reader)
    return open(writer, "w", encoding="utf-8")  # noqa: PTH123  (a descriptor)


def printing() -> int:
    """A command that prints in each of the ways that commands do."""
    console = Console()
    emit = JsonLines(sys.stdout)
    for number in range(MANY):
        console.print(number)
        emit("job", number=number)
        print(number)
    return 0


@needs_full
@pytest.mark.parametrize(("stream", "all_counts"), [(full, 1), (unread, 0)])
def test_a_command_prints_to_its_end(
    monkeypatch: pytest.MonkeyPatch, stream: Callable[[], TextIO], all_counts: int
) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    for counts in (False, True):
        # Closing it is the flush that Python does at exit.
        with stream() as out:
            monkeypatch.setattr(sys, "stdout", out)
            assert spoken(printing, all_counts=counts) == (all_counts if counts else 0)
            assert sys.stdout is out
    lines = said.getvalue().splitlines()
    wanted = "Not all that was to be printed could be written: [Errno 28] No space left on device."
    assert lines == [wanted, wanted] * all_counts


@needs_full
def test_an_error_code_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with full() as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert spoken(lambda: printing() or 3, all_counts=True) == 3


@needs_full
def test_nowhere_at_all_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    with full() as errors:
        monkeypatch.setattr(sys, "stdout", None)
        monkeypatch.setattr(sys, "stderr", errors)
        assert spoken(printing) == 0
        assert sys.stdout is None


def test_what_has_room_again_is_written() -> None:
    class Filling(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().write(text)

    stream = Filling()
    emit = JsonLines(Bearing(stream))  # type: ignore[arg-type]
    emit("note", message="lost")
    stream.full = False
    emit("end", exit_code=0)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "end"


def test_a_signal_that_is_told_of_during_a_write_raises_nothing() -> None:
    reader, writer = os.pipe()
    told, text, read = threading.Event(), "x" * 2**20, list[bytes]()

    def signal_and_read() -> None:
        # One write of all that blocks from when the pipe is full.
        while int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, b"1234"), sys.byteorder) < 2**16:
            time.sleep(0.01)
        signal.pthread_kill(main.ident, signal.SIGUSR1)
        told.wait(10)
        while sum(map(len, read)) < len(text):
            read.append(os.read(reader, 2**16))

    with open(writer, "w", encoding="utf-8") as stream:  # noqa: PTH123  (a descriptor)
        bearing, main = Bearing(stream), threading.main_thread()

        def handle(*_: Any) -> None:
            with pytest.raises(RuntimeError, match="reentrant call"):
                stream.flush()
            bearing.write("stopping\n")
            bearing.flush()
            told.set()

        before = signal.signal(signal.SIGUSR1, handle)
        try:
            thread = threading.Thread(target=signal_and_read)
            thread.start()
            bearing.write(text)
            bearing.flush()
            thread.join(10)
        finally:
            signal.signal(signal.SIGUSR1, before)
    os.close(reader)
    assert told.is_set()
    assert b"".join(read).startswith(text.encode())
    assert bearing.error is None


def test_it_is_still_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    assert spoken(lambda: int(Console(_environ={}).is_terminal)) == 1


def test_an_interrupt_has_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert spoken(interrupted) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


# Commands


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep that has started, once, and whose driver is on another machine and silent."""
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(SWEEP | {"storage": str(tmp_path / "store")}), encoding="utf-8")
    loaded = load_sweep(path)
    write_plan(make_plan(loaded, FileInputs(loaded.data)), Store(loaded.storage), ())
    return path


def command(module: str, *arguments: Any, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"xltray.{module}", *map(str, arguments)],
        cwd=ROOT,
        text=True,
        # Tests that a shell started in the background (`&`) hand on that Ctrl-C is not for them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


@needs_full
def test_commands_of_a_full_or_unread_output(sweep: Path) -> None:
    runs = []
    for stream, module, arguments, code in (
        (full, "status", [sweep], 1),
        (unread, "status", [sweep, "--json"], 0),
        (full, "sweep", [sweep, "--dry-run"], 0),
        (full, "sweep", [sweep, "tasks=[psr]", "--json"], 2),
    ):
        with stream() as out:
            process = command(module, *arguments, stdout=out, stderr=subprocess.PIPE)
        runs.append((process, stream, code))
    for process, stream, code in runs:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        assert "Traceback" not in errors
        assert ("could be written: [Errno 28]" in errors) == (stream is full)


def test_status_ends_at_once_when_it_is_told_to_while_it_waits(sweep: Path) -> None:
    silent = {"machine": "elsewhere", "boot": "another", "process": 1, "born": 1, "running": []}
    Store(str(sweep.parent / "store")).write_json("sweeps/s/driver.json", silent)
    with command("status", sweep, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr
        told = process.stderr.readline()
        assert told.startswith("waiting up to 20 s")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=15)
    assert (process.returncode, errors) == (130, "Interrupted.\n")
