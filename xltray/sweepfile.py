"""From a sweep file to a ``SweepSpec``: reads, extends, overrides, checks, and reports all mistakes at once.

How a sweep file comes about:

1. ``extends: other.yaml`` (relative to the file that says so) starts from another file. Mappings
   are merged key by key; everything else, lists included, is replaced. In the mappings whose keys
   are names (encoders, pairs, finetune_task, data.corpora, data.treebanks,
   data.toy.languages) a null removes an entry of the other file; anywhere else null is a value
   (``grid.plane: null`` is a grid of lines only). ``name`` is not taken over: it defaults to the
   file's own name.
2. Overrides ``a.b.c=VALUE`` from the command line replace single values. VALUE is YAML:
   ``seeds=[0,1]``, ``finetune.learning_rate=3e-5``, ``data.root=../corpora``, ``encoders.random=null``.
3. The models of ``spec.py`` judge the result, and the caller's checks judge what the models cannot
   know (which tasks and corpora there are).

``python -m xltray.sweepfile > sweeps/schema.json`` writes the JSON schema that editors use.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from xltray.credentials import redacted_value
from xltray.errors import Problem, SweepFileError
from xltray.model_problems import Schema, describe, model_problems, place
from xltray.spec import SweepSpec
from xltray.yaml_source import CoreDumper, KeyPath, Located, dotted, parse, read_text

Check = Callable[[SweepSpec], list[Problem]]

NAMED_ENTRIES = (
    *(("encoders",), ("pairs",), ("finetune_task",)),
    *(("data", "corpora"), ("data", "treebanks"), ("data", "toy", "languages")),
)
_OVERRIDE = re.compile(r"^(?P<key>[^=.\s]+(?:\.[^=.\s]+)*)=(?P<value>.*\S.*)$", re.DOTALL)


def load_sweep(path: Path, overrides: Sequence[str] = (), checks: Sequence[Check] = ()) -> SweepSpec:
    """Read a sweep file.

    Args:
        path: The file.
        overrides: ``a.b.c=VALUE``, applied in order.
        checks: What else a sweep must satisfy; a problem's ``where`` is the path of a key.

    Raises:
        SweepFileError: with everything that is wrong, if anything is.
    """
    problems: list[Problem] = []
    tree = _read(path, problems)
    complete = tree is not None
    tree = tree or Located({}, str(path))
    for override in overrides:
        tree = _override(tree, override, problems)
    sweep = None
    # What a file that cannot be read leaves out would be reported as missing, so it is left at that.
    if complete:
        try:
            sweep = SweepSpec.model_validate(tree.plain())
        except ValidationError as error:
            problems += model_problems(error, tree, sweep_schema())
            sound = _sound_part(tree, error)
        else:
            sound = sweep
        if sound is not None:
            problems += [_placed(problem, tree) for check in checks for problem in check(sound)]
    if problems or sweep is None:
        raise SweepFileError(f"{path} does not describe a sweep ({len(problems)} to mend):", problems)
    return sweep


def _sound_part(tree: Located, error: ValidationError) -> SweepSpec | None:
    """Return the sweep without the keys that are wrong, so that the others can still be checked.

    What must be there is replaced by something that no check objects to.
    """
    wrong = {problem["loc"][0] for problem in error.errors() if problem["loc"]}
    if "data" in wrong:
        # It says which languages there are.
        wrong |= {"pairs", "third_languages", "encoders"}
    stand_in = {
        "name": "sound",
        "tasks": ["pos"],
        "pairs": {"en": ["de"]},
        "encoders": {"sound": {"checkpoint": "sound"}},
    }
    kept = {key: value for key, value in tree.plain().items() if key not in wrong}
    try:
        return SweepSpec.model_validate(stand_in | kept)
    except ValidationError:
        return None


def dump_sweep(sweep: SweepSpec) -> str:
    """Write a sweep with all its defaults as YAML that ``load_sweep`` reads back to an equal value."""
    return yaml.dump(
        sweep.model_dump(mode="json"),
        Dumper=CoreDumper,
        sort_keys=False,
        default_flow_style=None,
        allow_unicode=True,
        width=100,
    )


def sweep_schema() -> Schema:
    """Return the JSON schema of a sweep file: the models', plus what only files have."""
    schema = SweepSpec.model_json_schema()
    about = "another sweep file, relative to this one, that this one changes"
    schema["properties"] = {"extends": {"description": about, "type": "string"}, **schema["properties"]}
    required = [key for key in schema.pop("required") if key != "name"]
    schema["anyOf"] = [{"required": ["extends"]}, {"required": required}]
    return schema


