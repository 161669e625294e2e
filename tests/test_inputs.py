"""What a sweep reads: what names its content, what is missing, what is broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from xltray.errors import CorpusError, MissingInputError
from xltray.fingerprint import file_fingerprint
from xltray.inputs import UNKNOWN, FileInputs, check_inputs, check_names
from xltray.jobs import SurfaceJob
from xltray.plan import Plan, make_plan
from xltray.spec import DataSpec, EncoderSpec, SweepSpec

GOOD = "1\tDogs\t_\tNOUN\t_\t_\t2\tnsubj\t_\t_\n2\tbark\t_\tVERB\t_\t_\t0\troot\t_\t_\n\n"


def treebank(root: Path, folder: str, **files: str) -> None:
    for split, content in ({"train": GOOD, "dev": GOOD} | files).items():
        path = root / folder / f"xx-ud-{split}.conllu"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with an English and a German treebank and a text file."""
    treebank(tmp_path, "UD_English-EWT")
    treebank(tmp_path, "UD_German-GSD")
    (tmp_path / "more.txt").write_text("a b\nc d\n", encoding="utf-8")
    return tmp_path


def sweep(root: Path, **changes: Any) -> SweepSpec:
    encoders = {"own": {"pretrain": {"languages": ["en"], "text": ["more.txt"]}}}
    return SweepSpec.model_validate(
        {
            "name": "s",
            "tasks": ["pos"],
            "pairs": {"en": ["de"]},
            "seeds": [0],
            "data": {"root": str(root)},
            "encoders": encoders,
        }
        | changes
    )


def plan(root: Path, **changes: Any) -> Plan:
    spec = sweep(root, **changes)
    inputs = FileInputs(spec.data)
    result = make_plan(spec, inputs)
    inputs.raise_missing()
    return result


def check(root: Path, **changes: Any) -> None:
    check_inputs(plan(root, **changes).jobs.values(), DataSpec(root=str(root)))


def checkpoint_of(folder: Path) -> str:
    return FileInputs(DataSpec()).checkpoint(EncoderSpec(checkpoint=str(folder)))


def whole_checkpoint(folder: Path) -> Path:
    """Make a folder with all the files of a checkpoint."""
    folder.mkdir(exist_ok=True)
    for name, content in {
        "config.json": '{"model_type": "bert"}',
        "model.safetensors": "weights",
        "tokenizer.json": "{}",
    }.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def lacking(root: Path) -> list[tuple[str, str]]:
    """Return where and what is found missing of the checkpoint in ``model``."""
    with pytest.raises(MissingInputError) as caught:
        check(root, encoders={"a": {"checkpoint": str(root / "model")}})
    return [(problem.where, problem.found) for problem in caught.value.problems]


# Content.


def test_content_is_named_by_the_files(root: Path) -> None:
    inputs = FileInputs(DataSpec(root=str(root)))
    path = root / "UD_English-EWT" / "xx-ud-dev.conllu"
    assert inputs.data("ud", "en", "dev") == (file_fingerprint(path), len(GOOD))
    assert inputs.text("more.txt") == (file_fingerprint(root / "more.txt"), 8)
    assert inputs.corpus("pos") == "ud"
    assert FileInputs(DataSpec(corpora={"pos": "toy"})).corpus("pos") == "toy"
    assert inputs.missing == []


def test_a_split_is_identified_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = FileInputs(DataSpec(root=str(root)))
    first = inputs.data("ud", "en", "train")
    (root / "UD_English-EWT" / "xx-ud-train.conllu").write_text(GOOD * 2, encoding="utf-8")
    assert inputs.data("ud", "en", "train") == first, "hashed once, however many jobs ask"


def test_a_hub_checkpoint_is_named_by_its_revision() -> None:
    encoder = EncoderSpec(checkpoint="some/model", revision="abc")
    assert FileInputs(DataSpec()).checkpoint(encoder) == "some/model@abc"


