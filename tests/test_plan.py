"""From a sweep to jobs: how many, which are shared, what their names depend on, which are needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from xltray.jobs import PRETRAINING_VERSION, FinetuneJob, Job, PretrainJob, SurfaceJob, load_job, parse_job
from xltray.plan import TYPICAL_PARAMETERS, Checkpoint, DataId, Plan, make_plan
from xltray.spec import EncoderSpec, SweepSpec
from xltray.spec_types import Role
from xltray.sweepfile import load_sweep

SWEEPS = Path(__file__).parent.parent / "sweeps"


class FakeInputs:
    """Content named after what was asked for; ``changed`` files have other content."""

    def __init__(self, changed: Mapping[str, str] | None = None) -> None:
        self.changed = changed or {}

    def corpus(self, task: str) -> str:
        return {"xnli": "xnli", "ner": "wikiann"}.get(task, "ud")

    def data(self, corpus: str, language: str, role: Role) -> DataId:
        key = f"{corpus}/{language}/{role}"
        return DataId(self.changed.get(key, key), 1000 if role == "train" else 100)

    def text(self, path: str) -> DataId:
        return DataId(self.changed.get(path, path), 10)

    def checkpoint(self, name: str, encoder: EncoderSpec) -> Checkpoint:
        revision = self.changed.get(encoder.revision, encoder.revision)
        return Checkpoint(f"{encoder.checkpoint}@{revision}", str(encoder.checkpoint), revision)


OWN = {"pretrain": {"languages": ["de", "en"], "text": ["more.txt"], "steps": 10}}
SMALL: dict[str, Any] = {
    "name": "small",
    "tasks": ["pos"],
    "pairs": {"en": ["de"]},
    "seeds": [0],
    "encoders": {"own": OWN},
}


def plan_of(inputs: FakeInputs | None = None, **changes: Any) -> Plan:
    return make_plan(SweepSpec.model_validate(SMALL | changes), inputs or FakeInputs())


def ids(plan: Plan, kind: str) -> set[str]:
    return {job.id for job in plan.of_kind(kind)}


@pytest.fixture(scope="module")
def full() -> Plan:
    return make_plan(load_sweep(SWEEPS / "full.yaml"), FakeInputs())


@pytest.mark.parametrize(
    ("name", "pretrain", "finetune", "surface", "points"),
    [
        ("full", 0, 576, 360, 465),
        *((task, 0, 144, 90, 465) for task in ("xnli", "ner", "pos", "parsing")),
        ("scopes", 0, 576, 360, 66),
        ("modern", 0, 1152, 720, 465),
        ("ud-small", 2, 56, 24, 169),
        ("quickstart", 1, 60, 24, 41),
        ("toy", 3, 288, 144, 441),
    ],
)
def test_the_plan_of_each_sweep(name: str, pretrain: int, finetune: int, surface: int, points: int) -> None:
    plan = make_plan(load_sweep(SWEEPS / f"{name}.yaml"), FakeInputs())
    counts = [len(ids(plan, kind)) for kind in ("pretrain", "finetune", "surface")]
    assert counts == [pretrain, finetune, surface]
    assert len(plan.jobs) == sum(counts)
    assert plan.points == points
    scopes = 3 if name == "scopes" else 1
    assert plan.evaluations == 2 * surface * points * scopes


def test_every_sweep_file_has_a_plan_and_says_what_runs_it() -> None:
    for path in sorted(SWEEPS.glob("*.yaml")):
        make_plan(load_sweep(path), FakeInputs())
        opening = path.read_text(encoding="utf-8").split("\n\n")[0]
        assert f"python -m xltray.sweep sweeps/{path.name}" in opening, path.name


def test_sweeps_of_one_task_and_of_scopes_share_the_papers_endpoints(full: Plan) -> None:
    for name in ("xnli", "ner", "pos", "parsing", "scopes"):
        plan = make_plan(load_sweep(SWEEPS / f"{name}.yaml"), FakeInputs())
        assert ids(plan, "finetune") <= ids(full, "finetune")


def test_the_papers_sweep_is_167400_models_on_two_dev_sets(full: Plan) -> None:
    assert full.evaluations == 334_800 == 2 * 167_400


def test_prerequisites_come_first_and_are_in_the_plan(full: Plan) -> None:
    for plan in (full, plan_of()):
        seen: set[str] = set()
        for id_, job in plan.jobs.items():
            assert job.id == id_
            assert set(job.needs) <= seen
            seen.add(id_)


def test_endpoints_are_shared_between_cells() -> None:
    plan = plan_of(pairs={"en": ["ar", "de"], "ar": ["en", "de"]})
    languages = sorted(job.languages for job in plan.of_kind("finetune") if isinstance(job, FinetuneJob))
    assert languages == [("ar",), ("ar", "de"), ("ar", "en"), ("de",), ("de", "en"), ("en",)]
    cells = {(job.source, job.target): job for job in plan.of_kind("surface") if isinstance(job, SurfaceJob)}
    there, back = cells["en", "ar"], cells["ar", "en"]
    assert there.bilingual_endpoint == back.bilingual_endpoint
    assert (
        there.source_endpoint
        == back.target_endpoint
        == cells["ar", "de"].source_endpoint.model_copy(
            update={"languages": ("en",), "data": there.source_endpoint.data}
        )
    )
    assert there.id != back.id
    assert cells["ar", "de"].source_endpoint == there.target_endpoint


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": [0, 1]},
        {"pairs": {"en": ["de", "vi"]}},
        {"pairs": {"en": ["de"], "de": ["en"]}},
        {"tasks": ["pos", "parsing"]},
        {"encoders": {"own": OWN, "mbert": {"checkpoint": "x"}}},
        {"runtime": {"threads": 4}, "storage": "elsewhere", "data": {"root": "elsewhere"}},
        {"data": {"sources": {"ud": {"tag": "r2.14"}, "wikiann": {"revision": "main"}}}},
        {"parser": {"arc_dim": 8}},
        {"finetune_task": {"ner": {"epochs": 1}}},
    ],
)
def test_what_does_not_concern_a_job_leaves_its_id(changes: dict[str, Any]) -> None:
    assert set(plan_of().jobs) <= set(plan_of(**changes).jobs)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"finetune": {"epochs": 4}}, {"pretrain"}),
        ({"finetune_task": {"pos": {"epochs": 4}}}, {"pretrain"}),
        ({"data": {"max_train": 5}}, {"pretrain"}),
        ({"data": {"max_dev": 5}}, {"pretrain"}),
        ({"grid": {"plane": [0, 1]}}, {"pretrain", "finetune"}),
        ({"grid": {"lines": None}}, {"pretrain", "finetune"}),
        ({"scopes": ["all", "head"]}, {"pretrain", "finetune"}),
        ({"encoders": {"own": {"pretrain": OWN["pretrain"] | {"steps": 0}}}}, set()),
        ({"inputs": FakeInputs({"ud/de/dev": "other"})}, {"pretrain"}),
        ({"inputs": FakeInputs({"ud/de/train": "other"})}, set()),
        ({"inputs": FakeInputs({"more.txt": "other"})}, set()),
    ],
)
def test_what_changes_the_numbers_changes_the_id(changes: dict[str, Any], same: set[str]) -> None:
    before, after = plan_of(), plan_of(**changes)
    for kind in ("pretrain", "finetune", "surface"):
        assert (ids(before, kind) == ids(after, kind)) is (kind in same), kind


def test_a_changed_dev_set_leaves_endpoints_of_other_languages() -> None:
    before, after = plan_of(), plan_of(FakeInputs({"ud/de/dev": "other"}))
    kept = ids(before, "finetune") & ids(after, "finetune")
    assert [id_.split("-")[1] for id_ in kept] == ["en"]


def test_a_pinned_revision_names_the_weights() -> None:
    one = plan_of(encoders={"m": {"checkpoint": "x", "revision": "a"}})
    other = plan_of(encoders={"m": {"checkpoint": "x", "revision": "b"}})
    assert not set(one.jobs) & set(other.jobs)


def test_only_parsing_carries_the_parsers_sizes() -> None:
    for job in plan_of(tasks=["pos", "parsing"]).of_kind("finetune"):
        assert isinstance(job, FinetuneJob)
        assert (job.parser is None) is (job.task == "pos")


def test_pinned_ids() -> None:
    # Results are stored under these names: a change here orphans everybody's results.
    plan = plan_of(tasks=["parsing"], parser={"arc_dim": 64}, finetune={"epochs": 2})
    assert list(plan.jobs) == [
        "own-609ac223",
        "parsing-en-s0-own-83b60fcd",
        "parsing-de-s0-own-b8f0de67",
        "parsing-de+en-s0-own-f615c5fa",
        "parsing-en-de-s0-own-5e7ebee3",
    ]


def test_the_version_of_pretraining_is_in_the_ids_of_our_own_encoders_alone() -> None:
    encoders = {"own": {"pretrain": {"languages": ["en"]}}, "hub": {"checkpoint": "x", "revision": "a"}}
    now = plan_of(encoders=encoders)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xltray.plan.PRETRAINING_VERSION", PRETRAINING_VERSION + 1)
        later = plan_of(encoders=encoders)
    kept = [now.jobs[id_] for id_ in now.jobs if id_ in later.jobs]
    assert [job.kind for job in kept] == ["finetune"] * 3 + ["surface"]
    assert all("-hub-" in job.id for job in kept)
    assert len(later.jobs) == len(now.jobs) == 9


def test_a_job_of_a_plan_without_version_keeps_its_id() -> None:
    job = next(plan_of().of_kind("pretrain"))
    content = job.model_dump(mode="json")
    del content["version"]
    old = parse_job(content)
    assert isinstance(old, PretrainJob)
    assert old.version == 1
    assert old.id != job.id


def test_pinned_ids_of_published_encoders(full: Plan) -> None:
    named = list(full.jobs)
    assert named[:2] == ["xnli-en-s0-mbert-f4784ed0", "xnli-ar-s0-mbert-ebc99ad1"]
    assert named[-1] == "parsing-ar-zh-s2-xlmr-large-13e4f9b9"


def test_a_branch_that_moved_gives_other_ids() -> None:
    encoders = {"hub": {"checkpoint": "org/model"}}
    before, after = (plan_of(FakeInputs({"main": commit}), encoders=encoders) for commit in ("a1", "b2"))
    assert not set(before.jobs) & set(after.jobs)
    for plan, commit in ((before, "a1"), (after, "b2")):
        refs = [job.encoder for job in plan.jobs.values() if not isinstance(job, PretrainJob)]
        assert {(ref.checkpoint, ref.revision, ref.content) for ref in refs} == {
            ("org/model", commit, f"org/model@{commit}")
        }


def test_order_of_writing_does_not_change_the_jobs() -> None:
    one = plan_of(pairs={"en": ["de", "vi"]}, seeds=[0, 1], grid={"plane": [0, 0.5, 1]})
    other = plan_of(pairs={"en": ["vi", "de"]}, seeds=[1, 0], grid={"plane": [1, 0, 0.5, 0.5]})
    assert set(one.jobs) == set(other.jobs)


def test_jobs_survive_json_with_their_ids(full: Plan) -> None:
    own = plan_of(tasks=["pos", "parsing"], grid={"plane": [0.1, 0.3], "lines": {"step": 0.7}})
    for job in [*own.jobs.values(), next(full.of_kind("surface"))]:
        again = load_job(job.model_dump_json())
        assert type(again) is type(job)
        assert again == job
        assert again.id == job.id
        assert parse_job(job.model_dump(mode="json")) == job


def test_a_jobs_grid_is_the_sweeps() -> None:
    plan = plan_of(grid={"plane": [0.1, 0.3], "lines": None})
    (surface,) = plan.of_kind("surface")
    assert isinstance(surface, SurfaceJob)
    again = load_job(surface.model_dump_json())
    assert isinstance(again, SurfaceJob)
    assert again.grid.points == plan.sweep.grid.grid().points
    assert again.plane == (Fraction(1, 10), Fraction(3, 10))


def test_costs_order_jobs_of_a_kind(full: Plan) -> None:
    for job in full.of_kind("finetune"):
        assert isinstance(job, FinetuneJob)
        # 5 epochs of 1000 bytes forward and backward, 20 validations on 100 bytes, a language.
        passes = len(job.languages) * (3 * 5 * 1000 + 20 * 100)
        size = full.sweep.encoders[job.encoder.name].known_parameters
        assert size is not None
        assert job.cost == pytest.approx(passes * size / TYPICAL_PARAMETERS)
    unknown = {"x": {"checkpoint": "a/b"}}
    grid = {"plane": [0, 1], "lines": None}
    (surface,) = plan_of(grid=grid, scopes=["all", "head"], encoders=unknown).of_kind("surface")
    assert surface.cost == 200 * 4 * 2


@pytest.mark.parametrize("step", [0.1, 0.06666666666666667, 0.3333333333333333])
def test_any_grid_survives_the_way_to_a_worker(step: float) -> None:
    plan = plan_of(grid={"plane": None, "lines": {"start": 0, "stop": 1, "step": step}})
    for job in plan.jobs.values():
        assert load_job(job.model_dump_json()).id == job.id
        assert parse_job(json.loads(job.model_dump_json())).id == job.id


class TestNeeded:
    """``needed``: surfaces are the product, and nothing is made that no missing surface reads."""

    plan = plan_of(pairs={"en": ["de", "vi"]})

    def needed(self, done: set[str]) -> set[str]:
        found = self.plan.needed(done)
        assert list(found) == [id_ for id_ in self.plan.jobs if id_ in found]
        return set(found)

    def surface(self, target: str) -> Job:
        surfaces = [job for job in self.plan.of_kind("surface") if isinstance(job, SurfaceJob)]
        return next(job for job in surfaces if job.target == target)

    def test_all_at_first_and_nothing_at_the_end(self) -> None:
        assert self.needed(set()) == set(self.plan.jobs)
        assert self.needed(set(self.plan.jobs)) == set()

    def test_one_missing_surface_is_all_that_runs(self) -> None:
        missing = self.surface("vi").id
        assert self.needed(set(self.plan.jobs) - {missing}) == {missing}

    def test_endpoints_of_finished_surfaces_are_not_made_again(self) -> None:
        assert self.needed(ids(self.plan, "surface")) == set()

    def test_a_missing_surface_brings_back_its_missing_endpoints(self) -> None:
        surface = self.surface("vi")
        gone = {surface.id, *surface.needs}
        assert self.needed(set(self.plan.jobs) - gone) == gone

    def test_a_missing_encoder_is_made_only_for_surfaces_that_are_missing(self) -> None:
        (encoder,) = ids(self.plan, "pretrain")
        surface = self.surface("vi")
        everything = set(self.plan.jobs)
        assert self.needed(everything - {encoder}) == set()
        # The surface itself reads the encoder: its tokenizer, and the structure of the model.
        assert self.needed(everything - {encoder, surface.id}) == {encoder, surface.id}
        endpoint = surface.needs[1]
        assert self.needed(everything - {encoder, surface.id, endpoint}) == {encoder, surface.id, endpoint}


def test_our_own_encoder_is_a_job_that_endpoints_need() -> None:
    plan = plan_of()
    (encoder,) = plan.of_kind("pretrain")
    assert isinstance(encoder, PretrainJob)
    assert encoder.text == {"de": "ud/de/train", "en": "ud/en/train", "more.txt": "more.txt"}
    assert all(job.needs == (encoder.id,) for job in plan.of_kind("finetune"))
