"""SIGTERM is Ctrl-C, from the first line of a command to its last."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from xltray import sweep
from xltray.errors import INTERRUPTED
from xltray.termination import sigterm_kept, terminable


def test_sigterm_interrupts_inside_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_library_does_not_take_it_over() -> None:
    with terminable():
        with sigterm_kept():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_library_that_exits_at_it_is_overruled() -> None:
    def library() -> None:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt), terminable(), sigterm_kept():
        library()
    with pytest.raises(SystemExit), terminable(), sigterm_kept():
        sys.exit(1)
    with pytest.raises(SystemExit), sigterm_kept():
        sys.exit(signal.SIGTERM)


def test_a_command_ends_in_good_order_while_it_reads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep, "load_sweep", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    assert sweep.main(["s.yaml"]) == INTERRUPTED
    assert "The same command goes on" in capsys.readouterr().err
