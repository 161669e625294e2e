"""Fine-tuning: batches, validations, what is kept, and that it is what a plain loop would give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny import Tiny, make_tiny, run_job
from torch import Tensor, nn

import xltray.finetune as finetune_module
from xltray.context import JobContext
from xltray.endpoints import build_model, load_dev_set, load_split, open_encoder
from xltray.epochs import epoch_batches, validation_steps
from xltray.errors import CorpusError, EndpointError
from xltray.finetune import finetune
from xltray.jobs import FinetuneJob, load_job
from xltray.nn.flat import FlatModel, weights_hash
from xltray.nn.model import EndpointModel, seed_of
from xltray.nn.packing import Tokens
from xltray.schemas import HISTORY_SCHEMA
from xltray.spec import DataSpec
from xltray.tasks.base import Counts, Encoded, EncodedSplit, Evaluation
from xltray.tasks.registry import get_task


def changed(job: FinetuneJob, **changes: Any) -> FinetuneJob:
    # Not by model_copy, which would take over the id that the job has kept.
    return FinetuneJob(**({name: getattr(job, name) for name in FinetuneJob.model_fields} | changes))


def with_recipe(job: FinetuneJob, **changes: Any) -> FinetuneJob:
    return changed(job, recipe=job.recipe.model_copy(update=changes))


def into(tiny: Tiny, root: Path) -> JobContext:
    """A context whose store has the encoder of ``tiny`` and nothing else."""
    context = tiny.moved(root).context
    folder = context.store.encoder_path(tiny.encoder().id)
    local = tiny.root / folder
    done = {key: value for key, value in tiny.done(tiny.encoder()).items() if key != "files"}
    context.store.publish_directory(local, folder, done)
    return context


def weights(context: JobContext, job: FinetuneJob) -> dict[str, Tensor]:
    return load_file(Path(context.store.uri) / "endpoints" / job.id / "model.safetensors")


def history(tiny: Tiny, job: FinetuneJob) -> list[dict[str, Any]]:
    table = pq.read_table(tiny.root / "endpoints" / job.id / "history.parquet")
    assert table.schema.equals(HISTORY_SCHEMA)
    return table.to_pylist()


def jobs(tiny: Tiny) -> list[FinetuneJob]:
    return [job for job in tiny.plan.jobs.values() if isinstance(job, FinetuneJob)]


# Batches. A sequence is known by its language and number, which stand in its tokens.


def splits(sizes: Sequence[int]) -> dict[str, EncodedSplit]:
    def sequence(language: int, number: int) -> Encoded:
        return Encoded(Tokens([language, number], [0, 0]), [0], {})

    return {
        f"q{language}": EncodedSplit([sequence(language, number) for number in range(size)], size)
        for language, size in enumerate(sizes)
    }


def names(batch: Sequence[Encoded]) -> list[tuple[int, ...]]:
    return [tuple(sequence.tokens.ids) for sequence in batch]


def drawn(sizes: Sequence[int], batch_size: int, seed: int = 0) -> list[list[tuple[int, ...]]]:
    generator = torch.Generator().manual_seed(seed)
    return [names(batch) for batch in epoch_batches(splits(sizes), batch_size, generator)]


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 5))
def test_one_language_keeps_every_sequence_once(size: int, batch_size: int, seed: int) -> None:
    batches = drawn([size], batch_size, seed)
    assert sorted(name for batch in batches for name in batch) == [(0, number) for number in range(size)]
    assert sum(len(batch) != batch_size for batch in batches) == (size % batch_size != 0)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=3), st.integers(1, 20), st.integers(0, 5))
def test_bilingual_batches_are_full_and_of_one_language(sizes: list[int], batch_size: int, seed: int) -> None:
    batches = drawn(sizes, batch_size, seed)
    for language, size in enumerate(sizes):
        own = [batch for batch in batches if batch[0][0] == language]
        assert all(name[0] == language for batch in own for name in batch)
        # In proportion to size; a language without a full batch keeps the one that it has.
        assert len(own) == max(1, size // batch_size)
        assert {len(batch) for batch in own} == {min(batch_size, size)}
        assert len({name for batch in own for name in batch}) == len(own) * min(batch_size, size)
    assert len(batches) == sum(max(1, size // batch_size) for size in sizes)


def test_epochs_differ_in_batches_and_order_and_repeat_with_the_seed() -> None:
    generator = torch.Generator().manual_seed(0)
    two = [[names(b) for b in epoch_batches(splits([40, 40]), 10, generator)] for _ in range(2)]
    assert {frozenset(batch) for batch in two[0]} != {frozenset(batch) for batch in two[1]}
    assert drawn([40, 40], 10, 0) == two[0]
    orders = {tuple(batch[0][0] for batch in drawn([40, 40], 10, seed)) for seed in range(8)}
    assert len(orders) > 4, "the languages take turns at random"


@given(st.integers(1, 500), st.integers(1, 12))
def test_validations_are_spread_and_the_last_step_is_one(steps: int, times: int) -> None:
    chosen = sorted(validation_steps(steps, times))
    assert chosen[-1] == steps
    assert chosen[0] >= 1
    assert len(chosen) == min(steps, times)
    gaps = [after - before for before, after in zip([0, *chosen], chosen, strict=False)]
    assert max(gaps) - min(gaps) <= 1


def test_validation_steps_of_the_paper() -> None:
    assert validation_steps(12272, 4) == {3068, 6136, 9204, 12272}


# A plain loop.


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


# What is kept.


def scripted(
    monkeypatch: pytest.MonkeyPatch, scores: Mapping[str, Sequence[float]]
) -> Callable[[], list[Tensor]]:
    """Let dev sets give these accuracies, validation by validation; returns the weights scored."""
    seen: dict[str, list[Tensor]] = {language: [] for language in scores}

    class Script:
        def __init__(self, language: str) -> None:
            self.language = language
            self.split = EncodedSplit([], 0)
            self.scores: Iterator[float] = iter(scores[language])

        def score(self, model: EndpointModel) -> Evaluation:
            seen[self.language].append(nn.utils.parameters_to_vector(model.parameters()).detach().clone())
            right = round(10000 * next(self.scores))
            return Evaluation({"accuracy": Counts(right, 10000, 10000)}, 1.0, 1)

    monkeypatch.setattr(finetune_module, "load_dev_set", lambda _, language, *__: Script(language))
    return lambda: next(iter(seen.values()))


def kept(context: JobContext, job: FinetuneJob) -> Tensor:
    found = weights(context, job)
    model = build_model(job, open_encoder(job.encoder, context), "cpu")
    return torch.cat([found[name].flatten() for name, _ in model.named_parameters()])


@pytest.mark.parametrize(
    ("scores", "recipe", "validations", "best"),
    [
        # Gains below min_gain are kept as the best model, but do not renew patience.
        ([0.1, 0.3, 0.3005, 0.3002, 0.9, 0.9], {"patience": 2}, 4, 2),
        # Small gains that add up to min_gain since the last gain renew it.
        ([0.1, 0.3, 0.3005, 0.3012, 0.1, 0.1], {"patience": 2}, 6, 3),
        ([0.5, 0.4, 0.4, 0.9, 0.1, 0.1], {"patience": 3}, 6, 3),
        ([0.5, 0.4, 0.4, 0.9, 0.1, 0.1], {"patience": 2}, 3, 0),
        # Of equal scores, the first.
        ([0.2, 0.6, 0.6, 0.1, 0.6, 0.6], {"patience": 10}, 6, 1),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], {"patience": 10}, 6, 0),
        # A plateau is no gain, however small a gain may be.
        ([0.2, 0.2, 0.2, 0.2, 0.2, 0.2], {"patience": 2, "min_gain": 0.0}, 3, 0),
        ([0.2, 0.2, 0.2001, 0.2, 0.2, 0.2], {"patience": 2, "min_gain": 0.0}, 5, 2),
        # The dev sets decide nothing.
        ([0.5, 0.4, 0.4, 0.9, 0.1, 0.1], {"keep": "last", "patience": 1}, 6, 5),
    ],
)
def test_which_model_is_kept_and_when_patience_ends(
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scores: list[float],
    recipe: dict[str, Any],
    validations: int,
    best: int,
) -> None:
    job = with_recipe(tiny.endpoint(), epochs=3, validations_per_epoch=2, **recipe)
    context = into(tiny, tmp_path)
    models = scripted(monkeypatch, {"qaa": scores})
    begin, *progress = run_job(job, context)
    done = context.store.read_json(f"endpoints/{job.id}/DONE.json")
    assert begin.done == 0
    assert len(progress) == len(models()) == validations
    assert [told.scores["accuracy/qaa"] for told in progress if told.scores] == scores[:validations]
    assert all(told.scores and told.scores["validation_seconds"] > 0 for told in progress)
    assert all(told.scores and told.scores["train_loss"] > 0 for told in progress)
    assert torch.equal(kept(context, job), models()[best])
    assert done["score"] == pytest.approx(scores[best])
    assert done["counts"] == {"qaa": {"accuracy": [round(10000 * scores[best]), 10000, 10000]}}
    assert done["best_step"] == progress[best].done
    assert done["steps"] == progress[-1].done


def test_a_bilingual_model_is_chosen_by_the_mean(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = with_recipe(tiny.endpoint("pos", "qaa", "qab"), epochs=1, validations_per_epoch=4)
    context = into(tiny, tmp_path)
    models = scripted(monkeypatch, {"qaa": [0.9, 0.5, 0.6, 0.2], "qab": [0.1, 0.6, 0.55, 0.8]})
    run_job(job, context)
    assert torch.equal(kept(context, job), models()[2])
    done = context.store.read_json(f"endpoints/{job.id}/DONE.json")
    assert done["score"] == pytest.approx(0.575)
    assert done["counts"]["qab"] == {"accuracy": [5500, 10000, 10000]}


def test_history_and_done_agree(tiny: Tiny) -> None:
    for job in jobs(tiny):
        rows, done, primary = history(tiny, job), tiny.done(job), get_task(job.task).primary
        by_step: dict[int, dict[str, float]] = {}
        for row in rows:
            assert row["value"] == 2 * row["correct"] / (row["predicted"] + row["gold"])
            if row["metric"] == primary:
                by_step.setdefault(row["step"], {})[row["language"]] = row["value"]
        means = {step: sum(values.values()) / len(values) for step, values in by_step.items()}
        assert all(tuple(sorted(values)) == job.languages for values in by_step.values())
        assert done["score"] == max(means.values())
        assert done["best_step"] == max(means, key=lambda step: (means[step], -step))
        chosen = [row for row in rows if row["selected"]]
        assert {row["step"] for row in chosen} == {done["best_step"]}
        counts: dict[str, dict[str, list[int]]] = {}
        for row in chosen:
            counts.setdefault(row["language"], {})[row["metric"]] = [
                row["correct"],
                row["predicted"],
                row["gold"],
            ]
        assert counts == done["counts"]
        assert set(counts[job.languages[0]]) == set(get_task(job.task).metrics)


def test_history_says_when_and_at_what_loss(tiny: Tiny) -> None:
    rows = [row for row in history(tiny, tiny.endpoint()) if row["metric"] == "accuracy"]
    assert [row["epoch"] for row in rows] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert rows[-1]["step"] == tiny.done(tiny.endpoint())["steps"] == 3 * 4
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] - 0.3
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["value"] > rows[0]["value"] + 0.1, "it learns"


def test_the_stored_weights_score_what_done_says(tiny: Tiny) -> None:
    for job in jobs(tiny):
        encoder = open_encoder(job.encoder, tiny.context)
        model = build_model(job, encoder, "cpu")
        model.load_state_dict(weights(tiny.context, job))
        for language in job.languages:
            evaluation = load_dev_set(job, language, encoder, tiny.context).score(model)
            expected = tiny.done(job)["counts"][language]
            assert {metric: list(counts) for metric, counts in evaluation.counts.items()} == expected


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_models_trained_in_mixed_precision_are_validated_as_surfaces_score_them(
    tiny: Tiny, tmp_path: Path, task: str
) -> None:
    # In one process after a job in full precision, as Tune reuses processes.
    context = into(tiny, tmp_path)
    full, mixed = tiny.endpoint(task), with_recipe(tiny.endpoint(task), mixed_precision="bf16")
    for job in (full, mixed, full):
        run_job(job, context)
    for job in (full, mixed):
        encoder = open_encoder(job.encoder, context)
        model = build_model(job, encoder, "cpu")
        model.load_state_dict(weights(context, job))
        dev_set = load_dev_set(job, "qaa", encoder, context)
        evaluation = dev_set.score(model)
        done = context.store.read_json(f"endpoints/{job.id}/DONE.json")
        assert {m: list(counts) for m, counts in evaluation.counts.items()} == done["counts"]["qaa"]
        rows = pq.read_table(tmp_path / "endpoints" / job.id / "history.parquet").to_pylist()
        assert evaluation.loss in [row["loss"] for row in rows if row["selected"]]
    differ = [weights(context, job)["encoder.embeddings.word_embeddings.weight"] for job in (full, mixed)]
    assert not torch.equal(*differ)


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


# Records and refusals.


def test_the_job_is_stored_with_the_endpoint(tiny: Tiny) -> None:
    for job in jobs(tiny):
        stored = load_job((tiny.root / "endpoints" / job.id / "spec.json").read_text(encoding="utf-8"))
        assert stored == job
        assert stored.id == job.id


def test_done_has_what_others_need(tiny: Tiny) -> None:
    done = tiny.done(tiny.endpoint())
    parameters = sum(tensor.numel() for tensor in weights(tiny.context, tiny.endpoint()).values())
    assert done["parameters"] == parameters
    assert done["provenance"]["device"] == "cpu"
    assert done["seconds"] > 0
    assert set(done["files"]) == {"model.safetensors", "spec.json", "history.parquet"}


def test_data_changed_since_the_plan_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    context = into(tiny, tmp_path)
    toy = tiny.sweep.data.toy.model_copy(update={"seed": 1})
    elsewhere = JobContext(context.store, DataSpec(toy=toy))
    with pytest.raises(CorpusError, match=r"(?s)changed.*toy qaa train.*start the sweep again"):
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
