"""A cell's surface: against a plain loop, at its corners, and after being killed at any moment."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tiny import POINTS, Tiny, run_job
from transformers import AutoModel, AutoTokenizer

from xltray import geometry as geometry_module
from xltray.corpora.base import Sentence
from xltray.corpora.registry import open_corpus
from xltray.corpora.ud import DEPRELS, UPOS
from xltray.errors import CornerMismatchError, DamagedError, EndpointError
from xltray.evaluator import CellEvaluator, Chunk, LocalPool
from xltray.grid import CORNERS
from xltray.jobs import SurfaceJob
from xltray.nn.biaffine import BiaffineParser
from xltray.nn.trees import decode
from xltray.precision import Scoring
from xltray.results import Geometry, Score, scores_of
from xltray.schemas import SURFACE_SCHEMA
from xltray.store import Store
from xltray.surface import PointPool, chunks, score_surface

SCOPES = ("all", "encoder", "head")
METRICS = {"pos": {"accuracy"}, "parsing": {"las", "uas", "las_paper"}}
Arrays = dict[str, Any]


def surface(tiny: Tiny, job: SurfaceJob) -> pa.Table:
    return tiny.store.read_table(tiny.store.surface_path(job))


def rows(tiny: Tiny, job: SurfaceJob) -> pd.DataFrame:
    return surface(tiny, job).to_pandas()


def endpoints(tiny: Tiny, job: SurfaceJob) -> dict[str, Arrays]:
    return {
        corner: load_file(tiny.root / "endpoints" / endpoint.id / "model.safetensors")
        for corner, endpoint in job.endpoints.items()
    }


# A plain loop: numpy blends, transformers encodes, one sentence at a time.


def blend(weights: dict[str, Arrays], a_src: float, a_tgt: float, scope: str) -> dict[str, torch.Tensor]:
    """Eq. 3 as the paper writes it, in float64, one tensor after another."""
    blended = {}
    for name, bilingual in weights["bilingual"].items():
        moves = scope == "all" or name.startswith(f"{scope}.")
        origin = bilingual.astype(np.float64)
        delta_src, delta_tgt = weights["source"][name] - origin, weights["target"][name] - origin
        value = origin + (a_src * delta_src + a_tgt * delta_tgt if moves else 0)
        blended[name] = torch.from_numpy(np.asarray(value, dtype=np.float32))
    return blended


def part(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


class PlainModel:
    def __init__(self, tiny: Tiny, job: SurfaceJob) -> None:
        folder = tiny.root / "encoders" / tiny.encoder().id
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.encoder = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
        self.task, self.job = job.task, job
        self.head: Any = torch.nn.Linear(16, len(UPOS))
        if job.task == "parsing":
            self.head = BiaffineParser(16, len(DEPRELS), tiny.sweep.parser).eval()

    def load(self, weights: dict[str, torch.Tensor]) -> None:
        self.encoder.load_state_dict(part(weights, "encoder."))
        self.head.load_state_dict(part(weights, "head."))

    @torch.no_grad()
    def words(self, words: Sequence[str]) -> torch.Tensor:
        encoded = self.tokenizer(list(words), is_split_into_words=True, return_tensors="pt")
        hidden = self.encoder(**encoded).last_hidden_state[0]
        ids = encoded.word_ids()
        return hidden[[ids.index(number) for number in range(len(words))]]

    @torch.no_grad()
    def pairs(self, hidden: torch.Tensor, real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probability of every (child, head) with its best label, and that label by (head, child - 1)."""
        head, scores = self.head, self.head(hidden[None], real)
        heads, children = scores.label_heads_SN1E[0], scores.label_children_SNE[0]
        logits = torch.einsum("he,led,cd->hcl", heads, head.label_weight_LEE, children)
        logits += (heads @ head.label_head_bias_LE.T)[:, None] + children @ head.label_child_bias_LE.T
        best, labels = (logits + head.label_bias_L).log_softmax(-1).max(-1)
        energies = torch.nn.functional.pad(scores.arcs_SNN1[0] + best.T, (0, 0, 1, 0))[None]
        return energies, labels

    @torch.no_grad()
    def correct(self, sentence: Sentence) -> dict[str, tuple[int, int]]:
        """Right and counted words of one sentence, by metric."""
        hidden = self.words(sentence.words)
        if self.task == "pos":
            tags = [UPOS[i] for i in self.head(hidden).argmax(1).tolist()]
            right = sum(tag == gold for tag, gold in zip(tags, sentence.upos, strict=True))
            return {"accuracy": (right, len(tags))}
        real = torch.ones(1, len(sentence.words), dtype=torch.bool)
        energies, labels = self.pairs(hidden, real)
        (tree,) = decode(energies.numpy(), np.array([len(sentence.words)]))
        found = {"las": 0, "uas": 0, "las_paper": 0}
        scored = [i for i, tag in enumerate(sentence.upos, 1) if tag not in ("PUNCT", "SYM")]
        for child in scored:
            head, gold = int(tree[child]), sentence.heads[child - 1]
            label = DEPRELS[int(labels[head, child - 1])]
            both = head == gold and label == sentence.deprels[child - 1]
            found["uas"] += head == gold
            found["las"] += both
            found["las_paper"] += both and gold != 0
        return {metric: (number, len(scored)) for metric, number in found.items()}


