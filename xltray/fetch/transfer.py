"""One file by HTTP (or file://), going on where an earlier try stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from xltray.errors import MissingInputError, Problem
from xltray.fetch.screen import UnderWay

TRIES = 5
TIMEOUT_SECONDS = 60.0
_BLOCK = 1 << 20
_PARTIAL, _RANGE_NOT_SATISFIABLE = 206, 416
# The server took too long to hear all of it, or asks to be asked less often.
_PASSING = frozenset({408, 429})
_OWN_FAULT = frozenset(range(400, 500)) - _PASSING
_LONGEST_PAUSE_SECONDS = 30


class _BrokenError(Exception):
    """The other side, or the way to it, failed; errors of this machine's disk are not of this kind."""


def download(url: str, path: Path, under_way: UnderWay) -> None:
    """Bring a URL into ``path``, which may hold the beginning of it from an earlier try.

    A connection that breaks is tried again a few times. What came stays in ``path``, and the next call
    asks the server for the rest (a server that sends all of it anyway is listened to from the start).

    Raises:
        MissingInputError: if the file cannot be had.
        OSError: if it cannot be written here.
    """
    pause = 0
    for attempt in range(TRIES):
        time.sleep(min(attempt, 3) + pause)
        try:
            if _once(url, path, under_way):
                return
            reason, pause = "a connection that broke", 0
        except HTTPError as error:
            error.close()
            if error.code == _RANGE_NOT_SATISFIABLE:
                # Nothing after what is there: it is complete, or of another file.
                return
            reason = f"{error.code} {error.reason}"
            if error.code in _OWN_FAULT:
                break
            asked = error.headers.get("Retry-After") or ""
            pause = min(int(asked), _LONGEST_PAUSE_SECONDS) if asked.isdecimal() else 0
        except _BrokenError as error:
            reason, pause = str(error), 0
    advice = "Check the address and the network, and run again: what came is kept"
    raise MissingInputError("A file cannot be fetched", [Problem(url, reason, "a file", advice)])


def _once(url: str, path: Path, under_way: UnderWay) -> bool:
    """Ask for what is missing; return whether all of it came."""
    have = path.stat().st_size if path.is_file() else 0
    request = _request(url, have)
    with _open(request) as response:
        have = have if response.status == _PARTIAL else 0
        length = response.headers.get("Content-Length")
        if length is not None:
            under_way.expect(have + int(length), have=have)
        with path.open("ab" if have else "wb") as file:
            for block in _blocks(response):
                file.write(block)
                under_way.advance(len(block))
    return length is None or path.stat().st_size == have + int(length)


def _request(url: str, have: int) -> Request:
    try:
        return Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    except ValueError as error:
        raise _BrokenError(str(error)) from error


def _open(request: Request) -> Any:
    try:
        return urlopen(request, timeout=TIMEOUT_SECONDS)
    except HTTPError:
        raise
    except (OSError, HTTPException, ValueError) as error:
        raise _BrokenError(str(error) or type(error).__name__) from error


def _blocks(response: Any) -> Iterator[bytes]:
    try:
        while block := response.read(_BLOCK):
            yield block
    except (OSError, HTTPException, ValueError) as error:
        raise _BrokenError(str(error) or type(error).__name__) from error
