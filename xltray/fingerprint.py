"""Names for content: the same content has the same fingerprint on every machine.

A specification is turned into canonical JSON (sorted keys, no defaults, exact fractions as
strings) and hashed with SHA-256. Fields at their default are left out, so that a new field with
a default that changes nothing leaves every existing id as it was; for the same reason a default
must never change its meaning (tests pin ids literally).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import BaseModel

ID_DIGITS = 8


class Runtime:
    """Marks a field that changes no number: ``Annotated[str, RUNTIME]`` stays out of fingerprints."""


RUNTIME = Runtime()


def canonical(value: Any) -> Any:
    """Return ``value`` as plain JSON data.

    Raises:
        TypeError: for anything whose text form could differ between machines or runs
            (sets, objects, functions, non-finite floats).
    """
    if isinstance(value, BaseModel):
        return {name: canonical(field) for name, field in sorted(_identity(value))}
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError(f"cannot fingerprint {value!r}: not a finite number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): canonical(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, Sequence):
        return [canonical(item) for item in value]
    raise TypeError(
        f"cannot fingerprint {value!r} of type {type(value).__name__}: "
        "use numbers, strings, lists, mappings or pydantic models"
    )


def _identity(value: BaseModel) -> Iterator[tuple[str, Any]]:
    for name, field in type(value).model_fields.items():
        content = getattr(value, name)
        is_runtime = any(isinstance(mark, Runtime) for mark in field.metadata)
        if not is_runtime and content != field.get_default(call_default_factory=True):
            yield name, content


def fingerprint(value: Any) -> str:
    """Return the full SHA-256 (64 hexadecimal digits) of the canonical JSON of ``value``."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def short(digest: str) -> str:
    """Return the part of a fingerprint that goes into file names."""
    return digest[:ID_DIGITS]


def file_fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