def plain_counts(
    model: PlainModel, sentences: Sequence[Sentence], weights: dict[str, torch.Tensor]
) -> dict[str, list[int]]:
    model.load(weights)
    totals = {metric: [0, 0] for metric in METRICS[model.task]}
    for sentence in sentences:
        for metric, (right, counted) in model.correct(sentence).items():
            totals[metric][0] += right
            totals[metric][1] += counted
    return {metric: [right, counted, counted] for metric, (right, counted) in totals.items()}


@pytest.mark.parametrize("target", ["qab", "qad"])
@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_a_whole_cell_is_a_plain_loops(tiny: Tiny, task: str, target: str) -> None:
    job = tiny.cell(task, target)
    model, weights = PlainModel(tiny, job), endpoints(tiny, job)
    corpus = open_corpus("toy", tiny.context.data)
    dev = {language: corpus.sentences(language, "dev") for language in ("qaa", target)}
    found = {
        (row.scope, row.point, row.eval_language, row.metric): [row.correct, row.predicted, row.gold]
        for row in rows(tiny, job).itertuples()
    }
    # Scopes share their middle; all points of one scope, a few of the others.
    for scope, points in {"all": range(POINTS), "encoder": [0, 3, 6, POINTS - 1], "head": [1, 6]}.items():
        for point in points:
            place = job.grid.points[point]
            blended = blend(weights, float(place.a_src), float(place.a_tgt), scope)
            for language, sentences in dev.items():
                for metric, counts in plain_counts(model, sentences, blended).items():
                    assert found[scope, point, language, metric] == counts, (scope, place, language, metric)


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_the_points_of_a_cell_differ(tiny: Tiny, task: str) -> None:
    # Else the comparison above would say little.
    values = rows(tiny, tiny.cell(task)).query("metric in ['accuracy', 'uas']")
    distinct = values.groupby(["scope", "eval_language"])["correct"].nunique()
    assert (distinct > 4).all()


# Corners.


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_corners_have_the_counts_of_their_endpoints(tiny: Tiny, task: str) -> None:
    job = tiny.cell(task)
    table = rows(tiny, job).query("scope == 'all'")
    compared = 0
    for corner, place in CORNERS.items():
        counts = tiny.done(job.endpoints[corner])["counts"]
        for language, metrics in counts.items():
            for metric, expected in metrics.items():
                (row,) = table[
                    (table.point == job.grid.index(place))
                    & (table.eval_language == language)
                    & (table.metric == metric)
                ].itertuples()
                assert [row.correct, row.predicted, row.gold] == expected
                assert (row.a_src, row.a_tgt) == (float(place.a_src), float(place.a_tgt))
                compared += 1
    assert compared == 4 * len(METRICS[task])


