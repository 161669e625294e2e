"""Fine-tuning is what a plain loop would give, from weights that are known; and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from made_finetune import changed, into, jobs, weights, with_recipe
from safetensors.torch import load_file
from tiny import Tiny, make_tiny, run_job
from torch import Tensor, nn

import xltray.finetune as finetune_module
from xltray.context import JobContext
from xltray.endpoints import build_model, load_split, open_encoder
from xltray.epochs import epoch_batches
from xltray.errors import CorpusError, EndpointError
from xltray.finetune import finetune
from xltray.jobs import FinetuneJob
from xltray.nn.flat import FlatModel, weights_hash
from xltray.nn.model import seed_of
from xltray.spec import DataSpec
from xltray.tasks.base import EncodedSplit
from xltray.tasks.registry import get_task


def plain_loop(job: FinetuneJob, context: JobContext) -> dict[str, Tensor]:
    """Fine-tune for part-of-speech tagging with nothing but torch; returns the last weights."""
    encoder = open_encoder(job.encoder, context)
    trains = {language: load_split(job, language, "train", encoder, context) for language in job.languages}
    model = build_model(job, encoder, "cpu").train()
    recipe = job.recipe
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=0.0,
        betas=recipe.betas,
        eps=recipe.epsilon,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    order = torch.Generator().manual_seed(seed_of("order", job.seed))
    torch.manual_seed(seed_of("dropout", job.seed))
    epochs = [epoch_batches(trains, recipe.batch_size, order) for _ in range(recipe.epochs)]
    steps = [sequences for epoch in epochs for sequences in epoch]
    rising = int(recipe.warmup * len(steps))
    for number, sequences in enumerate(steps):
        falling = (len(steps) - number) / (len(steps) - rising)
        rate = recipe.learning_rate * ((number + 1) / rising if number < rising else falling)
        optimizer.param_groups[0]["lr"] = rate
        batch = get_task("pos").collate(sequences, "cpu", training=True)
        logits_WC = model.head(model(batch.packed, batch.labels["place_W"]))
        loss = F.cross_entropy(logits_WC, batch.labels["label_W"], reduction="sum")
        optimizer.zero_grad()
        (loss / len(batch.labels["label_W"])).backward()
        if recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


ONE_VALIDATION = {"epochs": 1, "validations_per_epoch": 1, "warmup": 0.5}


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"clip_norm": 0.05},
        {"weight_decay": 0.5, "betas": (0.5, 0.6), "epsilon": 1e-3},
        {"dropout": 0.0},
    ],
    ids=["defaults", "clipped", "other Adam", "no dropout"],
)
@pytest.mark.parametrize("languages", [("qaa",), ("qaa", "qab")])
def test_the_weights_are_a_plain_loops(
    tiny: Tiny, tmp_path: Path, languages: tuple[str, ...], recipe: dict[str, Any]
) -> None:
    job = with_recipe(tiny.endpoint("pos", *languages), **ONE_VALIDATION, **recipe)
    context = into(tiny, tmp_path)
    run_job(job, context)
    found, expected = weights(context, job), plain_loop(job, context)
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_every_part_of_the_recipe_changes_the_weights(tiny: Tiny, tmp_path: Path) -> None:
    context = into(tiny, tmp_path)
    changes: list[dict[str, Any]] = [
        {},
        {"learning_rate": 1e-3},
        {"epochs": 2},
        {"batch_size": 7},
        {"max_length": 20},
        {"warmup": 0.0},
        {"betas": (0.9, 0.9)},
        {"epsilon": 1e-3},
        {"weight_decay": 0.1},
        {"clip_norm": 0.05},
        {"dropout": 0.5},
    ]
    found = set()
    for change in changes:
        job = with_recipe(tiny.endpoint(), **(ONE_VALIDATION | change))
        run_job(job, context)
        found.add(
            torch.cat([tensor.flatten() for tensor in weights(context, job).values()]).numpy().tobytes()
        )
    assert len(found) == len(changes)


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_the_same_job_twice_gives_the_same_bytes(tiny: Tiny, tmp_path: Path, task: str) -> None:
    job = tiny.endpoint(task, "qaa", "qab")
    context = into(tiny, tmp_path)
    torch.manual_seed(999)  # what ran before in the process does not matter
    run_job(job, context)
    for name in ("model.safetensors", "history.parquet", "spec.json"):
        path = Path("endpoints") / job.id / name
        assert (tmp_path / path).read_bytes() == (tiny.root / path).read_bytes(), name


def test_what_another_has_finished_meanwhile_stays(tiny: Tiny, tmp_path: Path) -> None:
    job, context = tiny.endpoint(), replace(into(tiny, tmp_path), checkpoint_seconds=0.0)
    path = context.store.endpoint_path(job.id)
    for _ in finetune(job, context):
        if not context.store.exists(path):
            (tmp_path / "other").mkdir()
            (tmp_path / "other" / "model.safetensors").write_bytes(b"of another")
            context.store.publish_directory(tmp_path / "other", path, {"by": "another"})
    assert context.store.read_json(f"{path}/DONE.json")["by"] == "another"
    assert context.store.read_bytes(f"{path}/model.safetensors") == b"of another"
    assert not context.store.exists(context.store.checkpoints_path(job.id))


# What it starts from.


def test_endpoints_of_a_task_start_from_the_same_weights(tiny: Tiny) -> None:
    found = {(job.task, job.languages): tiny.done(job)["initial_weights"] for job in jobs(tiny)}
    assert len(found) == 10
    by_task = {task: {found[key] for key in found if key[0] == task} for task in ("pos", "parsing")}
    assert {len(hashes) for hashes in by_task.values()} == {1}
    assert by_task["pos"] != by_task["parsing"]


def test_the_hash_is_of_encoder_and_head_before_training(tiny: Tiny) -> None:
    def initial(job: FinetuneJob) -> str:
        torch.rand(3)  # the state of the process's random numbers does not matter
        return weights_hash(
            FlatModel(build_model(job, open_encoder(job.encoder, tiny.context), "cpu")).flat_P
        )

    job = tiny.endpoint()
    assert initial(job) == tiny.done(job)["initial_weights"]
    assert initial(changed(job, seed=1)) != initial(job), "the head depends on the seed"
    model = build_model(job, open_encoder(job.encoder, tiny.context), "cpu")
    plain = load_file(tiny.root / "encoders" / tiny.encoder().id / "model.safetensors")
    for name, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor, plain[name]), name


def test_building_a_model_leaves_the_random_numbers_alone(tiny: Tiny) -> None:
    encoder = open_encoder(tiny.endpoint().encoder, tiny.context)
    before = torch.get_rng_state()
    build_model(tiny.endpoint(), encoder, "cpu")
    assert torch.equal(torch.get_rng_state(), before)


# What it refuses.


def test_data_changed_since_the_plan_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    context = into(tiny, tmp_path)
    toy = tiny.sweep.data.toy.model_copy(update={"seed": 1})
    elsewhere = JobContext(context.store, DataSpec(toy=toy))
    with pytest.raises(CorpusError, match=r"(?s)planned on.*toy qaa train.*start it again"):
        run_job(tiny.endpoint(), elsewhere)
    assert not context.store.exists(f"endpoints/{tiny.endpoint().id}")


def test_a_training_set_without_a_word_is_refused(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune_module, "load_split", lambda *_: EncodedSplit([], 3))
    with pytest.raises(CorpusError, match="toy qaa: found no word to train on"):
        run_job(tiny.endpoint(), into(tiny, tmp_path))


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_weights_that_are_not_finite_are_refused(tiny: Tiny, tmp_path: Path, task: str) -> None:
    job = with_recipe(tiny.endpoint(task), learning_rate=1e38, warmup=0.0, validations_per_epoch=1)
    context = into(tiny, tmp_path)
    with pytest.raises(EndpointError, match=f"{job.id}: .*not finite"):
        run_job(job, context)
    assert not context.store.exists(f"endpoints/{job.id}")


def test_another_store_in_the_place_of_the_encoder_is_an_error(tiny: Tiny, tmp_path: Path) -> None:
    empty = make_tiny(tmp_path, seeds=[0])
    with pytest.raises(Exception, match=r"encoders/small-.*Run the sweep again"):
        run_job(tiny.endpoint(), empty.context)
