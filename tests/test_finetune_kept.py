"""What a fine-tuning keeps: which model, and the history, counts and record that agree with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from made_finetune import into, jobs, kept, scripted, weights, with_recipe
from tiny import Tiny, run_job

from xltray.endpoints import build_model, load_dev_set, open_encoder
from xltray.jobs import FinetuneJob, load_job
from xltray.schemas import HISTORY_SCHEMA
from xltray.tasks.registry import get_task


def history(tiny: Tiny, job: FinetuneJob) -> list[dict[str, Any]]:
    table = pq.read_table(tiny.root / "endpoints" / job.id / "history.parquet")
    assert table.schema.equals(HISTORY_SCHEMA)
    return table.to_pylist()


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
