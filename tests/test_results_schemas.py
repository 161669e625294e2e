"""Schemas of what is stored, and what pandas users then read."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
from made_scores import all_scores, make_cell, score

from xltray.results import provenance, surface_table
from xltray.schemas import GEOMETRY_SCHEMA, HISTORY_SCHEMA, METADATA, SURFACE_SCHEMA, data_dictionary
from xltray.spec_types import GridSpec
from xltray.store import Store

STRING, BOOLEAN, FLOAT = "str", "bool", "float64"
CONTRACT = {
    "cell": STRING,
    "source": STRING,
    "target": STRING,
    "seed": "int64",
    "scope": STRING,
    "point": "int32",
    "a_src": FLOAT,
    "a_tgt": FLOAT,
    "on_src_line": BOOLEAN,
    "on_tgt_line": BOOLEAN,
    "on_plane": BOOLEAN,
    "alpha": FLOAT,
    "eval_language": STRING,
    "eval_role": STRING,
    "split": STRING,
    "metric": STRING,
    "value": FLOAT,
    "correct": "int64",
    "predicted": "int64",
    "gold": "int64",
    "loss": FLOAT,
    "examples": "int32",
    "encoder": "category",
    "task": "category",
}


class TestSchemas:
    def test_surfaces_are_the_contract_in_its_order(self) -> None:
        assert [*SURFACE_SCHEMA.names, "encoder", "task"] == list(CONTRACT)

    def test_geometry_and_history_columns(self) -> None:
        assert GEOMETRY_SCHEMA.names == [
            *("cell", "source", "target", "seed", "part", "parameters"),
            *("norm_src", "norm_tgt", "norm_ratio", "angle", "not_learned"),
        ]
        assert HISTORY_SCHEMA.names == [
            *("step", "epoch", "train_loss", "language", "metric"),
            *("value", "correct", "predicted", "gold", "loss", "selected"),
        ]

    def test_only_what_can_be_undefined_is_nullable(self) -> None:
        nullable = {
            field.name
            for schema in (SURFACE_SCHEMA, GEOMETRY_SCHEMA, HISTORY_SCHEMA)
            for field in schema
            if field.nullable
        }
        assert nullable == {"alpha", "loss", "norm_ratio", "angle", "not_learned", "train_loss"}

    def test_every_column_is_described(self) -> None:
        for schema in (SURFACE_SCHEMA, GEOMETRY_SCHEMA, HISTORY_SCHEMA):
            assert all(field.metadata[b"description"] for field in schema)

    def test_the_data_dictionary_is_current(self) -> None:
        path = Path(__file__).parent.parent / "docs" / "data-dictionary.md"
        assert path.read_text(encoding="utf-8") == data_dictionary(), (
            "write the output of xltray.schemas.data_dictionary() to docs/data-dictionary.md"
        )

    def test_the_data_dictionary_lists_every_column(self) -> None:
        text = data_dictionary()
        for name in {*CONTRACT, *GEOMETRY_SCHEMA.names, *HISTORY_SCHEMA.names}:
            assert f"\n| {name} | " in text


class TestPandas:
    def test_a_store_reads_as_the_contract(self, tmp_path: Path) -> None:
        store = Store(str(tmp_path))
        cells = [
            make_cell(encoder=encoder, task=task) for encoder in ("bert", "xlmr") for task in ("pos", "ner")
        ]
        for job in cells:
            store.write_table(store.surface_path(job), surface_table(job, all_scores(job), provenance()))
        unfinished = make_cell(source="ar")
        store.write_table(
            f"{store.parts_path(unfinished)}/0.parquet", surface_table(unfinished, [score()], {})
        )

        frame = pd.read_parquet(f"{store.uri}/surfaces")
        assert {name: str(kind) for name, kind in frame.dtypes.items()} == CONTRACT
        assert set(frame["cell"]) == {job.id for job in cells}
        assert len(frame) == sum(len(all_scores(job)) for job in cells)
        assert set(zip(frame["encoder"], frame["task"], strict=True)) == {
            (job.encoder.name, job.task) for job in cells
        }
        lines = frame["on_src_line"] | frame["on_tgt_line"]
        assert (frame["alpha"].isna() == ~lines).all()

    def test_the_papers_cell_has_465_points(self, tmp_path: Path) -> None:
        grid = GridSpec()
        assert grid.plane is not None
        assert grid.lines is not None
        job = make_cell(plane=grid.plane.values(), alphas=grid.lines.values(), scopes=("all",))
        store = Store(str(tmp_path))
        store.write_table(store.surface_path(job), surface_table(job, all_scores(job), {}))
        frame = pd.read_parquet(f"{store.uri}/surfaces")
        assert frame["point"].nunique() == 465
        assert len(frame) == 465 * 2
        points = frame.drop_duplicates("point")
        assert (points["on_plane"].sum(), points["on_src_line"].sum(), points["on_tgt_line"].sum()) == (
            441,
            33,
            33,
        )


def test_all_metadata_of_a_file_is_described() -> None:
    origin = provenance(device="cpu", dtype_reason="why", not_learned="source", revision="abc")
    metadata = surface_table(make_cell(), [score()], origin).schema.metadata
    patterns = [re.sub("<[a-z]+>", "[a-z]+", re.escape(key)) for key in METADATA]
    described = {key for key in metadata if any(re.fullmatch(one, key.decode()) for one in patterns)}
    assert described == set(metadata)
    used = [one for one in patterns if any(re.fullmatch(one, key.decode()) for key in metadata)]
    assert used == patterns