def test_scopes_agree_at_the_bilingual_corner_only(tiny: Tiny) -> None:
    job = tiny.cell()
    table = rows(tiny, job)
    at_bilingual = table[table.point == job.grid.index(CORNERS["bilingual"])]
    assert set(at_bilingual.groupby("eval_language")["correct"].nunique()) == {1}
    at_source = table[table.point == job.grid.index(CORNERS["source"])]
    assert max(at_source.groupby("eval_language")["correct"].nunique()) > 1


def change_done(tiny: Tiny, endpoint: Any, **changes: Any) -> None:
    path = f"endpoints/{endpoint.id}/DONE.json"
    tiny.store.write_json(path, tiny.store.read_json(path) | changes)


def publish_again(tiny: Tiny, endpoint: Any, **changes: Any) -> None:
    """Let an endpoint's record agree with its files, which a test has changed."""
    path = f"endpoints/{endpoint.id}"
    done = {key: value for key, value in tiny.done(endpoint).items() if key != "files"}
    tiny.store.publish_directory(tiny.root / path, path, done | changes)


def forget(tiny: Tiny, job: SurfaceJob) -> None:
    tiny.store.delete(tiny.store.surface_path(job))
    tiny.store.delete(tiny.store.geometry_path(job))


@pytest.mark.parametrize("corner", ["bilingual", "source", "target"])
def test_a_corner_that_differs_from_its_endpoint_is_refused(tiny: Tiny, tmp_path: Path, corner: str) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    forget(own, job)
    counts = own.done(job.endpoints[corner])["counts"]
    language = max(counts)
    counts[language]["accuracy"][0] += 1
    change_done(own, job.endpoints[corner], counts=counts)
    endpoint = re.escape(job.endpoints[corner].id)
    expected = rf"(?s)cell {job.id}: at the {corner} corner, accuracy on {language}.*{endpoint}"
    with pytest.raises(CornerMismatchError, match=expected):
        run_job(job, own.context)
    assert not own.store.exists(own.store.surface_path(job))
    assert not own.store.names(own.store.parts_path(job))


def test_endpoints_of_different_beginnings_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    forget(own, job)
    change_done(own, job.target_endpoint, initial_weights="0123456789abcdef")
    with pytest.raises(EndpointError, match=rf"(?s){job.id}.*different weights.*0123456789ab"):
        run_job(job, own.context)
    with pytest.raises(EndpointError, match="different weights"):
        CellEvaluator(own.context).load(job)
    assert not own.store.exists(own.store.surface_path(job))
    assert not own.store.exists(own.store.geometry_path(job))


def test_an_endpoint_that_changed_on_disk_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    forget(own, job)
    path = own.root / "endpoints" / job.source_endpoint.id / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=rf"{job.source_endpoint.id}/model.safetensors .*has changed"):
        run_job(job, own.context)
    assert not own.store.exists(own.store.surface_path(job))
    assert not own.store.exists(own.store.geometry_path(job))


def test_weights_that_are_not_finite_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    path = own.root / "endpoints" / job.source_endpoint.id / "model.safetensors"
    weights = load_file(path)
    weights["head.bias"][0] = np.nan
    save_file(weights, path)
    publish_again(own, job.source_endpoint)
    forget(own, job)
    with pytest.raises(EndpointError, match="not finite"):
        run_job(job, own.context)


# Rows.


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_there_is_one_row_for_every_scope_point_language_and_metric(tiny: Tiny, task: str) -> None:
    job = tiny.cell(task, "qad")
    table = surface(tiny, job)
    assert table.schema.equals(SURFACE_SCHEMA)
    assert len(job.grid) == POINTS
    found = list(
        zip(*(table[name].to_pylist() for name in ("scope", "point", "eval_language", "metric")), strict=True)
    )
    assert len(found) == len(set(found))
    assert set(found) == {
        (scope, point, language, metric)
        for scope in SCOPES
        for point in range(POINTS)
        for language in ("qaa", "qad")
        for metric in METRICS[task]
    }
    assert set(table["examples"].to_pylist()) == {30}
    assert set(table["gold"].to_pylist()) >= {
        tiny.done(job.source_endpoint)["counts"]["qaa"][min(METRICS[task])][2]
    }


