"""Checkpoints of other weights, another job, another device: which a fine-tuning goes on from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_finetune import with_recipe
from made_resume import VALIDATIONS, begin, checkpoints, content, context_for, done_of
from tiny import Tiny, run_job

from xltray.context import JobContext
from xltray.jobs import FinetuneJob
from xltray.resume import Origin, checksum


def last_marker(job: FinetuneJob, context: JobContext, *, validations: int) -> tuple[str, Any]:
    """Fine-tune until so many validations are done; return its checkpoint's marker, path and content."""
    begin(job, context, validations)
    [last] = checkpoints(context, job)
    marker = f"checkpoints/{job.id}/{last}/DONE.json"
    return marker, context.store.read_json(marker)


def test_one_from_other_weights_is_not_gone_on_from(tiny: Tiny, tmp_path: Path) -> None:
    job, context = tiny.endpoint(), context_for(tiny, tmp_path)
    marker, done = last_marker(job, context, validations=2)
    done["state"]["initial"] = "0" * 64
    context.store.write_json(marker, done | {"sum": checksum(done)})
    assert len(run_job(job, context)) == 1 + VALIDATIONS
    assert content(context, job) == content(context, job, tiny.root)


def test_one_of_another_job_is_not_gone_on_from(
    tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = context_for(tiny, tmp_path)
    other, job = with_recipe(tiny.endpoint(), learning_rate=1e-3), tiny.endpoint()
    begin(other, context, 2)
    (tmp_path / "checkpoints" / other.id).rename(tmp_path / "checkpoints" / job.id)
    assert len(run_job(job, context)) == 1 + VALIDATIONS
    assert content(context, job) == content(context, job, tiny.root)
    assert f"found one of job {other.id}, expected one of {job.id}" in caplog.text


def test_one_from_another_device_says_so_and_scores_its_best_again(tiny: Tiny, tmp_path: Path) -> None:
    job, context = tiny.endpoint(), context_for(tiny, tmp_path)
    marker, done = last_marker(job, context, validations=4)
    done["origin"]["device"] = "cuda: another"
    best = done["state"]["validations"]
    # A count that only the other device finds.
    best["best_counts"]["qaa"]["accuracy"][0] += 1000
    context.store.write_json(marker, done | {"sum": checksum(done)})
    run_job(job, context)
    found, undisturbed = done_of(context, job), tiny.done(job)
    [resumed] = found["resumed"]
    assert (resumed["exact"], resumed["from"]["device"]) == (False, "cuda: another")
    assert found["counts"] == undisturbed["counts"]
    # Here the other device is a pretence, so even the bits are the same.
    assert content(context, job) == content(context, job, tiny.root)


def test_where_equal_bits_can_be_expected() -> None:
    here = Origin("cpu", 1, "AVX2", {"torch": "2.13"})
    assert here.repeats(Origin("cpu", 1, "AVX2", {"torch": "2.13"}))
    for other in (
        Origin("cuda: A", 1, "AVX2", {"torch": "2.13"}),
        Origin("cpu", 2, "AVX2", {"torch": "2.13"}),
        Origin("cpu", 1, "AVX512", {"torch": "2.13"}),
        Origin("cpu", 1, "AVX2", {"torch": "2.14"}),
    ):
        assert not here.repeats(other)
    gpu = replace(here, device="cuda: A")
    assert not gpu.repeats(gpu), "sums on a GPU have no fixed order"
