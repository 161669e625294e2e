"""Contexts in which Ray says nothing itself: what users should know, xltray tells them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

_DRIVER, _PRINTS = "ray._private.worker", "_worker_logs_enabled"
"""What Ray's driver prints is switched by a name of Ray's own, which another version may not have."""


@contextmanager
def quiet_logger() -> Iterator[None]:
    """A context in which Ray logs nothing below what is critical."""
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def quiet_driver() -> Iterator[None]:
    """A context in which Ray does not print, in colour, of each worker that died.

    It does that on standard output, among the events of ``--json``, also where it was told to show no logs
    (``log_to_driver``). The messages of jobs say the same (``retries.py``).
    """
    try:
        driver = import_module(_DRIVER)
        before = getattr(driver, _PRINTS)
    except (ImportError, AttributeError):
        yield
        return
    setattr(driver, _PRINTS, False)
    try:
        yield
    finally:
        setattr(driver, _PRINTS, before)
