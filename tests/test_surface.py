"""A cell's surface: against a plain loop, at its corners, and row by row."""

from __future__ import annotations

import re
from collections.abc import Sequence
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

from xltray.corpora.base import Sentence
from xltray.corpora.registry import open_corpus
from xltray.corpora.ud import DEPRELS, UPOS
from xltray.errors import CornerMismatchError, DamagedError, EndpointError
from xltray.evaluator import CellEvaluator, Chunk
from xltray.grid import CORNERS
from xltray.jobs import SurfaceJob
from xltray.nn.biaffine import BiaffineParser
from xltray.nn.trees import decode
from xltray.schemas import SURFACE_SCHEMA
from xltray.surface import chunks

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


def test_files_say_what_they_were_made_of(tiny: Tiny) -> None:
    job = tiny.cell()
    for path in (tiny.store.surface_path(job), tiny.store.geometry_path(job)):
        facts = tiny.store.read_table(path).schema.metadata
        assert facts[b"xltray.endpoint.source"].decode() == job.source_endpoint.id
        assert facts[b"xltray.device"] == b"cpu"
        assert facts[b"xltray.torch"].decode() == torch.__version__