def test_any_point_can_be_scored(tiny: Tiny) -> None:
    job = tiny.cell()
    evaluator = CellEvaluator(tiny.context)
    evaluator.load(job)
    point = job.grid.points[7]
    scores = evaluator.score_point(point)
    assert {score.point for score in scores} == {-1}
    stored = rows(tiny, job).query("scope == 'all' and point == 7")
    assert [score.correct for score in scores] == stored["correct"].tolist()


def test_one_evaluator_serves_cells_of_several_tasks(tiny: Tiny) -> None:
    evaluator = CellEvaluator(tiny.context)
    for task, target in [("pos", "qab"), ("parsing", "qab"), ("pos", "qad"), ("parsing", "qad")]:
        job = tiny.cell(task, target)
        evaluator.load(job)
        stored = rows(tiny, job).query("scope == 'head' and point == 4")
        found = {(s.language, s.metric): s.correct for s in evaluator.score(Chunk("head", (4,)))}
        expected = stored.set_index(["eval_language", "metric"])["correct"].to_dict()
        assert found == expected


def test_chunks_hold_each_missing_point_once(tiny: Tiny) -> None:
    job = tiny.cell()
    missing = [(scope, point) for scope in SCOPES for point in range(POINTS) if (scope, point) != ("all", 1)]
    cut = chunks(job, missing, 3)
    assert sorted((c.scope, point) for c in cut for point in c.points) == sorted(missing)
    for scope in SCOPES:
        own = [c for c in cut if c.scope == scope]
        assert [len(c.points) for c in own[:-1]] == [3] * (len(own) - 1)


# Interrupted runs.


class CountingPool:
    """Scores in this process, notes what, and fails before a chunk when told to."""

    def __init__(self, pool: PointPool, fail_at: int | None = None) -> None:
        self.pool = pool
        self.fail_at = fail_at
        self.scored: list[tuple[str, int]] = []

    def load(self, job: SurfaceJob) -> Scoring:
        return self.pool.load(job)

    def geometry(self) -> list[Geometry]:
        return self.pool.geometry()

    def score(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, list[Score]]]:
        for number, (chunk, scores) in enumerate(self.pool.score(chunks)):
            if number == self.fail_at:
                raise RuntimeError("killed")
            self.scored += [(chunk.scope, point) for point in chunk.points]
            yield chunk, scores


EVERY = sorted((scope, point) for scope in SCOPES for point in range(POINTS))
CHUNKS = 9  # three for each scope: the corners, then four points and four


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_a_run_killed_after_any_chunk_gives_the_same_rows(tiny: Tiny, tmp_path: Path, task: str) -> None:
    own = tiny.copied(tmp_path / "store")
    job, pool = own.cell(task), LocalPool(own.context)
    for after in range(CHUNKS + 1):
        forget(own, job)
        killed = CountingPool(pool)
        run = score_surface(job, own.context, killed, points_per_chunk=4)
        done = [next(run) for _ in range(after)]
        assert [progress.done for progress in done] == sorted({p.done for p in done})
        run.close()
        assert not own.store.exists(own.store.surface_path(job))
        resumed = CountingPool(pool)
        progress = run_job(job, own.context, resumed)
        assert sorted(killed.scored + resumed.scored) == EVERY, "no point is scored twice"
        assert len(killed.scored) == (done[-1].done if done else 0)
        assert not progress or progress[-1][:3] == (len(EVERY), len(EVERY), "points")
        assert surface(own, job).equals(surface(tiny, job))
        assert not own.store.exists(own.store.parts_path(job))


