"""YAML whose every value knows where it was written, so that a mistake can be shown in its place.

PyYAML's composer gives nodes with line numbers; this module turns them into ``Located`` values.
Scalars follow YAML 1.2, not PyYAML's 1.1: ``3e-5`` is a number, and only true and false are
booleans, so that the language code ``no`` stays text. Merge keys (``<<: *anchor``) work. A
repeated key, a key that is not text and a tag beyond plain data are problems, and all problems
of a file are collected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from xltray.errors import Problem, did_you_mean

Scalar = str | int | float | bool | None
KeyPath = tuple[str | int, ...]

_NULL, _BOOL, _INT, _FLOAT, _STR, _SEQ, _MAP, _MERGE = (
    f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map", "merge")
)


class CoreLoader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2 (core schema) and merge keys."""


class CoreDumper(yaml.SafeDumper):
    """Quotes text that YAML 1.1 or 1.2 would read as something else, so that both read it alike."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal values out in full instead of as anchors."""
        return True


CoreLoader.yaml_implicit_resolvers = {}  # none of YAML 1.1's
for _tag, _pattern, _first in (
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_BOOL, r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (_INT, r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (_FLOAT, r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    (_FLOAT, r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    (_MERGE, r"<<", ["<"]),
):
    for _side in (CoreLoader, CoreDumper):
        _side.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)


def _integer(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _float(text: str) -> float:
    return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))


_SCALARS: dict[str, Callable[[str], Scalar]] = {
    _NULL: lambda text: None,
    _BOOL: lambda text: text.lower() == "true",
    _INT: _integer,
    _FLOAT: _float,
    _STR: str,
}


@dataclass(frozen=True)
class Located:
    """A value and where it was written: ``sweeps/full.yaml:12``, or ``override 'seeds=[0]'``."""

    content: Scalar | dict[str, Located] | list[Located]
    where: str

    def plain(self) -> Any:
        """Return the value without the places."""
        if isinstance(self.content, dict):
            return {key: value.plain() for key, value in self.content.items()}
        if isinstance(self.content, list):
            return [value.plain() for value in self.content]
        return self.content

    def along(self, path: KeyPath) -> Iterator[tuple[str | int, Located]]:
        """Yield the steps of ``path`` that exist here, each with the value it leads to.

        Other steps are passed over: validators name what they went through besides keys.
        """
        here = self
        for step in path:
            inner = here.entry(step)
            if inner is not None:
                here = inner
                yield step, here

    def entry(self, step: str | int) -> Located | None:
        """Return the value of a key or the item of a list; None if there is none."""
        if isinstance(self.content, dict) and isinstance(step, str):
            return self.content.get(step)
        if isinstance(self.content, list) and isinstance(step, int):
            return self.content[step] if 0 <= step < len(self.content) else None
        return None


def dotted(path: Sequence[str | int]) -> str:
    """Write a path as in an override: ``pairs.en[0]``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def read_text(path: Path) -> str | Problem:
    """Read a file, or say why it cannot be read."""
    expected = "a YAML file in UTF-8"
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        here = [file.name for file in sorted(path.parent.glob("*.y*ml"))]
        return Problem(str(path), "no such file", expected, did_you_mean(path.name, here) if here else "")
    except IsADirectoryError:
        return Problem(str(path), "a folder", expected)
    except UnicodeDecodeError as error:
        return Problem(str(path), f"a byte that is not UTF-8 at position {error.start}", expected)
    except OSError as error:
        return Problem(str(path), f"a file that cannot be read ({error.strerror})", expected)


def parse(
    text: str, name: str, *, numbered: bool = True, at: KeyPath = ()
) -> tuple[Located | None, list[Problem]]:
    """Parse one YAML document.

    Args:
        text: The document.
        name: What to call it in messages.
        numbered: Whether messages give line numbers.
        at: The path that the document's value has in the sweep.

    Returns:
        The value (None after a syntax error) and all problems found.
    """
    loader = CoreLoader("")
    try:
        loader = CoreLoader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if numbered and mark else name
        said = "; ".join(part for part in (error.context, error.problem) if part)
        advice = "Indent with spaces." if "'\\t'" in said else ""
        return None, [Problem(where, f"a YAML syntax error ({said})", "valid YAML", advice)]
    except yaml.reader.ReaderError as error:
        where = f"{name}:{text.count(chr(10), 0, error.position) + 1}" if numbered else name
        return None, [Problem(where, f"the control character {error.character!r}", "printable text")]
    finally:
        loader.dispose()
    builder = _Builder(lambda node: f"{name}:{node.start_mark.line + 1}" if numbered else name)
    if node is None:
        return Located(None, name), []
    return Located(builder.build(node, name, at).content, name), builder.problems


class _Builder:
    """Turns PyYAML's nodes into ``Located`` values and collects what is wrong with them."""

    def __init__(self, where: Callable[[yaml.Node], str]) -> None:
        self.problems: list[Problem] = []
        self._where = where
        self._open: set[int] = set()
        self._reported: set[int] = set()

    def build(self, node: yaml.Node, where: str, path: KeyPath) -> Located:
        if id(node) in self._open:
            self._report(node, path, "an anchor that contains itself", "a value")
            return Located(None, where)
        self._open.add(id(node))
        try:
            return Located(self._content(node, path), where)
        finally:
            self._open.discard(id(node))

    def _content(self, node: yaml.Node, path: KeyPath) -> Scalar | dict[str, Located] | list[Located]:
        if isinstance(node, yaml.MappingNode) and node.tag == _MAP:
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQ:
            return [
                self.build(item, self._where(item), (*path, index)) for index, item in enumerate(node.value)
            ]
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            try:
                return _SCALARS[node.tag](node.value)
            except ValueError:
                self._report(node, path, f"{node.value!r}", f"a value for the tag {_short(node.tag)}")
                return None
        self._report(node, path, f"the tag {_short(node.tag)}", "plain text, numbers, lists and mappings")
        return None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Located]:
        merged: dict[str, Located] = {}
        own: dict[str, Located] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                merged = self._merge(value, self._where(key), path) | merged
            elif not isinstance(key, yaml.ScalarNode) or key.tag != _STR:
                text = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                self._report(key, path, f"the key {text}", "keys that are text", "Put it in quotes.")
            else:
                if key.value in own:
                    advice = f"It is already at {own[key.value].where}; delete one."
                    self._report(key, (*path, key.value), "the same key again", "each key once", advice)
                own[key.value] = self.build(value, self._where(key), (*path, key.value))
        return merged | own

    def _merge(self, node: yaml.Node, where: str, path: KeyPath) -> dict[str, Located]:
        content = self.build(node, where, path).content
        merged: dict[str, Located] = {}
        # Of several mappings the first wins (YAML's merge key specification).
        for value in reversed(content if isinstance(content, list) else [Located(content, where)]):
            if isinstance(value.content, dict):
                merged |= value.content
            else:
                self._report(node, path, "<< without a mapping", "<<: *anchor of a mapping")
        return merged

    def _report(self, node: yaml.Node, path: KeyPath, found: str, expected: str, advice: str = "") -> None:
        # An anchor is built again at every alias; its problems are told once.
        if id(node) not in self._reported:
            self._reported.add(id(node))
            where = f"{self._where(node)}: {dotted(path)}" if path else self._where(node)
            self.problems.append(Problem(where, found, expected, advice))


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")
