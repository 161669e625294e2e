"""Endpoint models and dev sets as both fine-tuning and surfaces see them."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from tiny import Tiny, make_tiny, run_job
from torch import nn

from xltray import endpoints
from xltray.as_planned import check_unchanged
from xltray.checkpoints import folder_content
from xltray.context import JobContext
from xltray.corpora.base import at_most
from xltray.corpora.registry import open_corpus
from xltray.endpoints import build_model, load_dev_set, load_split, open_encoder
from xltray.errors import CorpusError, MissingInputError, StoreError
from xltray.jobs import EncoderRef
from xltray.nn.biaffine import BiaffineParser
from xltray.tasks.base import EncodedSplit


def ids(split: EncodedSplit) -> list[tuple[int, ...]]:
    return [tuple(sequence.tokens.ids) for sequence in split.sequences]


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_limits_take_examples_from_all_of_the_data(tiny: Tiny, tmp_path: Path, task: str) -> None:
    limited = make_tiny(tmp_path, data={"max_train": 8, "max_dev": 5}).endpoint(task)
    encoder = open_encoder(tiny.endpoint().encoder, tiny.context)
    for role, whole, limit in (("train", 40, 8), ("dev", 30, 5)):
        everything = load_split(tiny.endpoint(task), "qaa", role, encoder, tiny.context)
        some = load_split(limited, "qaa", role, encoder, tiny.context)
        assert (everything.examples, some.examples) == (whole, limit)
        assert len(everything.sequences) == whole, "one sequence a sentence, else places say nothing"
        assert ids(some) == ids(everything)[:: whole // limit]
    assert limited.id != tiny.endpoint(task).id


def test_limits_above_the_data_change_nothing() -> None:
    assert at_most(range(5), 5) == at_most(range(5), 9) == at_most(range(5), None) == [0, 1, 2, 3, 4]
    assert at_most(range(7), 3) == [0, 2, 4]
    assert at_most(range(100), 1) == [0]


def test_a_split_is_encoded_once_for_all_jobs_of_a_process(tiny: Tiny) -> None:
    job, encoder = tiny.endpoint("pos"), open_encoder(tiny.endpoint().encoder, tiny.context)
    first = load_split(job, "qaa", "train", encoder, tiny.context)
    assert load_split(job, "qaa", "train", encoder, tiny.context) is first
    other_seed = job.model_copy(update={"seed": job.seed + 1})
    assert load_split(other_seed, "qaa", "train", encoder, tiny.context) is first
    assert load_split(job, "qaa", "dev", encoder, tiny.context) is not first
    changed = {"qaa": job.data["qaa"].model_copy(update={"train": "0" * 64})}
    with pytest.raises(CorpusError, match="not what the sweep was planned on"):
        load_split(job.model_copy(update={"data": changed}), "qaa", "train", encoder, tiny.context)


def test_of_kept_splits_the_oldest_goes_and_large_ones_are_not_kept(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, encoder = tiny.endpoint("pos"), open_encoder(tiny.endpoint().encoder, tiny.context)
    monkeypatch.setattr(endpoints, "_kept", OrderedDict())
    monkeypatch.setattr(endpoints, "KEPT_SPLITS", 1)
    train = load_split(job, "qaa", "train", encoder, tiny.context)
    load_split(job, "qaa", "dev", encoder, tiny.context)
    assert load_split(job, "qaa", "train", encoder, tiny.context) is not train
    monkeypatch.setattr(endpoints, "KEPT_SEQUENCES", 1)
    monkeypatch.setattr(endpoints, "_kept", OrderedDict())
    train = load_split(job, "qaa", "train", encoder, tiny.context)
    assert load_split(job, "qaa", "train", encoder, tiny.context) is not train


def test_training_sentences_are_cut_to_the_recipes_length(tiny: Tiny) -> None:
    job = tiny.endpoint("parsing")
    short = job.recipe.model_copy(update={"max_length": 12})
    encoder = open_encoder(job.encoder, tiny.context)
    cut = job.model_copy(update={"recipe": short})
    longest = {
        role: max(len(tokens) for tokens in ids(load_split(cut, "qaa", role, encoder, tiny.context)))
        for role in ("train", "dev")
    }
    assert longest["train"] <= 12 < longest["dev"]


def test_a_dev_set_scores_as_its_task_does(tiny: Tiny) -> None:
    job = tiny.endpoint("pos", "qab")
    encoder = open_encoder(job.encoder, tiny.context)
    dev_set = load_dev_set(job, "qab", encoder, tiny.context)
    evaluation = dev_set.score(build_model(job, encoder, "cpu"))
    words = sum(len(s.words) for s in open_corpus("toy", tiny.context.data).sentences("qab", "dev"))
    assert evaluation.counts["accuracy"].gold == evaluation.counts["accuracy"].predicted == words
    assert evaluation.examples == 30


def test_models_have_the_tasks_head_and_the_recipes_dropout(tiny: Tiny) -> None:
    encoder = open_encoder(tiny.endpoint().encoder, tiny.context)
    tagger = build_model(tiny.endpoint("pos"), encoder, "cpu")
    parser = build_model(tiny.endpoint("parsing"), encoder, "cpu")
    assert isinstance(tagger.head, nn.Linear)
    assert tagger.head.out_features == 17
    assert isinstance(parser.head, BiaffineParser)
    assert parser.head.arc_weight_AA.shape == (12, 12)
    assert tagger.dropout == 0.2
    assert {name.split(".")[0] for name, _ in tagger.named_parameters()} == {"encoder", "head"}


def test_an_encoder_comes_from_the_store_or_from_a_folder(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.endpoint().encoder
    shutil.copytree(tiny.root / "encoders" / tiny.encoder().id, tmp_path / "copy")
    content = folder_content(tmp_path / "copy")
    folder = EncoderRef(name="a", checkpoint=str(tmp_path / "copy"), revision="main", content=content)
    from_store, from_folder = open_encoder(own, tiny.context), open_encoder(folder, tiny.context)
    for name, tensor in from_store.model.state_dict().items():
        assert torch.equal(tensor, from_folder.model.state_dict()[name])
    assert from_store.tokenizer.get_vocab() == from_folder.tokenizer.get_vocab()


def test_a_sweep_over_a_folders_checkpoint_gives_the_same_numbers(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny.root / "encoders" / tiny.encoder().id, tmp_path / "copy")
    other = make_tiny(
        tmp_path / "store", tasks=["pos"], encoders={"small": {"checkpoint": str(tmp_path / "copy")}}
    )
    job = other.endpoint()
    run_job(job, other.context)
    assert other.done(job)["counts"] == tiny.done(tiny.endpoint())["counts"]
    assert other.done(job)["initial_weights"] == tiny.done(tiny.endpoint())["initial_weights"]
    assert job.id != tiny.endpoint().id


def test_another_encoder_at_the_same_path_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    """As on a machine of its own, or replaced during a run: endpoints would stand under a wrong id."""
    copy = tmp_path / "copy"
    shutil.copytree(tiny.root / "encoders" / tiny.encoder().id, copy)
    ref = EncoderRef(name="a", checkpoint=str(copy), content=folder_content(copy))
    (copy / "notes.txt").write_text("what is not loaded may differ")
    (copy / ".#config.json").symlink_to("nowhere")
    open_encoder(ref, tiny.context)
    for name in ("tokenizer.json", "model.safetensors"):
        before = (copy / name).read_bytes()
        (copy / name).write_bytes(before + b" ")
        with pytest.raises(CorpusError, match=r"On machine .*\n.*encoder a, .*copy: found content"):
            open_encoder(ref, tiny.context)
        (copy / name).write_bytes(before)
        open_encoder(ref, tiny.context)


def test_an_encoder_that_is_not_there(tiny: Tiny, tmp_path: Path) -> None:
    empty = tiny.moved(tmp_path)
    with pytest.raises(StoreError, match=r"encoders/small-.*Run the sweep again"):
        open_encoder(tiny.endpoint().encoder, empty.context)
    nowhere = EncoderRef(name="a", checkpoint=str(tmp_path / "nowhere"), content="x")
    with pytest.raises(MissingInputError, match="nowhere"):
        open_encoder(nowhere, tiny.context)


@pytest.mark.parametrize("role", ["train", "dev"])
def test_data_that_is_not_what_the_plan_saw(tiny: Tiny, role: str) -> None:
    encoder = open_encoder(tiny.endpoint().encoder, tiny.context)
    size = {role: 20}
    data = tiny.context.data.model_copy(update={"toy": tiny.context.data.toy.model_copy(update=size)})
    elsewhere = JobContext(tiny.store, data)
    with pytest.raises(CorpusError, match=f"toy qaa {role}"):
        load_split(tiny.endpoint(), "qaa", role, encoder, elsewhere)  # type: ignore[arg-type]


def test_unchanged_data_passes() -> None:
    check_unchanged("a", found="f" * 64, expected="f" * 64)
    with pytest.raises(CorpusError, match="a: found content 000000000000; expected ffffffffffff, as when"):
        check_unchanged("a", found="0" * 64, expected="f" * 64)
