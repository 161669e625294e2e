"""What the models refuse is told in plain words, all at once, each mistake on its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_sweeps import MINIMAL, mistakes, write

from xltray.errors import Problem
from xltray.model_problems import known_keys
from xltray.spec import SweepSpec
from xltray.sweepfile import sweep_schema


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, so that messages name files shortly."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
class TestMistakes:
    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (
                "piars: 3",
                "piars: found the unknown key 'piars'; expected a key of a sweep. Did you mean 'pairs'?",
            ),
            (
                "finetune: {learning_rat: 1}",
                "finetune.learning_rat: found the unknown key 'learning_rat'; "
                "expected a key of finetune. Did you mean 'learning_rate'? Known: batch_size, betas,",
            ),
            (
                "finetune_task: {pos: {epoch: 3}}",
                "finetune_task.pos.epoch: found the unknown key 'epoch'; "
                "expected a key of finetune_task.pos. Did you mean 'epochs'? Known: batch_size,",
            ),
            (
                "data: {treebanks: {de: {tran: dev}}}",
                "data.treebanks.de.tran: found the unknown key 'tran'; "
                "expected a key of data.treebanks.de. Did you mean 'train'? Known: dev, train, treebank.",
            ),
            (
                "grid: {plane: {stepp: 1}}",
                "grid.plane.stepp: found the unknown key 'stepp'; expected a key of "
                "grid.plane. Did you mean 'step'? Known: also, start, step, stop.",
            ),
            (
                'finetune: {epochs: "5"}',
                "finetune.epochs: found the text '5'; expected a whole number. Write 5,",
            ),
            (
                "runtime: {threads: 1_000}",
                "runtime.threads: found the text '1_000'; expected a whole number. Write 1000,",
            ),
            ("runtime: {threads: two}", "runtime.threads: found the text 'two'; expected a whole number"),
            ("finetune: {epochs: true}", "finetune.epochs: found true; expected a whole number"),
            ("finetune: {epochs: 3.7}", "finetune.epochs: found the number 3.7; expected a whole number"),
            ("finetune: {epochs: 3.0}", "finetune.epochs: found the number 3.0; expected a whole number"),
            ("finetune: {epochs: null}", "finetune.epochs: found nothing (null); expected a whole number"),
            ("finetune: {epochs: [3]}", "finetune.epochs: found a list of 1; expected a whole number"),
            (
                "finetune: {epochs: {a: 1, b: 2}}",
                "finetune.epochs: found a mapping with a, b; expected a whole",
            ),
            (
                'finetune: {learning_rate: "3e-5"}',
                "finetune.learning_rate: found the text '3e-5'; expected a number. Write 3e-05,",
            ),
            (
                "finetune: {learning_rate: 0}",
                "finetune.learning_rate: found the number 0; expected a number above 0",
            ),
            (
                "finetune: {learning_rate: .inf}",
                "finetune.learning_rate: found the number inf; expected a finite number",
            ),
            ("finetune: {warmup: 1}", "finetune.warmup: found the number 1; expected a number below 1"),
            (
                "finetune: {warmup: -1}",
                "finetune.warmup: found the number -1; expected a number of at least 0",
            ),
            (
                "finetune: {max_length: 4}",
                "finetune.max_length: found the number 4; expected a number of at least 8",
            ),
            ("finetune: {betas: [0.9]}", "finetune.betas: found a list of 1; expected 2 entries"),
            (
                "finetune: {betas: [0.9, 0.9, 0.9]}",
                "finetune.betas: found a list of 3; expected at most 2 entries",
            ),
            ("finetune: {betas: [0.9, x]}", "finetune.betas[1]: found the text 'x'; expected a number"),
            (
                "finetune: {mixed_precision: fp16}",
                "finetune.mixed_precision: found the text 'fp16'; expected 'no' or 'bf16'",
            ),
            ("finetune: fast", "finetune: found the text 'fast'; expected a mapping (key: value)"),
            ("finetune_task: {pos: 3}", "finetune_task.pos: found the number 3; expected a mapping"),
            ("finetune_task: [pos]", "finetune_task: found a list of 1; expected a mapping"),
            ("runtime: {dashboard: yes}", "runtime.dashboard: found the text 'yes'; expected true or false"),
            (
                "runtime: {device: gpu}",
                "runtime.device: found the text 'gpu'; expected 'auto', 'cpu' or 'cuda'",
            ),
            ("storage: 3", "storage: found the number 3; expected text. Put it in quotes."),
            ("seeds: 3", "seeds: found the number 3; expected a list. Write [3]."),
            ("seeds: []", "seeds: found an empty list; expected 1 or more entries"),
            ("seeds: [0, 1, 0]", "seeds: found 0 given more than once; expected each value once"),
            ("seeds: [0, -1]", "seeds[1]: found the number -1; expected a number of at least 0"),
            ("scopes: [al]", "scopes[0]: found the text 'al'; expected 'all', 'encoder' or 'head'"),
            ("name: My sweep", "name: found the text 'My sweep'; expected small letters, digits"),
            ("grid: {plane: [0, x, 1]}", "grid.plane[1]: found the text 'x'; expected a number"),
            (
                'grid: {plane: [0, "0.5"]}',
                "grid.plane[1]: found the text '0.5'; expected a number. Write 0.5,",
            ),
            ("grid: {plane: []}", "grid.plane: found an empty list; expected 1 or more entries"),
            ("grid: {plane: 3}", "grid.plane: found the number 3; expected a mapping"),
            ("grid: {plane: {step: 0}}", "grid.plane: found step 0; expected a step above 0"),
            (
                "grid: {plane: {start: .nan}}",
                "grid.plane.start: found the number nan; expected a finite number",
            ),
            ("grid: {plane: null, lines: null}", "grid: found neither plane nor lines; expected a grid with"),
            ("data: {toy: {seed: a}}", "data.toy.seed: found the text 'a'; expected a whole number"),
            (
                "data: {treebanks: {DE: {}}}",
                "data.treebanks.DE: found the text 'DE'; expected a language code",
            ),
        ],
    )
    def test_one(self, line: str, message: str) -> None:
        (found,) = mistakes(MINIMAL + line + "\n")
        assert found.startswith(f"s.yaml:4: {message}")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("[pos]", "[1]", "s.yaml:1: tasks[0]: found the number 1; expected text"),
            ("[pos]", "pos", "s.yaml:1: tasks: found the text 'pos'; expected a list. Write [pos]."),
            ("[de]", "de", "s.yaml:2: pairs.en: found the text 'de'; expected a list. Write [de]."),
            ("[de]", "[]", "s.yaml:2: pairs.en: found an empty list; expected 1 or more entries"),
            (
                "[de]",
                "[de, en]",
                "s.yaml:2: pairs: found en among its own targets; expected targets other than",
            ),
            ("[de]", "[de, de]", "s.yaml:2: pairs.en: found de given more than once"),
            ("[de]", "[German]", "s.yaml:2: pairs.en[0]: found the text 'German'; expected a language code"),
            ("{en: [de]}", "{EN: [de]}", "s.yaml:2: pairs.EN: found the text 'EN'; expected a language code"),
            ("{en: [de]}", "{}", "s.yaml:2: pairs: found an empty mapping; expected 1 or more entries"),
            (
                "{checkpoint: x}",
                "{}",
                "s.yaml:3: encoders.a: found neither checkpoint nor pretrain; expected one",
            ),
            ("{checkpoint: x}", "", "s.yaml:3: encoders.a: found nothing (null); expected a mapping"),
            ("a:", "A:", "s.yaml:3: encoders.A: found the text 'A'; expected small letters"),
            (
                "checkpoint:",
                "chekpoint:",
                "s.yaml:3: encoders.a.chekpoint: found the unknown key 'chekpoint'; "
                "expected a key of encoders.a. Did you mean 'checkpoint'? Known: checkpoint, parameters,",
            ),
            (
                "checkpoint: x",
                "pretrain: {languages: [en], heads: 5}",
                "s.yaml:3: encoders.a.pretrain: found "
                "hidden_size 128 with heads 5; expected a hidden_size that is a multiple of heads",
            ),
        ],
    )
    def test_one_in_the_minimal_sweep(self, old: str, new: str, message: str) -> None:
        (found,) = mistakes(MINIMAL.replace(old, new))
        assert found.startswith(message)

    def test_missing_keys(self) -> None:
        messages = mistakes("seeds: [0]\n")
        assert len(messages) == 3
        assert (
            messages[0] == "s.yaml: tasks: found nothing; expected the key 'tasks' (what is fine-tuned for)"
        )
        assert messages[1].startswith("s.yaml: pairs: found nothing; expected the key 'pairs'")
        assert messages[2].startswith("s.yaml: encoders: found nothing; expected the key 'encoders'")

    def test_a_name_that_the_file_cannot_give(self) -> None:
        (message,) = mistakes(write("My Sweep.yaml", MINIMAL))
        assert message.startswith(
            "My Sweep.yaml (the file's name; set name to another): name: found the text"
        )

    def test_all_at_once_each_on_its_line(self) -> None:
        messages = mistakes(
            "tasks: [pos, 1]\n"
            "pairs: {en: [en]}\n"
            "seeds: [0, 0]\n"
            "encoders:\n"
            "  a:\n"
            "    checkpoint: x\n"
            "    checkpoint: y\n"
            "  b: {pretrain: {steps: -1}}\n"
            "finetune:\n"
            '  epochs: "5"\n'
            "  warmup: 2\n"
            "  rate: 1\n",
            "runtime.threads=0",
            "runtime.retries",
            "grid.plane=[",
        )
        places = sorted(message.split(": found")[0] for message in messages)
        assert places == sorted(
            [
                "s.yaml:1: tasks[1]",
                "s.yaml:2: pairs",
                "s.yaml:3: seeds",
                "s.yaml:7: encoders.a.checkpoint",
                "s.yaml:8: encoders.b.pretrain.steps",
                "s.yaml:10: finetune.epochs",
                "s.yaml:11: finetune.warmup",
                "s.yaml:12: finetune.rate",
                "override 'runtime.threads=0': runtime.threads",
                "override 'runtime.retries'",
                "override 'grid.plane=['",
            ]
        )

    def test_messages_are_free_of_pydantics_words(self) -> None:
        text = " ".join(
            mistakes(
                "tasks: {}\npairs: [en]\nseeds: [x]\nencoders: {a: 3, B: {}}\n"
                "grid: {plane: {start: a}, lines: [b]}\nfinetune_task: {pos: {betas: 3}}\nscopes: [a]\n"
            )
        )
        for word in ("function-", "[key]", "Input", "valid ", "pydantic", "tuple", "dict", "instance"):
            assert word not in text

    def test_checks_see_the_sweep_and_are_placed(self) -> None:
        def check(sweep: SweepSpec) -> list[Problem]:
            return [
                Problem("tasks[0]", repr(sweep.tasks[0]), "a task"),
                Problem("data.corpora.pos", "nothing", "a corpus"),
                Problem("corpus 'ud'", "trouble", "none"),
            ]

        def other(sweep: SweepSpec) -> list[Problem]:
            return [Problem("pairs.en", "'de'", "a language")]

        text = MINIMAL + "data:\n  root: x\n"
        assert mistakes(text, checks=[check, other]) == [
            "s.yaml:1: tasks[0]: found 'pos'; expected a task",
            "s.yaml:4: data.corpora.pos: found nothing; expected a corpus",
            "corpus 'ud': found trouble; expected none",
            "s.yaml:2: pairs.en: found 'de'; expected a language",
        ]

    def test_checks_are_reported_with_problems_of_the_text(self) -> None:
        messages = mistakes(
            MINIMAL + "seeds: [0]\nseeds: [1]\n", checks=[lambda _: [Problem("seeds", "1", "2")]]
        )
        assert [message.split(": found")[0] for message in messages] == ["s.yaml:5: seeds", "s.yaml:5: seeds"]


def test_the_schema_knows_the_keys_at_every_depth() -> None:
    schema = sweep_schema()
    assert known_keys(schema, ()) == sorted([*SweepSpec.model_fields, "extends"])
    assert "learning_rate" in known_keys(schema, ("finetune_task", "pos"))
    assert known_keys(schema, ("encoders", "any", "pretrain")) != known_keys(schema, ("encoders", "any"))
    assert known_keys(schema, ("grid", "lines")) == ["also", "start", "step", "stop"]
    assert known_keys(schema, ("tasks", 0)) == []
