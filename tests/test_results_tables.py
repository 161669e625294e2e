"""The way from scores and geometry to rows, and back."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_scores import all_scores, make_cell, score

from xltray.errors import XltrayError
from xltray.grid import BILINGUAL
from xltray.jobs import SurfaceJob
from xltray.results import Geometry, Score, geometry_table, missing_points, scores_of, surface_table
from xltray.schemas import GEOMETRY_SCHEMA, SURFACE_SCHEMA


def rows(job: SurfaceJob, *scores: Score) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = surface_table(job, scores, {}).to_pylist()
    return found


class TestScore:
    def test_value_is_derived_from_the_counts(self) -> None:
        assert score(correct=3, predicted=5, gold=7).value == 0.5
        assert score(correct=3, predicted=4, gold=4).value == 0.75

    def test_no_decisions_at_all_score_zero(self) -> None:
        assert score(correct=0, predicted=0, gold=0).value == 0.0


class TestSurfaceTable:
    def test_the_bilingual_point_is_on_both_lines_with_alpha_one(self) -> None:
        job = make_cell()
        (row,) = rows(job, score(point=job.grid.index(BILINGUAL)))
        assert (row["a_src"], row["a_tgt"], row["alpha"]) == (0.0, 0.0, 1.0)
        assert row["on_src_line"]
        assert row["on_tgt_line"]
        assert row["on_plane"]

    def test_every_point_carries_its_coordinates_and_flags(self) -> None:
        job = make_cell()
        for row in rows(job, *(score(point=point) for point in range(len(job.grid)))):
            point = job.grid.points[row["point"]]
            assert (row["a_src"], row["a_tgt"]) == (float(point.a_src), float(point.a_tgt))
            on_src, on_tgt = row["a_tgt"] == 0, row["a_src"] == 0
            assert (row["on_src_line"], row["on_tgt_line"]) == (on_src, on_tgt)
            # 1 - 1/4 is a coordinate of the lines only.
            assert row["on_plane"] == (0.75 not in (row["a_src"], row["a_tgt"]))
            off_lines = None if not on_tgt else 1 - row["a_tgt"]
            assert row["alpha"] == (1 - row["a_src"] if on_src else off_lines)

    def test_roles_split_value_and_cell(self) -> None:
        job = make_cell()
        found = rows(job, score(language="fr"), score(language="de"), score(language="en"))
        assert [(row["eval_language"], row["eval_role"]) for row in found] == [
            ("en", "source"),
            ("de", "target"),
            ("fr", "other"),
        ]
        assert {row["split"] for row in found} == {"dev"}
        assert {row["value"] for row in found} == {0.5}
        assert {(row["cell"], row["source"], row["target"], row["seed"]) for row in found} == {
            (job.id, "en", "de", 7)
        }

    def test_order_does_not_depend_on_arrival(self) -> None:
        job = make_cell(scopes=("head", "all"))
        scores = [
            score(scope, point, language, metric)
            for scope in ("head", "all")
            for point in (2, 10)
            for language in ("en", "de", "ar", "fr")
            for metric in ("las", "uas")
        ]
        assert scores_of(surface_table(job, reversed(scores), {})) == scores

    @pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf, None])
    def test_a_loss_that_is_no_number_is_null(self, loss: float | None) -> None:
        assert rows(make_cell(), score(loss=loss))[0]["loss"] is None

    def test_a_score_given_twice_is_refused(self) -> None:
        with pytest.raises(XltrayError, match="two scores where one was expected"):
            surface_table(make_cell(), [score(), score(correct=1)], {})

    @pytest.mark.parametrize("wrong", [score(point=-1), score(point=13), score(scope="encoder")])
    def test_a_score_of_no_point_or_scope_of_the_cell_is_refused(self, wrong: Score) -> None:
        job = make_cell()
        assert len(job.grid) == 11
        with pytest.raises(XltrayError, match="a point from 0 to 10"):
            surface_table(job, [wrong], {})

    def test_the_metadata_tells_where_the_numbers_come_from(self) -> None:
        job = make_cell()
        metadata = surface_table(job, [score()], {"torch": "9.9"}).schema.metadata
        assert metadata[b"xltray.torch"] == b"9.9"
        assert metadata[b"xltray.schema_version"] == b"1"
        assert metadata[b"xltray.dtype"] == b"float32"
        assert metadata[b"xltray.data.de.dev"] == b"de-dev"
        assert metadata[b"xltray.encoder"] == job.encoder.content.encode()
        for corner, endpoint in job.endpoints.items():
            assert metadata[f"xltray.endpoint.{corner}".encode()] == endpoint.id.encode()

    @settings(max_examples=25, deadline=None)
    @given(data=st.data())
    def test_scores_survive_parquet(self, data: st.DataObject) -> None:
        job = make_cell()
        count = st.integers(0, 2**40)
        keys = st.tuples(
            st.sampled_from(job.scopes),
            st.integers(0, len(job.grid) - 1),
            st.sampled_from(["en", "de", "fr"]),
            st.sampled_from(["las", "uas"]),
        )
        scores = [
            Score(
                *key,
                correct=data.draw(count),
                predicted=data.draw(count),
                gold=data.draw(count),
                loss=data.draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
                examples=data.draw(st.integers(0, 2**31 - 1)),
            )
            for key in data.draw(st.sets(keys, max_size=20))
        ]
        sink = pa.BufferOutputStream()
        pq.write_table(surface_table(job, scores, {}), sink)
        table = pq.read_table(pa.BufferReader(sink.getvalue()))
        assert table.schema.equals(SURFACE_SCHEMA, check_metadata=False)
        assert sorted(scores_of(table), key=repr) == sorted(scores, key=repr)
        assert table["value"].to_pylist() == [found.value for found in scores_of(table)]


class TestMissingPoints:
    def test_a_point_needs_both_languages_in_each_scope(self) -> None:
        job = make_cell()
        scores = all_scores(job)
        assert missing_points(job, scores) == []
        assert missing_points(job, []) == [(scope, point) for scope in ("all", "head") for point in range(11)]
        lost = [found for found in scores if found[:3] not in {("all", 4, "de"), ("head", 2, "en")}]
        assert missing_points(job, [*lost, score("all", 4, "fr")]) == [("all", 4), ("head", 2)]


class TestGeometry:
    def test_ratio_and_angle(self) -> None:
        job = make_cell()
        table = geometry_table(
            job, [Geometry("all", 10, 3.0, 2.0, 55.0), Geometry("layer.0", 4, 1.0, 0.0, None)], {}
        )
        first, second = table.to_pylist()
        assert table.schema.equals(GEOMETRY_SCHEMA, check_metadata=False)
        assert (first["cell"], first["part"], first["parameters"]) == (job.id, "all", 10)
        assert (first["norm_src"], first["norm_tgt"], first["norm_ratio"], first["angle"]) == (
            3.0,
            2.0,
            1.5,
            55.0,
        )
        assert (second["part"], second["norm_ratio"], second["angle"]) == ("layer.0", None, None)
        assert table.schema.metadata[b"xltray.cell"] == job.id.encode()

    def test_what_is_no_number_is_null(self) -> None:
        row = Geometry("all", 1, math.inf, math.inf, math.nan)
        found = geometry_table(make_cell(), [row], {}).to_pylist()[0]
        assert (found["norm_ratio"], found["angle"]) == (None, None)
