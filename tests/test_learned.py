"""Endpoints that did not learn: found, recorded, told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tiny import Tiny, make_tiny

from xltray.endpoints import load_dev_set, load_split, open_encoder
from xltray.jobs import FinetuneJob, SurfaceJob
from xltray.learned import describe, find_unlearned, judge, not_learned, write_unlearned
from xltray.tasks.base import Counts
from xltray.tasks.registry import get_task


def mark(tiny: Tiny, job: FinetuneJob, learned: bool | None) -> None:
    """Change an endpoint's verdict; None is an older version's silence."""
    done = tiny.done(job)
    for key in ("learned", "baselines", "unscorable"):
        done.pop(key)
    if learned is not None:
        said = {"metric": "accuracy", "score": 0.2, "value": 0.19, "learned": learned}
        done |= {"learned": learned, "baselines": dict.fromkeys(job.languages, said)}
    tiny.store.write_json(f"endpoints/{job.id}/DONE.json", done)


# The rule.


@pytest.mark.parametrize(
    ("score", "baseline", "decisions", "learned"),
    [
        # XNLI: 2490 pairs, a third of each label; three standard errors are 2.8 points.
        (1 / 3, 1 / 3, 2490, False),
        (0.36, 1 / 3, 2490, False),
        (0.363, 1 / 3, 2490, True),
        (0.2, 1 / 3, 2490, False),
        # Many words: one point.
        (0.2099, 0.2, 10**6, False),
        (0.2101, 0.2, 10**6, True),
        # Nothing right at all, and nothing to be right about.
        (0.0, 0.0, 100, False),
        (0.011, 0.0, 100, True),
        (0.0, 0.0, 0, False),
    ],
)
def test_the_rule(score: float, baseline: float, decisions: int, learned: bool) -> None:
    assert judge(score, baseline, decisions).learned is learned


# The record.


def test_an_endpoints_record_says_whether_it_learned(tiny: Tiny) -> None:
    verdicts = set()
    for job in tiny.plan.jobs.values():
        if not isinstance(job, FinetuneJob):
            continue
        done, task = tiny.done(job), get_task(job.task)
        assert set(done["baselines"]) == set(done["unscorable"]) == set(job.languages)
        for language, said in done["baselines"].items():
            dev = load_dev_set(job, language, open_encoder(job.encoder, tiny.context), tiny.context)
            baseline = task.baseline(dev.split)
            score = Counts(*done["counts"][language][task.primary]).value
            assert said["counts"] == list(baseline)
            assert said["metric"] == task.primary
            assert (said["score"], said["value"]) == (score, baseline.value)
            assert said["learned"] is (score > baseline.value + said["margin"])
            assert done["unscorable"][language] == dev.split.unscorable
            train = load_split(job, language, "train", open_encoder(job.encoder, tiny.context), tiny.context)
            assert done["examples"][language] == {"train": train.examples, "dev": dev.split.examples}
            assert train.examples != dev.split.examples
        assert done["learned"] is all(said["learned"] for said in done["baselines"].values())
        verdicts.add((job.task, done["learned"]))
    # Tagging is learned in twelve steps; a parser needs more, and no tree of it beats a chain.
    assert verdicts == {("pos", True), ("parsing", False)}


def test_a_learning_rate_too_small_to_learn_is_seen(tmp_path: Path) -> None:
    made = make_tiny(
        tmp_path / "store", tasks=["pos"], pairs={"qaa": ["qab"]}, finetune={"learning_rate": 1e-9}
    )
    made.run(job for job in made.plan.jobs.values() if not isinstance(job, SurfaceJob))
    for job in made.plan.jobs.values():
        if isinstance(job, FinetuneJob):
            assert made.done(job)["learned"] is False
    assert not_learned(made.cell(), made.store) == "source,target,bilingual"


# A cell.


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((True, True, True), ""),
        ((False, True, True), "source"),
        ((False, True, False), "source,bilingual"),
        ((True, None, True), None),
        ((None, None, None), None),
        # What is known to be so stands, whatever is unknown beside it.
        ((None, False, True), "target"),
    ],
)
def test_a_cells_corners(
    tiny: Tiny, tmp_path: Path, verdicts: tuple[bool | None, ...], expected: str | None
) -> None:
    own = tiny.copied(tmp_path / "store")
    cell = own.cell()
    for corner, learned in zip(("source", "target", "bilingual"), verdicts, strict=True):
        mark(own, cell.endpoints[corner], learned)
    assert not_learned(cell, own.store) == expected
    own.store.delete(own.store.surface_path(cell))
    own.store.delete(own.store.geometry_path(cell))
    own.run([cell])
    rows = own.store.read_table(own.store.geometry_path(cell)).to_pylist()
    assert {row["not_learned"] for row in rows} == {expected}
    metadata = pq.read_schema(own.root / own.store.surface_path(cell)).metadata
    assert metadata.get(b"xltray.not_learned") == (None if expected is None else expected.encode())


# A sweep.


def test_a_sweeps_endpoints(tiny: Tiny) -> None:
    found = find_unlearned(tiny.plan, tiny.store)
    expected = [
        job for job in tiny.plan.jobs.values() if isinstance(job, FinetuneJob) and job.task == "parsing"
    ]
    assert list(found) == [job.id for job in expected]
    for job in expected:
        entry = found[job.id]
        assert (entry["task"], entry["languages"]) == ("parsing", list(job.languages))
        assert (entry["seed"], entry["encoder"]) == (0, "small")
        assert entry["baselines"] == tiny.done(job)["baselines"]
    source = found[tiny.endpoint("parsing").id]
    assert source["cells"] == [tiny.cell("parsing", target).id for target in ("qab", "qad")]


def test_a_line_names_the_languages_that_were_not_learned() -> None:
    def said(score: float, learned: bool) -> dict[str, Any]:
        return {"metric": "accuracy", "score": score, "value": 1 / 3, "learned": learned}

    found = {"xnli-ar+en-s0": {"baselines": {"ar": said(0.3341, False), "en": said(0.7, True)}}}
    assert describe(found) == [
        "did not learn  xnli-ar+en-s0: accuracy 0.334 on ar (a constant answer: 0.333)"
    ]


def test_endpoints_deleted_after_their_surfaces_stay_known(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    before = find_unlearned(own.plan, own.store)
    write_unlearned(own.plan, own.store, before)
    source, target = own.endpoint("parsing"), own.endpoint("parsing", "qab")
    for job in (source, target, own.endpoint()):
        own.store.delete(f"endpoints/{job.id}")
    assert find_unlearned(own.plan, own.store) == before
    # One that will be made again is not known yet.
    own.store.delete(own.store.surface_path(own.cell("parsing", "qab")))
    assert set(before) - set(find_unlearned(own.plan, own.store)) == {source.id, target.id}


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"unlearned": 1}'])
def test_a_broken_list_is_made_anew(tiny: Tiny, tmp_path: Path, content: bytes) -> None:
    own = tiny.copied(tmp_path / "store")
    own.store.write_bytes("sweeps/tiny/unlearned.json", content)
    assert len(find_unlearned(own.plan, own.store)) == 5


@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b"[]", b'{"learned": false}', b'{"learned": false, "baselines": 1}']
)
def test_a_damaged_endpoint_is_named_and_left_out(tiny: Tiny, tmp_path: Path, content: bytes) -> None:
    own = tiny.copied(tmp_path / "store")
    before = find_unlearned(own.plan, own.store)
    damaged, *others = before
    own.store.write_bytes(f"endpoints/{damaged}/DONE.json", content)
    said: list[str] = []
    assert list(find_unlearned(own.plan, own.store, said.append)) == others
    (line,) = said
    assert line.startswith(f"endpoints/{damaged}/DONE.json in the store {own.store.uri} has changed since")
    assert f"Delete endpoints/{damaged} from the store" in line


@pytest.mark.parametrize(
    "entry",
    [
        3,
        None,
        {},
        {"baselines": 3},
        {"baselines": {"qaa": 3}},
        {"baselines": {"qaa": {"learned": False}}},
        {"baselines": {"qaa": {"learned": False, "metric": "las", "score": "low", "value": 0.1}}},
    ],
)
def test_broken_entries_of_deleted_endpoints_are_left_out(tiny: Tiny, tmp_path: Path, entry: object) -> None:
    own = tiny.copied(tmp_path / "store")
    first, *others = find_unlearned(own.plan, own.store).items()
    for id_ in (first[0], others[0][0]):
        own.store.delete(f"endpoints/{id_}")
    own.store.write_json("sweeps/tiny/unlearned.json", {"unlearned": {first[0]: entry, **dict(others)}})
    found = find_unlearned(own.plan, own.store)
    assert list(found.items()) == others
    assert len(describe(found)) == 4


def test_what_is_unknown_is_not_claimed(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    for job in own.plan.jobs.values():
        if isinstance(job, FinetuneJob):
            mark(own, job, None)
    assert find_unlearned(own.plan, own.store) == {}
