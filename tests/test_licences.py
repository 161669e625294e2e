"""Licences are what the files of a corpus say, and go with a sweep into its store and its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_conllu import row

from analysis import provenance
from xltray.inputs import FileInputs
from xltray.licences import licences, named
from xltray.plan import make_plan
from xltray.spec import SweepSpec
from xltray.started import write_plan
from xltray.store import Store

SENTENCE = "\n".join([row(1, "word", "NOUN", 0, "root"), "", ""])
ADDRESS = "https://creativecommons.org/licenses/by-sa/3.0/\nCreative Commons ... 4.0 Public License"
WORDS = (
    "The treebank is licensed under the Creative Commons License Attribution-ShareAlike 4.0 International."
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ADDRESS, "CC BY-SA 3.0"),
        (WORDS, "CC BY-SA 4.0"),
        ("Attribution-NonCommercial-ShareAlike 3.0 Unported\n", "CC BY-NC-SA 3.0"),
        ("Attribution 4.0 International", "CC BY 4.0"),
        ("\n=====\nGNU GENERAL PUBLIC LICENSE\nVersion 3\n", "“GNU GENERAL PUBLIC LICENSE”"),
        # Not of this corpus: a licence that is named far down in a text is one that the text speaks of.
        ("All rights reserved.\n" + "x" * 1000 + "\n" + WORDS, "“All rights reserved.”"),
        (" \n", "not stated"),
    ],
)
def test_a_licence_is_named_as_its_file_states_it(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "LICENSE.txt"
    path.write_text(text, encoding="utf-8")
    assert named(path) == expected


def sweep(root: Path, **changes: Any) -> SweepSpec:
    content = {
        "name": "s",
        "tasks": ["pos"],
        "pairs": {"en": ["de"]},
        "seeds": [0],
        "data": {"root": str(root)},
        "encoders": {"own": {"pretrain": {"languages": ["en"]}}},
    }
    return SweepSpec.model_validate(content | changes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An English treebank with a licence and a German one without."""
    for folder in ("UD_English-EWT", "UD_German-GSD"):
        (tmp_path / folder).mkdir()
        for split in ("train", "dev"):
            (tmp_path / folder / f"xx-ud-{split}.conllu").write_text(SENTENCE, encoding="utf-8")
    (tmp_path / "UD_English-EWT" / "LICENSE.txt").write_text(ADDRESS, encoding="utf-8")
    return tmp_path


def test_a_sweep_stores_each_licence_once_and_the_report_shows_it(root: Path) -> None:
    spec = sweep(root)
    plan = make_plan(spec, FileInputs(spec.data))
    found = licences(plan.jobs.values(), spec.data)
    assert found == [
        {"corpus": "ud", "language": "de", "tasks": ["pos"], "licence": "not stated", "file": ""},
        {
            "corpus": "ud",
            "language": "en",
            "tasks": ["pos"],
            "licence": "CC BY-SA 3.0",
            "file": "LICENSE.txt",
        },
    ]
    store = root / "store"
    write_plan(plan, Store(str(store)), found)
    table = provenance.licences(provenance.origin(store, None).sweeps)
    users = "Part-of-speech tags, pretraining of own"
    assert table.rows == [
        ["ud", users, "German", "not stated"],
        ["ud", users, "English", "CC BY-SA 3.0 (LICENSE.txt)"],
    ]


def test_what_the_software_makes_itself_has_no_licence_to_record(root: Path) -> None:
    own = {"own": {"pretrain": {"corpus": "toy", "languages": ["qaa"]}}}
    spec = sweep(root, pairs={"qaa": ["qab"]}, encoders=own)
    spec = SweepSpec.model_validate(
        spec.model_dump() | {"data": {"root": str(root), "corpora": {"pos": "toy"}}}
    )
    assert licences(make_plan(spec, FileInputs(spec.data)).jobs.values(), spec.data) == []


@pytest.mark.parametrize("plan", ["[1]", "{", '{"licences": [{"corpus": "ud"}]}', '{"licences": 3}'])
def test_plans_of_older_versions_say_nothing_of_licences(tmp_path: Path, plan: str) -> None:
    folder = tmp_path / "sweeps" / "s"
    folder.mkdir(parents=True)
    (folder / "sweep.yaml").write_text("data: {corpora: {pos: ud}}\n", encoding="utf-8")
    (folder / "plan.json").write_text(plan, encoding="utf-8")
    table = provenance.licences(provenance.origin(tmp_path, None).sweeps)
    assert [row[:3] for row in table.rows] == [["ud", "Part-of-speech tags", "all"]]
    assert "not recorded" in table.rows[0][3]
