"""A pretraining that was cut short goes on from its last checkpoint and ends as if nothing had happened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from made_resume import cut, flip
from tiny import PRETRAIN, Tiny, make_tiny, run_job

from xltray.context import JobContext
from xltray.nn.masked_training import Batches
from xltray.nn.masked_words import Passage
from xltray.nn.packing import Tokens
from xltray.pretrain import pretrain
from xltray.resume import checksum
from xltray.spec import PretrainSpec

STEPS = 14
# Two steps about texts alone, then passes of five batches each: cut anywhere, also amid a pass. With dropout,
# so that random numbers count; and with a loss that not all steps have.
SPEC = PRETRAIN | {
    "languages": ["qaa"],
    "vocabulary": 80,
    "steps": STEPS,
    "batch_size": 50,
    "next_sentence": 0.3,
    "dropout": 0.1,
    "max_length": 48,
}
FILES = ("model.safetensors", "tokenizer.json", "config.json")


def started(root: Path, **changes: Any) -> tuple[Tiny, JobContext]:
    """A sweep with one encoder, whose pretraining is saved at each step."""
    tiny = make_tiny(root, encoders={"small": {"pretrain": SPEC | changes}})
    return tiny, replace(tiny.context, checkpoint_seconds=0.0)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    tiny, _ = started(tmp_path_factory.mktemp("undisturbed"))
    run_job(tiny.encoder(), tiny.context)
    return tiny


def begin(tiny: Tiny, context: JobContext, steps: int) -> None:
    """Train so many steps, and then no more: what a killed process leaves."""
    progress = pretrain(tiny.encoder(), context)
    for _ in range(1 + steps):
        next(progress)
    progress.close()


def checkpoints(tiny: Tiny) -> list[str]:
    return tiny.store.names(tiny.store.checkpoints_path(tiny.encoder().id))


def content(tiny: Tiny) -> dict[str, bytes]:
    folder = tiny.root / tiny.store.encoder_path(tiny.encoder().id)
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("steps", [1, 3, 6, STEPS - 1])
def test_it_ends_with_the_bits_of_an_undisturbed_one(undisturbed: Tiny, tmp_path: Path, steps: int) -> None:
    tiny, context = started(tmp_path)
    begin(tiny, context, steps)
    [name] = checkpoints(tiny)
    assert int(name.split("-")[0]) == steps
    torch.manual_seed(999)  # another process has other random numbers
    progress = run_job(tiny.encoder(), context)
    assert progress[0][:3] == (steps, STEPS, "steps")
    assert content(tiny) == content(undisturbed)
    done, expected = tiny.done(tiny.encoder()), undisturbed.done(undisturbed.encoder())
    [resumed] = done.pop("resumed")
    assert (resumed["step"], resumed["exact"], resumed["from"]["device"]) == (steps, True, "cpu")
    for record in (done, expected):
        record.pop("seconds")
    assert done == expected, "the losses too"
    assert done["loss_following"] is not None
    assert not tiny.store.exists("checkpoints/" + tiny.encoder().id)


def test_however_often(undisturbed: Tiny, tmp_path: Path) -> None:
    tiny, context = started(tmp_path)
    for _ in range(4):
        begin(tiny, context, 3)
    run_job(tiny.encoder(), context)
    assert content(tiny) == content(undisturbed)
    resumed = tiny.done(tiny.encoder())["resumed"]
    assert [each["step"] for each in resumed] == [3, 6, 9, 12]


def test_one_without_questions_goes_on_amid_a_pass(tmp_path: Path) -> None:
    whole, context = started(tmp_path / "whole", next_sentence=0.0)
    run_job(whole.encoder(), whole.context)
    tiny, context = started(tmp_path / "cut", next_sentence=0.0)
    begin(tiny, context, 6)
    run_job(tiny.encoder(), context)
    assert content(tiny) == content(whole)


def test_a_short_one_writes_none(tmp_path: Path) -> None:
    tiny, context = started(tmp_path)
    progress = pretrain(tiny.encoder(), replace(context, checkpoint_seconds=60.0))
    assert next(progress).done == 0
    assert next(progress, None) is None, "too few steps to tell of, and none saved"
    assert "resumed" not in tiny.done(tiny.encoder())


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("name", ["weights.safetensors", "DONE.json"])
def test_a_damaged_checkpoint_is_passed_over(
    undisturbed: Tiny, tmp_path: Path, damage: Any, name: str
) -> None:
    tiny, context = started(tmp_path)
    begin(tiny, context, 2)
    [last] = checkpoints(tiny)
    damage(tmp_path / "checkpoints" / tiny.encoder().id / last / name)
    assert run_job(tiny.encoder(), context)[0].done == 0
    assert content(tiny) == content(undisturbed)


def test_one_of_another_recipe_is_not_gone_on_from(
    undisturbed: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other, context = started(tmp_path, learning_rate=1e-4)
    begin(other, context, 2)
    tiny, context = started(tmp_path)
    folder = tmp_path / "checkpoints"
    (folder / other.encoder().id).rename(folder / tiny.encoder().id)
    assert run_job(tiny.encoder(), context)[0].done == 0
    assert content(tiny) == content(undisturbed)
    assert f"found one of job {other.encoder().id}, expected one of {tiny.encoder().id}" in caplog.text


def test_one_from_other_weights_is_not_gone_on_from(undisturbed: Tiny, tmp_path: Path) -> None:
    tiny, context = started(tmp_path)
    begin(tiny, context, 2)
    [last] = checkpoints(tiny)
    marker = f"checkpoints/{tiny.encoder().id}/{last}/DONE.json"
    done = tiny.store.read_json(marker)
    done["state"]["initial"] = "0" * 64
    tiny.store.write_json(marker, done | {"sum": checksum(done)})
    assert run_job(tiny.encoder(), context)[0].done == 0
    assert content(tiny) == content(undisturbed)


def test_killed_while_it_writes_one_it_has_the_one_before(
    undisturbed: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny, context = started(tmp_path)
    begin(tiny, context, 1)

    def die(path: str, value: Any) -> None:
        raise KeyboardInterrupt

    steps = pretrain(tiny.encoder(), context)
    next(steps)
    with monkeypatch.context() as patch:
        patch.setattr(context.store, "write_json", die)
        with pytest.raises(KeyboardInterrupt):
            next(steps)
    assert len(checkpoints(tiny)) == 2
    assert run_job(tiny.encoder(), context)[0].done == 1
    assert content(tiny) == content(undisturbed)


def test_nothing_is_pickled(tmp_path: Path) -> None:
    tiny, context = started(tmp_path)
    begin(tiny, context, 2)
    files = [path.name for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()]
    assert sorted(files) == ["DONE.json", "history.parquet", "weights.safetensors"]


@pytest.mark.parametrize(("questions", "steps"), [(0, 12), (4, 40), (4, 8), (4, 3)])
def test_batches_go_on_from_any_place(questions: int, steps: int) -> None:
    passages = [Passage(Tokens([2, *range(5, 6 + i), 3], [0] * (i + 3))) for i in range(5)]
    passages += [Passage(Tokens([2, 9, 3], [0] * 3), follows=i % 2 == 0) for i in range(questions)]
    spec = PretrainSpec(languages=("qaa",), steps=steps, batch_size=2)

    def fresh() -> tuple[Batches, torch.Generator]:
        generator = torch.Generator().manual_seed(1)
        return Batches(passages, spec, generator), generator

    batches, generator = fresh()
    states, taken = [], []
    for _ in range(steps):
        states.append((batches.place, batches.order, generator.get_state()))
        taken.append(list(batches.take()))
    for number, (place, order, state) in enumerate(states):
        again, generator = fresh()
        again.place, again.order = place, list(order)
        generator.set_state(state)
        assert [list(again.take()) for _ in range(steps - number)] == taken[number:]