def _read(path: Path, problems: list[Problem]) -> Located | None:
    """Read a file and what it extends; None if any of them cannot be read."""
    tree = _read_chain(path, problems, ())
    if tree is None or not isinstance(tree.content, dict) or "name" in tree.content:
        return tree
    name = Located(path.name.removesuffix(path.suffix), f"{path} (the file's name; set name to another)")
    return replace(tree, content={"name": name, **tree.content})


def _read_chain(path: Path, problems: list[Problem], above: tuple[Path, ...]) -> Located | None:
    text = read_text(path)
    if isinstance(text, Problem):
        problems.append(text)
        return None
    tree, found = parse(text, str(path))
    problems += found
    if tree is None:
        return None
    if not isinstance(tree.content, dict):
        found_here = "an empty file" if tree.content is None else describe(tree.plain())
        problems.append(Problem(str(path), found_here, "a mapping (key: value)"))
        return None
    content = dict(tree.content)
    if above:
        content.pop("name", None)
    extends = content.pop("extends", None)
    own = replace(tree, content=content)
    return own if extends is None else _extend(own, extends, path, problems, above)


def _extend(
    own: Located, extends: Located, path: Path, problems: list[Problem], above: tuple[Path, ...]
) -> Located | None:
    where = f"{extends.where}: extends"
    if not isinstance(extends.content, str):
        problems.append(Problem(where, describe(extends.plain()), "the name of another sweep file"))
        return None
    parent = path.parent / extends.content
    chain = (*above, path)
    if parent.resolve() in [file.resolve() for file in chain]:
        circle = " -> ".join(str(file) for file in (*chain, parent))
        problems.append(Problem(where, f"a circle ({circle})", "files that do not extend one another"))
        return None
    before = len(problems)
    base = _read_chain(parent, problems, chain)
    if base is None:
        # The message is about the parent; say which line asked for it.
        problems[before:] = [replace(p, where=f"{where}: {p.where}") for p in problems[before:]]
        return None
    return _merge(base, own, ())


def _merge(parent: Located, child: Located, path: KeyPath) -> Located:
    if not isinstance(parent.content, dict) or not isinstance(child.content, dict):
        return child
    content = dict(parent.content)
    for key, value in child.content.items():
        if key not in content:
            content[key] = value
        elif _removes(value, path):
            del content[key]
        else:
            content[key] = _merge(content[key], value, (*path, key))
    return replace(child, content=content)


def _removes(value: Located, path: KeyPath) -> bool:
    return value.content is None and path in NAMED_ENTRIES


def _override(tree: Located, override: str, problems: list[Problem]) -> Located:
    where = f"override {redacted_value(override)!r}"
    match = _OVERRIDE.match(override)
    if not match:
        advice = "For example seeds=[0,1]; an empty value is written key=null."
        problems.append(Problem(where, "no key or no value", "key.path=VALUE", advice))
        return tree
    key = match["key"]
    if key == "extends":
        problems.append(Problem(where, "extends", "a field of the sweep", "Only a file can extend another."))
        return tree
    value, found = parse(match["value"], where, numbered=False, at=tuple(key.split(".")))
    problems += found
    return tree if value is None else _replaced(tree, key.split("."), value, (), problems)


def _replaced(
    tree: Located, keys: Sequence[str], value: Located, path: KeyPath, problems: list[Problem]
) -> Located:
    """Return ``tree`` with ``value`` at ``keys``; mappings on the way are made where there are none."""
    if not keys:
        return value
    content = {} if tree.content is None else tree.content
    if not isinstance(content, dict):
        found, at = describe(tree.plain()), dotted(path)
        advice = f"Give {at} as a whole." if isinstance(content, list) else ""
        problems.append(Problem(f"{value.where}: {at}", found, "a mapping (key: value)", advice))
        return tree
    # Names may contain dots (an encoder called xlm-v1.5), so the longest known name is meant.
    lengths = [n for n in range(len(keys), 0, -1) if ".".join(keys[:n]) in content]
    length = lengths[0] if lengths else 1
    key, rest = ".".join(keys[:length]), keys[length:]
    if not rest and key in content and _removes(value, path):
        return replace(tree, content={other: kept for other, kept in content.items() if other != key})
    inner = _replaced(content.get(key, Located(None, value.where)), rest, value, (*path, key), problems)
    return replace(tree, content={**content, key: inner})


def _placed(problem: Problem, tree: Located) -> Problem:
    """Put file and line before the key path that a check named."""
    steps: list[Any] = re.findall(r"[^.\[\]]+", problem.where)
    path = tuple(int(step) if step.isdecimal() else step for step in steps)
    if not path or path[0] not in SweepSpec.model_fields:
        return problem
    return replace(problem, where=place(tree, path))


if __name__ == "__main__":
    json.dump(sweep_schema(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
