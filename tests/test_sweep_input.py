"""Wrong input of a sweep: everything that is wrong, at once, and the right exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made_commands
import pytest
from made_commands import PRETRAIN, SWEEP, FakeCluster, refused, write

from xltray.sweep import main

# Fixtures: pytest looks for them in this module.
here, cluster = made_commands.here, made_commands.cluster


def test_mistakes_of_form_come_together(capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> None:
    sweep = write({"sedes": [0], "seeds": ["zero"], "grid": {"plane": None, "lines": None}})
    said = refused([sweep], 2, capsys, cluster)
    assert "3 to mend" in said
    assert "s.yaml" in said
    for part in ("sedes", "Did you mean 'seeds'", "seeds[0]", "'zero'", "grid", "neither plane nor lines"):
        assert part in said
    assert not Path("results").exists()


def test_unknown_names_come_together(capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> None:
    pretrain = PRETRAIN | {"corpus": "wikipedia"}
    changes = {
        "tasks": ["pos", "parsin"],
        "pairs": {"qaa": ["qab", "qxx"]},
        "encoders": {"own": {"pretrain": pretrain}},
        "data": SWEEP["data"] | {"corpora": {"pos": "toy", "nerr": "toy"}},
    }
    said = refused([write(changes)], 2, capsys, cluster)
    for part in (
        "tasks[1]: found 'parsin'",
        "Did you mean 'parsing'",
        "'qxx'",
        "a language of the toy corpus",
        "'wikipedia'",
        "data.corpora.nerr",
        "4 to mend",
    ):
        assert part in said
    assert "s.yaml:" in said


@pytest.mark.parametrize("path", ["absent.yaml", "."])
def test_a_sweep_file_that_is_not_there(
    path: str, capsys: pytest.CaptureFixture[str], cluster: FakeCluster
) -> None:
    assert path in refused([path], 2, capsys, cluster)


def ud_sweep(**changes: Any) -> str:
    encoders = {"own": {"pretrain": PRETRAIN}} | changes.pop("encoders", {})
    return write({"pairs": {"en": ["de", "vi"]}, "data": {"root": "ud"}, "encoders": encoders} | changes)


def treebank(folder: str, *, train: str | None = None, dev: str | None = None) -> None:
    Path("ud", folder).mkdir(parents=True, exist_ok=True)
    good = "1\tDogs\t_\tNOUN\t_\t_\t2\tnsubj\t_\t_\n2\tbark\t_\tVERB\t_\t_\t0\troot\t_\t_\n\n"
    for split, content in {"train": train, "dev": dev}.items():
        name = f"xx-ud-{split}.conllu"
        Path("ud", folder, name).write_text(good if content is None else content, encoding="utf-8")


def test_all_missing_treebanks_and_checkpoints_are_named(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster
) -> None:
    treebank("UD_English-EWT")
    said = refused([ud_sweep(encoders={"local": {"checkpoint": "./nowhere"}})], 3, capsys, cluster)
    assert "ud/UD_German-GSD: found no such folder" in said
    assert "ud/UD_Vietnamese-VTB: found no such folder" in said
    assert "encoder checkpoint './nowhere': found no such folder" in said
    assert "UD_English-EWT: found" not in said
    assert not Path("results").exists()


def test_every_broken_line_is_named(capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> None:
    for folder in ("UD_English-EWT", "UD_German-GSD", "UD_Vietnamese-VTB"):
        treebank(folder)
    treebank("UD_German-GSD", train="1\tHund\t_\tNOUN\t_\t_\t7\troot\t_\t_\n\n")
    treebank("UD_Vietnamese-VTB", dev="# sent_id = 1\n1\tchó\t_\tDOG\t_\t_\t0\troot\t_\t_\n\n")
    said = refused([ud_sweep()], 3, capsys, cluster)
    assert "ud/UD_German-GSD/xx-ud-train.conllu:1" in said
    assert "ud/UD_Vietnamese-VTB/xx-ud-dev.conllu:2" in said
    assert "'DOG'" in said


def test_a_broken_line_and_a_folder_without_a_model_come_together(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster
) -> None:
    for folder in ("UD_English-EWT", "UD_German-GSD", "UD_Vietnamese-VTB"):
        treebank(folder)
    treebank("UD_German-GSD", train="1\tHund\t_\tNOUN\t_\t_\t7\troot\t_\t_\n\n")
    Path("model").mkdir()
    said = refused([ud_sweep(encoders={"local": {"checkpoint": "./model"}})], 3, capsys, cluster)
    assert "UD_German-GSD/xx-ud-train.conllu:1" in said
    assert f"encoder checkpoint '{Path('model').resolve()}': found a folder without config.json" in said


def test_only_what_will_be_read_must_be_there(cluster: FakeCluster) -> None:
    for folder in ("UD_English-EWT", "UD_German-GSD", "UD_Vietnamese-VTB"):
        treebank(folder)
    assert main([ud_sweep()]) == 0
    assert main([ud_sweep(pairs={"en": ["de"]})]) == 0


def test_mistakes_of_form_do_not_hide_unknown_names(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster
) -> None:
    changes = {"tasks": ["poss"], "pairs": {"qaa": ["xx"]}, "finetune": {"epochs": "many"}, "sedes": [1]}
    said = refused([write(changes)], 2, capsys, cluster)
    for found in ("'poss'", "'xx'", "finetune.epochs", "sedes"):
        assert found in said


def test_a_mistake_in_the_data_makes_no_languages_unknown(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster
) -> None:
    data = {**SWEEP["data"], "toy": {"trian": 4}}
    said = refused([write({"data": data, "third_languages": ["qac"]})], 2, capsys, cluster)
    assert "1 to mend" in said
    assert "data.toy.trian: found the unknown key 'trian'" in said
    # What needs no data is still checked.
    said = refused([write({"data": data, "tasks": ["poss"]})], 2, capsys, cluster)
    assert "2 to mend" in said
    assert "tasks[0]: found 'poss'" in said


@pytest.mark.parametrize("limit", ["x", "0", "-1", "1.5"])
def test_a_limit_that_is_none(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([write(), f"--limit={limit}"])
    assert caught.value.code == 2
    assert (
        f"argument --limit: found {limit!r}; expected a whole number of at least 1" in capsys.readouterr().err
    )


def test_a_store_that_cannot_be_written(capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> None:
    Path("results").write_text("a file in the way", encoding="utf-8")
    said = refused([write()], 2, capsys, cluster)
    assert str(Path.cwd() / "results" / "s") in said
    assert "change `storage`" in said


def test_a_store_of_an_unknown_kind(capsys: pytest.CaptureFixture[str], cluster: FakeCluster) -> None:
    assert "nope://x" in refused([write(), "storage=nope://x"], 2, capsys, cluster)
