"""YAML 1.2 scalars, and every mistake of the file itself with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sweeps import MINIMAL, load, mistakes, write

from xltray.yaml_source import CoreDumper, parse


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, so that messages name files shortly."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-5", 3e-5),
        ("1E3", 1000.0),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("-.inf", float("-inf")),
        ("12", 12),
        ("-3", -3),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("1.2.3", "1.2.3"),
        ("e5", "e5"),
        (".", "."),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    tree, problems = parse(f"key: {text}", "x")
    assert not problems
    assert tree is not None
    read = tree.plain()["key"]
    assert (read, type(read)) == (value, type(value))


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs", "S"])),
        st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs", "S"]))
        | st.sampled_from(["no", "3e-5", "1_0", "null", "2024-01-01", "0o17", "<<", "="])
        | st.floats(allow_nan=False)
        | st.integers()
        | st.booleans()
        | st.none(),
    )
)
def test_what_is_dumped_is_read_back(value: dict[str, Any]) -> None:
    text = yaml.dump(value, Dumper=CoreDumper, allow_unicode=True)
    tree, problems = parse(text, "x")
    assert not problems
    assert tree is not None
    assert tree.plain() == value


def test_dumped_text_is_text_to_yaml_1_1_too() -> None:
    words = ["no", "3e-5", "1_000", "on", "1:30"]
    assert yaml.safe_load(yaml.dump(words, Dumper=CoreDumper)) == words


@pytest.mark.usefixtures("folder")
class TestYaml:
    def test_a_language_called_no(self) -> None:
        spec = load(MINIMAL.replace("[de]", "[no, on]"))
        assert spec.pairs == {"en": ("no", "on")}

    def test_a_repeated_key(self) -> None:
        (message,) = mistakes(MINIMAL + "finetune:\n  epochs: 3\n  epochs: 4\n")
        assert message.startswith("s.yaml:6: finetune.epochs: found the same key again")
        assert "already at s.yaml:5" in message

    def test_a_syntax_error_has_line_and_column(self) -> None:
        (message,) = mistakes("tasks: [pos]\npairs: en: [de]\n")
        assert message.startswith("s.yaml:2:10: found a YAML syntax error (mapping values are not allowed")

    def test_a_tab(self) -> None:
        (message,) = mistakes("runtime:\n\tthreads: 3\n")
        assert message.startswith("s.yaml:2:1: found a YAML syntax error")
        assert message.endswith("Indent with spaces.")

    def test_an_undefined_alias(self) -> None:
        (message,) = mistakes(MINIMAL + "parser: *nothing\n")
        assert message.startswith("s.yaml:4:9:")
        assert "undefined alias" in message

    def test_two_documents(self) -> None:
        (message,) = mistakes(MINIMAL + "---\n" + MINIMAL)
        assert "s.yaml:4:1: found a YAML syntax error" in message

    def test_a_control_character(self) -> None:
        (message,) = mistakes("tasks: [pos]\nname: a\x07b\n")
        assert message.startswith("s.yaml:2: found the control character")

    @pytest.mark.parametrize("text", ["", "# nothing\n"])
    def test_an_empty_file(self, text: str) -> None:
        assert mistakes(text) == ["s.yaml: found an empty file; expected a mapping (key: value)"]

    def test_a_list_at_the_top(self) -> None:
        assert mistakes("- tasks\n") == ["s.yaml: found a list of 1; expected a mapping (key: value)"]

    def test_no_such_file(self) -> None:
        write("quick.yaml", MINIMAL)
        (message,) = mistakes(Path("quik.yaml"))
        assert message.startswith("quik.yaml: found no such file")
        assert "Did you mean 'quick.yaml'?" in message

    def test_a_folder(self, folder: Path) -> None:
        (folder / "sweeps").mkdir()
        assert mistakes(Path("sweeps")) == ["sweeps: found a folder; expected a YAML file in UTF-8"]

    def test_not_utf8(self, folder: Path) -> None:
        (folder / "s.yaml").write_bytes(b"name: \xff\n")
        (message,) = mistakes(Path("s.yaml"))
        assert message.startswith("s.yaml: found a byte that is not UTF-8 at position 6")

    def test_a_byte_order_mark_is_harmless(self) -> None:
        assert load("\ufeff" + MINIMAL).tasks == ("pos",)

    @pytest.mark.parametrize(
        ("line", "found"),
        [
            ("storage: !!python/name:os.system x", "the tag !!python/name:os.system"),
            ("storage: !secret x", "the tag !secret"),
            ("storage: !!binary aGk=", "the tag !!binary"),
            ("runtime: {threads: !!int many}", "'many'; expected a value for the tag !!int"),
            ("finetune_task: {1: {epochs: 3}}", "the key 1; expected keys that are text"),
            ("finetune_task: {? [a] : {epochs: 3}}", "the key a list or mapping"),
            ("parser: &p {dropout: *p}", "an anchor that contains itself"),
            ("parser: {<<: 3}", "<< without a mapping"),
        ],
    )
    def test_beyond_plain_data(self, line: str, found: str) -> None:
        messages = mistakes(MINIMAL + line + "\n")
        assert messages[0].startswith("s.yaml:4: ")
        assert found in messages[0]

    def test_merge_keys(self) -> None:
        spec = load(
            "tasks: [pos]\npairs: {en: [de]}\nencoders:\n"
            "  a: {pretrain: &a {languages: [en], steps: 7, layers: 1}}\n"
            "  b: {pretrain: {steps: 0, <<: *a}}\n"
            "  c: {pretrain: {<<: [{layers: 3}, *a]}}\n"
        )
        assert [(e.pretrain.steps, e.pretrain.layers) for e in spec.encoders.values() if e.pretrain] == [
            (7, 1),
            (0, 1),
            (7, 3),
        ]

    def test_a_mistake_in_an_anchor_is_shown_where_it_is_written(self) -> None:
        messages = mistakes(
            "tasks: [pos]\npairs: {en: [de]}\nencoders:\n"
            "  a:\n    pretrain: &a\n      languages: [en]\n      languages: [en]\n      steps: -1\n"
            "  b:\n    pretrain:\n      <<: *a\n"
        )
        assert len(messages) == 3  # the repeated key once, the value for both encoders
        assert messages[0].startswith("s.yaml:7: encoders.a.pretrain.languages: found the same key again")
        assert messages[1].startswith("s.yaml:8: encoders.a.pretrain.steps: ")
        assert messages[2].startswith("s.yaml:8: encoders.b.pretrain.steps: ")