def test_a_folder_is_named_by_what_its_numbers_depend_on(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_text(name, encoding="utf-8")
    before = checkpoint_of(folder)
    (folder / "README.md").write_text("words", encoding="utf-8")
    folder.rename(tmp_path / "moved")
    folder = tmp_path / "moved"
    assert checkpoint_of(folder) == before
    for name in (
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "vocab.txt",
        "sentencepiece.bpe.model",
    ):
        (folder / name).write_text(f"other {name}", encoding="utf-8")
        after = checkpoint_of(folder)
        assert after != before
        before = after


def test_only_what_would_be_loaded_names_a_folder(tmp_path: Path) -> None:
    folder = whole_checkpoint(tmp_path / "model")
    before = checkpoint_of(folder)
    for name in ("optimizer.bin", "trainer_state.json", "training_args.bin", "notes.txt", "README.md"):
        (folder / name).write_text("left over", encoding="utf-8")
    for name in ("pytorch_model.bin", "model.safetensors.index.json", "model-00001-of-00001.safetensors"):
        (folder / name).write_text("passed over for model.safetensors", encoding="utf-8")
    assert checkpoint_of(folder) == before
    (folder / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    assert checkpoint_of(folder) != before


def test_weights_in_several_files_are_those_of_the_index(tmp_path: Path) -> None:
    folder = whole_checkpoint(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    shards = {"a.weight": "model-1.safetensors", "b.weight": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    for name in (*shards.values(), "model-3.safetensors", "pytorch_model.bin"):
        (folder / name).write_text(name, encoding="utf-8")
    before = checkpoint_of(folder)
    for name in ("model-3.safetensors", "pytorch_model.bin"):
        (folder / name).write_text("of another model", encoding="utf-8")
    assert checkpoint_of(folder) == before
    (folder / "model-2.safetensors").write_text("trained on", encoding="utf-8")
    assert checkpoint_of(folder) != before


def test_pickled_weights_count_where_there_are_no_others(tmp_path: Path) -> None:
    folder = whole_checkpoint(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    before = checkpoint_of(folder)
    (folder / "pytorch_model.bin").write_text("trained on", encoding="utf-8")
    assert checkpoint_of(folder) != before


# Missing.


def test_all_that_is_missing_is_raised_together(root: Path) -> None:
    with pytest.raises(MissingInputError) as caught:
        plan(
            root,
            pairs={"en": ["de", "vi", "zh"]},
            encoders={
                "a": {"pretrain": {"languages": ["fr"], "text": ["none.txt"]}},
                "b": {"checkpoint": "/no/such/folder"},
            },
        )
    said = str(caught.value)
    for name in ("UD_Vietnamese-VTB", "UD_Chinese-GSD", "UD_French-GSD", "none.txt", "'/no/such/folder'"):
        assert said.count(f"{name}: found") == 1, "each once, however many jobs need it"
    assert len(caught.value.problems) == 5


def test_missing_splits_of_a_treebank_are_told_apart(root: Path) -> None:
    for split in ("train", "dev"):
        (root / "UD_German-GSD" / f"xx-ud-{split}.conllu").unlink()
    with pytest.raises(MissingInputError) as caught:
        plan(root)
    found = sorted(Path(problem.where).name for problem in caught.value.problems)
    assert found == ["*-ud-dev.conllu", "*-ud-train.conllu"]


def test_lenient_inputs_only_take_note(tmp_path: Path) -> None:
    inputs = FileInputs(DataSpec(root=str(tmp_path)), lenient=True)
    assert inputs.data("ud", "en", "dev") == UNKNOWN
    assert inputs.data("wikiann", "en", "dev") == UNKNOWN
    assert inputs.text("none.txt") == UNKNOWN
    assert [problem.where for problem in inputs.missing] == [
        str(tmp_path / "UD_English-EWT"),
        str(tmp_path / "wikiann" / "en"),
        str(tmp_path / "none.txt"),
    ]
    inputs.raise_missing()


# Names.


def test_known_names_pass(root: Path) -> None:
    assert check_names(sweep(root, tasks=["xnli", "ner", "pos", "parsing"])) == []


def test_a_treebank_of_the_sweep_file_makes_a_language_known(root: Path) -> None:
    unknown = check_names(sweep(root, pairs={"en": ["sv"]}))
    assert [(problem.where, problem.found) for problem in unknown] == [("pairs", "'sv'")]
    assert "data.treebanks" in unknown[0].advice
    data = {"root": str(root), "treebanks": {"sv": {"treebank": "UD_Swedish-Talbanken"}}}
    assert check_names(sweep(root, pairs={"en": ["sv"]}, data=data)) == []


def test_every_unknown_name_has_its_place(root: Path) -> None:
    problems = check_names(
        sweep(
            root,
            tasks=["pos", "poss"],
            finetune_task={"parse": {}},
            data={"corpora": {"parsing": "toi", "nre": "toy"}},
            pairs={"en": ["qaa"]},
            encoders={
                "a": {"pretrain": {"languages": ["qaa"], "corpus": "ud"}},
                "b": {"pretrain": {"languages": ["en"], "corpus": "web"}},
            },
        )
    )
    assert [(problem.where, problem.found) for problem in problems] == [
        ("tasks[1]", "'poss'"),
        ("finetune_task.parse", "'parse'"),
        ("data.corpora.nre", "'nre'"),
        ("data.corpora.parsing", "'toi'"),
        ("encoders.b.pretrain.corpus", "'web'"),
        ("pairs", "'qaa'"),
        ("encoders.a.pretrain.languages", "'qaa'"),
    ]
    assert "Did you mean 'pos'" in problems[0].advice


def test_languages_of_hub_corpora_are_known_without_their_files(tmp_path: Path) -> None:
    sw = {"tasks": ["xnli", "ner"], "pairs": {"en": ["sw"]}}
    assert check_names(sweep(tmp_path, **sw)) == []
    with pytest.raises(MissingInputError, match=r"xnli/sw: found nothing") as caught:
        plan(tmp_path, **sw, encoders={"a": {"checkpoint": "x"}})
    assert caught.value.exit_code == 3
    (problem,) = check_names(sweep(tmp_path, tasks=["xnli"], pairs={"en": ["fi"]}))
    assert (problem.where, problem.found) == ("pairs", "'fi'")


# What jobs are about to read.


def test_good_inputs_pass(root: Path) -> None:
    check(root)


def test_all_broken_files_are_told_together(root: Path) -> None:
    treebank(root, "UD_German-GSD", dev=GOOD.replace("NOUN", "NUON"), train="")
    (root / "more.txt").write_bytes(b"good\n\xff\xfe bad\n")
    with pytest.raises(CorpusError) as caught:
        check(root)
    said = str(caught.value)
    assert "UD_German-GSD/xx-ud-dev.conllu:1: found 'NUON'" in said
    assert "UD_German-GSD/xx-ud-train.conllu: found no sentence" in said
    assert "more.txt:2" in said


def test_text_that_is_empty_is_broken(root: Path) -> None:
    (root / "more.txt").write_text("\n\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"more\.txt: found no sentence"):
        check(root)


def test_missing_and_broken_are_told_together(root: Path) -> None:
    treebank(root, "UD_German-GSD", dev=GOOD.replace("NOUN", "NUON"))
    (root / "model").mkdir()
    encoders = {"a": {"checkpoint": str(root / "model")}}
    with pytest.raises(MissingInputError, match=r"(?s)folder without config\.json.*'NUON'"):
        check(root, encoders=encoders)
    whole_checkpoint(root / "model")
    with pytest.raises(CorpusError, match="'NUON'"):
        check(root, encoders=encoders)


def test_surfaces_alone_still_read_dev_sets_and_encoders(root: Path) -> None:
    (root / "model").mkdir()
    whole = plan(root, encoders={"a": {"checkpoint": str(root / "model")}})
    surfaces = [job for job in whole.jobs.values() if isinstance(job, SurfaceJob)]
    with pytest.raises(MissingInputError, match=r"folder without config\.json"):
        check_inputs(surfaces, DataSpec(root=str(root)))
    whole_checkpoint(root / "model")
    treebank(root, "UD_English-EWT", train="broken, but not read")
    check_inputs(surfaces, DataSpec(root=str(root)))
    treebank(root, "UD_English-EWT", dev="broken")
    with pytest.raises(CorpusError, match=r"UD_English-EWT/xx-ud-dev\.conllu:1"):
        check_inputs(surfaces, DataSpec(root=str(root)))


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("config.json", None, "a folder without config.json"),
        ("config.json", "{", "a config.json that is no JSON object"),
        ("config.json", "[]", "a config.json that is no JSON object"),
        ("config.json", "{}", "a config.json without model_type"),
        ("model.safetensors", None, "a folder without weights"),
        ("tokenizer.json", None, "a folder without a tokenizer"),
    ],
)
def test_what_a_folder_lacks_of_a_checkpoint(root: Path, name: str, content: str | None, found: str) -> None:
    folder = whole_checkpoint(root / "model")
    (folder / name).unlink()
    if content:
        (folder / name).write_text(content, encoding="utf-8")
    assert lacking(root) == [(f"encoder checkpoint {str(folder)!r}", found)]


def test_all_that_a_folder_lacks_is_told_together(root: Path) -> None:
    (root / "model").mkdir()
    (root / "model" / "config.json").write_text("{}", encoding="utf-8")
    assert [found for _, found in lacking(root)] == [
        "a config.json without model_type",
        "a folder without weights",
        "a folder without a tokenizer",
    ]


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_weights_in_several_files_are_all_there(root: Path, weights: str) -> None:
    folder = whole_checkpoint(root / "model")
    (folder / "model.safetensors").unlink()
    index = folder / f"{weights}.index.json"
    index.write_text("{}")
    assert [found for _, found in lacking(root)] == [f"a {index.name} without weight_map"]
    index.write_text(json.dumps({"weight_map": {"a": "one", "b": "two", "c": "three"}}))
    (folder / "one").write_text("weights")
    assert [found for _, found in lacking(root)] == ["a folder without three, two"]
    for name in ("two", "three"):
        (folder / name).write_text("weights")
    check(root, encoders={"a": {"checkpoint": str(folder)}})


@pytest.mark.parametrize(
    "files",
    [
        ("vocab.txt",),
        ("sentencepiece.bpe.model",),
        ("spiece.model",),
        ("vocab.json", "merges.txt"),
        ("tokenizer.model",),
    ],
)
def test_every_form_of_tokenizer_will_do(root: Path, files: tuple[str, ...]) -> None:
    folder = whole_checkpoint(root / "model")
    (folder / "tokenizer.json").rename(folder / files[0])
    for name in files[1:]:
        assert [found for _, found in lacking(root)] == ["a folder without a tokenizer"]
        (folder / name).write_text("merges", encoding="utf-8")
    check(root, encoders={"a": {"checkpoint": str(folder)}})


def test_a_path_that_is_no_folder(root: Path) -> None:
    with pytest.raises(MissingInputError, match=r"(?s)'\./nowhere': found no such folder.*Check the path"):
        check(root, encoders={"a": {"checkpoint": "./nowhere"}})


@pytest.mark.parametrize("checkpoint", ["nobody/nothing", "not a name"])
def test_a_model_of_the_hub_that_cannot_be_had(
    root: Path, tmp_path: Path, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(MissingInputError, match=f"encoder checkpoint '{checkpoint}': found"):
        check(root, encoders={"a": {"checkpoint": checkpoint}})


def test_a_folders_place_is_absolute_for_workers_that_run_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    inputs = FileInputs(DataSpec())
    for checkpoint in ("model", "./model", "~/model"):
        found = inputs.location(EncoderSpec(checkpoint=checkpoint))
        assert found == str((tmp_path / "model").resolve())
    assert inputs.location(EncoderSpec(checkpoint="org/model")) == "org/model"
