"""How a sweep file comes about: what it extends, overrides, the way out again, and the schema."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from made_sweeps import MINIMAL, load, mistakes, write

from xltray.spec import SweepSpec
from xltray.sweepfile import dump_sweep, load_sweep, sweep_schema

ROOT = Path(__file__).parent.parent
SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, so that messages name files shortly."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
class TestExtends:
    def test_name_defaults_to_the_files(self) -> None:
        assert load_sweep(write("deep/my-sweep.yaml", MINIMAL)).name == "my-sweep"
        assert load_sweep(write("v1.5.yaml".replace("v1", "v-1"), MINIMAL)).name == "v-1.5"
        assert load(MINIMAL + "name: other\n").storage == "results/other"

    def test_mappings_merge_and_the_rest_is_replaced(self) -> None:
        write(
            "base.yaml",
            MINIMAL + "name: base\nseeds: [0, 1]\nfinetune: {epochs: 3, warmup: 0.2}\nstorage: s3://b\n",
        )
        spec = load("extends: base.yaml\nseeds: [5]\nfinetune: {epochs: 4}\npairs: {ar: [vi]}\n")
        assert spec.seeds == (5,)
        assert (spec.finetune.epochs, spec.finetune.warmup) == (4, 0.2)
        assert spec.pairs == {"en": ("de",), "ar": ("vi",)}
        assert spec.storage == "s3://b"
        assert spec.name == "s", "a name belongs to its file"

    def test_chains_are_relative_to_each_file(self) -> None:
        write("a/base.yaml", MINIMAL)
        write("a/b/middle.yaml", "extends: ../base.yaml\nseeds: [7]\n")
        spec = load("extends: a/b/middle.yaml\ntasks: [parsing]\n")
        assert (spec.seeds, spec.tasks, spec.pairs) == ((7,), ("parsing",), {"en": ("de",)})

    def test_null_removes_a_named_entry(self) -> None:
        write(
            "base.yaml",
            "tasks: [pos]\npairs: {en: [de], ar: [de]}\nencoders: {a: {checkpoint: x}, b: {checkpoint: y}}\n"
            "finetune_task: {pos: {epochs: 2}}\n"
            "data: {corpora: {pos: toy}, treebanks: {de: {train: test}}}\n",
        )
        spec = load(
            "extends: base.yaml\npairs: {ar: null}\nencoders: {a: null}\nfinetune_task: {pos: null}\n"
            "data: {corpora: {pos: ~}, treebanks: {de: null}}\n"
        )
        assert spec.pairs == {"en": ("de",)}
        assert list(spec.encoders) == ["b"]
        assert (spec.finetune_task, spec.data.corpora, spec.data.treebanks) == ({}, {}, {})

    def test_null_elsewhere_is_a_value(self) -> None:
        write("base.yaml", MINIMAL + "grid: {plane: {step: 0.5}}\nfinetune: {clip_norm: 1}\n")
        spec = load("extends: base.yaml\ngrid: {plane: null}\nfinetune: {clip_norm: null}\n")
        assert spec.grid.plane is None
        assert spec.finetune.clip_norm is None

    def test_null_for_an_entry_that_is_not_there(self) -> None:
        write("base.yaml", MINIMAL)
        (message,) = mistakes("extends: base.yaml\nencoders: {b: null}\n")
        assert message.startswith("s.yaml:2: encoders.b: found nothing (null); expected a mapping")

    def test_each_mistake_names_its_own_file(self) -> None:
        write("base.yaml", MINIMAL + "finetune:\n  epochs: x\n  warmup: x\n")
        messages = mistakes("extends: base.yaml\nseeds: [x]\nfinetune: {warmup: y}\n")
        assert sorted(message.split(": found")[0] for message in messages) == [
            "base.yaml:5: finetune.epochs",
            "s.yaml:2: seeds[0]",
            "s.yaml:3: finetune.warmup",
        ]

    def test_a_circle(self) -> None:
        write("base.yaml", MINIMAL + "extends: s.yaml\n")
        (message,) = mistakes("extends: base.yaml\n")
        assert (
            "s.yaml:1: extends: base.yaml:4: extends: found a circle (s.yaml -> base.yaml -> s.yaml)"
            in message
        )

    def test_itself(self) -> None:
        (message,) = mistakes("extends: ./s.yaml\n")
        assert message.startswith("s.yaml:1: extends: found a circle")

    def test_a_parent_that_is_not_there_and_nothing_about_what_it_would_have_held(self) -> None:
        write("base.yaml", MINIMAL)
        messages = mistakes("seeds: [0]\nseeds: [1]\nextends: bass.yaml\n", "oops")
        assert len(messages) == 3
        assert "s.yaml:2: seeds: found the same key again" in messages[0]
        assert messages[1].startswith("s.yaml:3: extends: bass.yaml: found no such file")
        assert "Did you mean 'base.yaml'?" in messages[1]
        assert messages[2].startswith("override 'oops'")

    def test_extends_is_a_name(self) -> None:
        (message,) = mistakes("extends: [a.yaml]\n")
        assert message == "s.yaml:1: extends: found a list of 1; expected the name of another sweep file"


@pytest.mark.usefixtures("folder")
class TestOverrides:
    @pytest.mark.parametrize(
        ("override", "path", "value"),
        [
            ("seeds=[0,1]", "seeds", (0, 1)),
            ("tasks=[pos, parsing]", "tasks", ("pos", "parsing")),
            ("finetune.learning_rate=3e-5", "finetune.learning_rate", 3e-5),
            ("data.root=../x", "data.root", "../x"),
            ("storage=s3://b/x?y=z", "storage", "s3://b/x?y=z"),
            ("runtime.dashboard=false", "runtime.dashboard", False),
            ("grid.plane=null", "grid.plane", None),
            ("pairs.en=[vi]", "pairs", {"en": ("vi",)}),
            ("pairs={ar: [vi]}", "pairs", {"ar": ("vi",)}),
            ("name=other", "name", "other"),
        ],
    )
    def test_a_value(self, override: str, path: str, value: Any) -> None:
        found: Any = load(MINIMAL, override)
        for name in path.split("."):
            found = getattr(found, name)
        assert found == value

    def test_they_apply_in_order_and_over_what_is_extended(self) -> None:
        write("base.yaml", MINIMAL + "finetune: {epochs: 2, warmup: 0.3}\n")
        spec = load("extends: base.yaml\n", "finetune.epochs=3", "finetune.epochs=4")
        assert (spec.finetune.epochs, spec.finetune.warmup) == (4, 0.3)

    def test_null_removes_a_named_entry(self) -> None:
        text = MINIMAL.replace("{a:", "{b: {checkpoint: y}, a:")
        assert list(load(text, "encoders.b=null").encoders) == ["a"]

    def test_a_name_with_a_dot(self) -> None:
        spec = load(MINIMAL.replace("a:", "xlm-1.5:"), "encoders.xlm-1.5.revision=abc")
        assert spec.encoders["xlm-1.5"].revision == "abc"

    def test_a_null_becomes_a_mapping(self) -> None:
        spec = load(MINIMAL + "grid: {lines: null}\n", "grid.lines.step=0.5")
        assert spec.grid.lines is not None
        assert len(spec.grid.lines.values()) == 5

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("seeds", ": found no key or no value; expected key.path=VALUE"),
            ("=3", ": found no key or no value"),
            ("seeds=", ": found no key or no value"),
            ("a..b=3", ": found no key or no value"),
            ("seeds=[0", ": found a YAML syntax error"),
            ("seeds=[0, x]", ": seeds[1]: found the text 'x'; expected a whole number"),
            (
                "sedes=[0]",
                ": sedes: found the unknown key 'sedes'; expected a key of a sweep. Did you mean 'seeds'?",
            ),
            ("finetune.rate=1", ": finetune.rate: found the unknown key 'rate'; expected a key of finetune."),
            ("a.b.c=1", ": a: found the unknown key 'a'"),
            (
                "tasks.0=pos",
                ": tasks: found a list of 1; expected a mapping (key: value). Give tasks as a whole.",
            ),
            ("encoders.a.checkpoint.x=1", ": encoders.a.checkpoint: found the text 'x'; expected a mapping"),
            ("extends=b.yaml", ": found extends; expected a field of the sweep"),
            ("parser={dropout: 0.1, dropout: 0.2}", ": parser.dropout: found the same key again"),
            ("encoders.b=null", ": encoders.b: found nothing (null); expected a mapping"),
        ],
    )
    def test_mistakes(self, override: str, message: str) -> None:
        (found,) = mistakes(MINIMAL, override)
        assert found.startswith(f"override {override!r}{message}")


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_dumped_sweep_is_read_back_equal(path: Path, tmp_path: Path) -> None:
    spec = load_sweep(path)
    assert spec.name == path.stem
    again = tmp_path / "other-name.yaml"
    again.write_text(dump_sweep(spec), encoding="utf-8")
    assert load_sweep(again) == spec


@pytest.mark.usefixtures("folder")
def test_an_unusual_sweep_is_read_back_equal() -> None:
    spec = load(
        MINIMAL.replace("[de]", "[no, vi]"),
        "storage='3e-5'",
        "data.root='null'",
        "grid.plane=null",
        "grid.lines=[0.1, 0.30000000000000004]",
        "finetune_task.pos={betas: [0.5, 0.6], learning_rate: 1e-7}",
        "data.treebanks.no={train: dev, dev: test}",
    )
    assert load_sweep(write("again.yaml", dump_sweep(spec))) == spec


def transformer_parameters(
    *, vocabulary: int, hidden: int, layers: int, inner: int, positions: int, types: int
) -> int:
    """Weights of a BERT without pooler: embeddings, attention, feed-forward, layer norms."""
    embeddings = (vocabulary + positions + types + 2) * hidden
    attention = 4 * (hidden * hidden + hidden) + 2 * hidden
    feed_forward = 2 * hidden * inner + inner + hidden + 2 * hidden
    return embeddings + layers * (attention + feed_forward)


def test_full_is_the_papers_sweep() -> None:
    spec = load_sweep(ROOT / "sweeps" / "full.yaml")
    assert spec.tasks == ("xnli", "ner", "pos", "parsing")
    assert spec.pairs == {
        "en": ("ar", "de", "es", "fr", "hi", "ru", "vi", "zh"),
        "ar": ("de", "es", "fr", "hi", "ru", "vi", "zh"),
    }
    defaults = SweepSpec(name="full", tasks=spec.tasks, pairs=spec.pairs, encoders=spec.encoders)
    assert spec == defaults, "seeds, recipe, parser and grid are the defaults"
    assert {encoder.parameters for encoder in spec.encoders.values()} == {
        transformer_parameters(
            vocabulary=119547, hidden=768, layers=12, inner=3072, positions=512, types=2
        ),
        transformer_parameters(
            vocabulary=250002, hidden=1024, layers=24, inner=4096, positions=514, types=1
        ),
    }  # fmt: skip
    assert all(len(encoder.revision) == 40 for encoder in spec.encoders.values())


@pytest.mark.parametrize("name", ["ud-small", "toy"])
def test_sweeps_with_conclusions_have_a_random_control(name: str) -> None:
    encoders = load_sweep(ROOT / "sweeps" / f"{name}.yaml").encoders
    small, random = encoders["small"].pretrain, encoders["random"].pretrain
    assert small is not None
    assert small.steps > 0
    assert random == small.model_copy(update={"steps": 0})


def test_the_shipped_schema_is_current() -> None:
    shipped = json.loads((ROOT / "sweeps" / "schema.json").read_text(encoding="utf-8"))
    assert shipped == sweep_schema(), "run: python -m xltray.sweepfile > sweeps/schema.json"


def test_the_schema_is_what_the_command_prints() -> None:
    command = [sys.executable, "-m", "xltray.sweepfile"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert printed == (ROOT / "sweeps" / "schema.json").read_text(encoding="utf-8")