def test_a_run_that_fails_again_and_again_still_ends(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    job, local = own.cell(), LocalPool(own.context)
    forget(own, job)
    scored: list[tuple[str, int]] = []
    for size in [1, 2, 3, 5, 7]:
        pool = CountingPool(local, fail_at=2)
        with pytest.raises(RuntimeError, match="killed"):
            list(score_surface(job, own.context, pool, points_per_chunk=size))
        scored += pool.scored
    pool = CountingPool(local)
    run_job(job, own.context, pool)
    assert sorted(scored + pool.scored) == EVERY
    assert surface(own, job).equals(surface(tiny, job))


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_damaged_parts_are_deleted_and_scored_again(
    tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    own = tiny.copied(tmp_path / "store")
    job, local = own.cell(), LocalPool(own.context)
    forget(own, job)
    with pytest.raises(RuntimeError, match="killed"):
        list(score_surface(job, own.context, CountingPool(local, fail_at=4), points_per_chunk=4))
    folder = own.store.parts_path(job)
    names = own.store.names(folder)
    path = f"{folder}/{names[1]}"
    data = bytearray(own.store.read_bytes(path))
    hit = scores_of(own.store.read_table(path))
    # In the pages: without checksums that may give other rows.
    data[60] ^= 4
    own.store.write_bytes(path, {"cut": bytes(data[:100]), "flip": bytes(data), "empty": b""}[damage])
    kept = sum(int(name.removesuffix(".parquet").rpartition("-")[2]) for name in names if name != names[1])
    pool = CountingPool(local)
    run = score_surface(job, own.context, pool, points_per_chunk=4)
    assert next(run).done == kept
    assert names[1] not in own.store.names(folder)
    list(run)
    assert f"a part of {job.id} is deleted, and its points are scored again: cannot read" in caplog.text
    assert path in caplog.text
    assert {(score.scope, score.point) for score in hit} <= set(pool.scored)
    assert len(pool.scored) == len(EVERY) - kept
    assert surface(own, job).equals(surface(tiny, job))


@pytest.mark.parametrize("which", ["surface", "geometry"])
def test_damaged_results_are_made_anew(tiny: Tiny, tmp_path: Path, which: str) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    path = own.store.surface_path(job) if which == "surface" else own.store.geometry_path(job)
    own.store.write_bytes(path, own.store.read_bytes(path)[:100])
    pool = CountingPool(LocalPool(own.context))
    run_job(job, own.context, pool)
    assert sorted(pool.scored) == (EVERY if which == "surface" else [])
    assert own.store.is_done(job)
    assert surface(own, job).equals(surface(tiny, job))
    assert geometry(own, job) == geometry(tiny, job)


def test_killed_between_the_table_and_the_removal_of_its_parts(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    forget(own, job)
    with monkeypatch.context() as patch:

        def killed(*_: object) -> None:
            raise RuntimeError("killed")

        patch.setattr(Store, "delete", killed)
        with pytest.raises(RuntimeError, match="killed"):
            run_job(job, own.context)
    assert own.store.names(own.store.parts_path(job))
    pool = CountingPool(LocalPool(own.context))
    assert run_job(job, own.context, pool) == []
    assert pool.scored == []
    assert surface(own, job).equals(surface(tiny, job))
    # Readers of the folder never see the parts.
    assert len(pd.read_parquet(own.root / "surfaces")) == len(pd.read_parquet(tiny.root / "surfaces"))


def test_parts_of_endpoints_that_were_made_again_are_not_used(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    forget(own, job)
    run = score_surface(job, own.context, LocalPool(own.context), points_per_chunk=4)
    for _ in range(5):
        next(run)
    run.close()
    # As if on another device: the same job, other numbers.
    other = tiny.copied(tmp_path / "other")
    learner = other.cell().source_endpoint
    for root in (own, other):
        path = root.root / "endpoints" / learner.id
        weights = load_file(path / "model.safetensors")
        weights["head.weight"] = weights["head.weight"][::-1].copy()
        save_file(weights, path / "model.safetensors")
        done = {key: value for key, value in root.done(learner).items() if key != "files"}
        # Without counts to compare with, any weights are taken.
        publish_again(root, learner, counts={})
        evaluator = CellEvaluator(root.context)
        evaluator.load(job)
        (qaa,) = (s for s in evaluator.score_point(CORNERS["source"]) if s.language == "qaa")
        done["counts"] = {"qaa": {"accuracy": [qaa.correct, qaa.predicted, qaa.gold]}}
        root.store.publish_directory(path, f"endpoints/{learner.id}", done)
    forget(other, job)
    run_job(job, other.context)
    run_job(job, own.context)
    assert surface(own, job).equals(surface(other, job))
    assert not surface(own, job).equals(surface(tiny, job))
    for tiny_ in (own, other):
        assert geometry(tiny_, job)["all"]["norm_src"] != geometry(tiny, job)["all"]["norm_src"]
    assert not own.store.exists(own.store.parts_path(job))


# Geometry.


def geometry(tiny: Tiny, job: SurfaceJob) -> dict[str, dict[str, Any]]:
    table = tiny.store.read_table(tiny.store.geometry_path(job))
    return {row["part"]: row for row in table.to_pylist()}


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_norms_and_angles_are_numpys(tiny: Tiny, task: str) -> None:
    job = tiny.cell(task)
    weights, found = endpoints(tiny, job), geometry(tiny, job)
    prefixes = {
        "all": "",
        "encoder": "encoder.",
        "head": "head.",
        "embeddings": "encoder.embeddings.",
        "layer.0": "encoder.encoder.layer.0.",
    }
    assert set(found) == set(prefixes)
    for name, prefix in prefixes.items():
        chosen = [key for key in weights["bilingual"] if key.startswith(prefix)]

        def delta(corner: str, chosen: list[str] = chosen) -> Any:
            pieces = [
                (weights[corner][key].astype(np.float64) - weights["bilingual"][key]).ravel()
                for key in chosen
            ]
            return np.concatenate(pieces)

        source, target = delta("source"), delta("target")
        row = found[name]
        assert row["parameters"] == source.size
        assert row["norm_src"] == pytest.approx(np.linalg.norm(source), rel=1e-9)
        assert row["norm_tgt"] == pytest.approx(np.linalg.norm(target), rel=1e-9)
        assert row["norm_ratio"] == pytest.approx(np.linalg.norm(source) / np.linalg.norm(target), rel=1e-9)
        cosine = source @ target / np.linalg.norm(source) / np.linalg.norm(target)
        assert row["angle"] == pytest.approx(math.degrees(math.acos(cosine)), rel=1e-6)
        assert 5 < row["angle"] < 120


def test_blocks_do_not_change_the_geometry(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = CellEvaluator(tiny.context)
    evaluator.load(tiny.cell())
    whole = evaluator.geometry()
    monkeypatch.setattr(geometry_module, "_BLOCK", 7)
    for one, other in zip(whole, evaluator.geometry(), strict=True):
        assert (one.part, one.parameters) == (other.part, other.parameters)
        assert other[2:] == pytest.approx(one[2:], rel=1e-12)


@pytest.mark.parametrize("task", ["pos", "parsing"])
def test_groups_of_parameters_add_up(tiny: Tiny, task: str) -> None:
    found = geometry(tiny, tiny.cell(task))
    for whole, parts in {"all": ["encoder", "head"], "encoder": ["embeddings", "layer.0"]}.items():
        assert found[whole]["parameters"] == sum(found[name]["parameters"] for name in parts)
        for norm in ("norm_src", "norm_tgt"):
            squares = sum(found[name][norm] ** 2 for name in parts)
            assert found[whole][norm] ** 2 == pytest.approx(squares, rel=1e-9)


def test_geometry_alone_is_written_again_without_scoring(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    own.store.delete(own.store.geometry_path(job))
    pool = CountingPool(LocalPool(own.context))
    assert run_job(job, own.context, pool) == []
    assert pool.scored == []
    assert geometry(own, job) == geometry(tiny, job)
    assert own.store.is_done(job)


def test_the_surface_alone_is_scored_again(tiny: Tiny, tmp_path: Path) -> None:
    own = tiny.copied(tmp_path / "store")
    job = own.cell()
    own.store.delete(own.store.surface_path(job))
    pool = CountingPool(LocalPool(own.context))
    run_job(job, own.context, pool)
    assert sorted(pool.scored) == EVERY
    assert surface(own, job).equals(surface(tiny, job))


def test_files_say_what_they_were_made_of(tiny: Tiny) -> None:
    job = tiny.cell()
    for path in (tiny.store.surface_path(job), tiny.store.geometry_path(job)):
        facts = tiny.store.read_table(path).schema.metadata
        assert facts[b"xltray.endpoint.source"].decode() == job.source_endpoint.id
        assert facts[b"xltray.device"] == b"cpu"
        assert facts[b"xltray.torch"].decode() == torch.__version__
