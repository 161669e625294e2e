"""What pydantic says about a sweep, in plain words and with the line it is about.

Pydantic's error has a type, a path and the value that was found. The path is followed through the
sweep as it was written, which gives file and line and drops the steps that are no keys (unions,
validators). Names to choose from come from the JSON schema: a misspelt key is compared with the
keys that its own mapping may have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from xltray.credentials import redacted_value
from xltray.errors import Problem, did_you_mean
from xltray.spec_types import LANGUAGE_PATTERN, NAME_PATTERN
from xltray.yaml_source import KeyPath, Located, dotted

Schema = dict[str, Any]

_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "literal_error": "{expected}",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "too_short": "{min_length} or more entries",
    "too_long": "at most {max_length} entries",
    "mistake": "{expected}",
}
_PATTERNS = {
    LANGUAGE_PATTERN: "a language code of two or three small letters",
    NAME_PATTERN: "small letters, digits and _ . - after a first letter",
}


def model_problems(error: ValidationError, tree: Located, schema: Schema) -> list[Problem]:
    """Turn all of pydantic's errors about ``tree`` into problems."""
    return [
        _problem(detail, tree, schema)
        for detail in error.errors(include_url=False)
        if not _consequence(detail)
    ]


def place(tree: Located, path: KeyPath) -> str:
    """Say where in the files ``path`` is: ``sweeps/x.yaml:12: finetune.learning_rate``."""
    where = tree.where
    for _, value in tree.along(path):
        where = value.where
    return f"{where}: {dotted(path)}" if path else where


def describe(value: Any) -> str:
    """Name a value of a YAML file for a message."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {redacted_value(value)!r}"
    if isinstance(value, dict):
        return f"a mapping with {', '.join(value)}" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    return f"the number {value}"


def known_keys(schema: Schema, path: KeyPath) -> list[str]:
    """Return the keys that the mapping at ``path`` may have, sorted."""
    here = [schema]
    for step in path:
        here = [inner for outer in here for one in _variants(outer, schema) for inner in _into(one, step)]
    return sorted(
        {key for outer in here for one in _variants(outer, schema) for key in one.get("properties", {})}
    )


def _variants(part: Schema, root: Schema) -> Iterator[Schema]:
    """Yield the alternatives that a part of a schema stands for, references followed."""
    if "$ref" in part:
        yield from _variants(root["$defs"][part["$ref"].rpartition("/")[2]], root)
    else:
        yield part
        for one in part.get("anyOf", ()):
            yield from _variants(one, root)


def _into(part: Schema, step: str | int) -> Iterator[Schema]:
    if isinstance(step, int):
        inner = part.get("items")
    else:
        named = part.get("patternProperties", {})
        others = next(iter(named.values()), part.get("additionalProperties"))
        inner = part.get("properties", {}).get(step, others)
    if isinstance(inner, dict):
        yield inner


def _consequence(detail: ErrorDetails) -> bool:
    """Whether a list is called too short only because its items were already rejected."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]


def _problem(detail: ErrorDetails, tree: Located, schema: Schema) -> Problem:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    path: KeyPath = tuple(step for step, _ in tree.along(detail["loc"]))
    if kind == "extra_forbidden":
        *outer, key = path
        known = known_keys(schema, tuple(outer))
        return Problem(
            place(tree, path),
            f"the unknown key {key!r}",
            f"a key of {dotted(outer) or 'a sweep'}",
            did_you_mean(str(key), known),
        )
    if kind == "missing":
        return _missing(detail, tree, schema, path)
    if kind == "string_pattern_mismatch":
        expected = _PATTERNS.get(context["pattern"], f"text that matches {context['pattern']}")
    elif kind in _EXPECTED:
        expected = _EXPECTED[kind].format_map(context)
    else:
        expected = detail["msg"].removeprefix("Input should be ")
    found = context["found"] if kind == "mistake" else describe(value)
    return Problem(place(tree, path), found, expected, _advice(kind, value))


def _missing(detail: ErrorDetails, tree: Located, schema: Schema, path: KeyPath) -> Problem:
    key = detail["loc"][-1]
    if isinstance(key, int):
        return Problem(place(tree, path), describe(detail["input"]), f"{key + 1} entries")
    about = schema.get("properties", {}).get(key, {}).get("description", "") if not path else ""
    expected = f"the key {key!r} ({about})" if about else f"the key {key!r}"
    return Problem(place(tree, (*path, key)), "nothing", expected)


def _advice(kind: str, value: Any) -> str:
    if kind in ("int_type", "float_type") and isinstance(value, str):
        try:
            return f"Write {float(value):g}, without quotes or separators."
        except ValueError:
            return ""
    if kind == "tuple_type" and isinstance(value, str | int | float):
        return f"Write [{redacted_value(str(value))}]."
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "Put it in quotes."
    return ""
