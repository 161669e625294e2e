"""The schemas of the tables that a sweep writes: the single source of columns, types and descriptions.

``docs/data-dictionary.md`` is generated from them. The columns ``encoder`` and ``task`` (``PARTITIONS``)
are not in the files: they are folder names (``encoder=<name>/task=<task>``), which Parquet readers turn
into columns.
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 1
_STRING, _BOOL, _INT32, _INT64, _FLOAT = pa.string(), pa.bool_(), pa.int32(), pa.int64(), pa.float64()


def _field(name: str, kind: pa.DataType, description: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


_CELL = (
    _field("cell", _STRING, "id of the cell; the same in surfaces and geometry"),
    _field("source", _STRING, "source language, as in the sweep file (two or three letters)"),
    _field("target", _STRING, "target language, as in the sweep file (two or three letters)"),
    _field("seed", _INT64, "seed of the cell's three endpoints"),
)
_COUNTS = (
    _field("value", _FLOAT, "score in [0, 1]: 2 correct / (predicted + gold), 0 where both are 0"),
    _field("correct", _INT64, "right decisions"),
    _field("predicted", _INT64, "decisions made"),
    _field("gold", _INT64, "decisions in the gold standard"),
    _field("loss", _FLOAT, "mean cross-entropy per decision; null where undefined", nullable=True),
)
_SURFACE_POINT = (
    _field("scope", _STRING, "what was interpolated: all, encoder or head; the rest is bilingual"),
    _field("point", _INT32, "index of the point in the grid; join on this, never on floats"),
    _field("a_src", _FLOAT, "coordinate of Eq. 3 towards the source-only endpoint"),
    _field("a_tgt", _FLOAT, "coordinate of Eq. 3 towards the target-only endpoint"),
    _field("on_src_line", _BOOL, "on Eq. 1, source to bilingual"),
    _field("on_tgt_line", _BOOL, "on Eq. 2, target to bilingual"),
    _field("on_plane", _BOOL, "on the plane's grid"),
    _field("alpha", _FLOAT, "Eq. 1 (1 - a_src) or Eq. 2 (1 - a_tgt); null off the lines", nullable=True),
)
_SURFACE_SCORE = (
    _field("eval_language", _STRING, "language scored"),
    _field("eval_role", _STRING, "what that language is to the cell: source, target or other"),
    _field(
        "split",
        _STRING,
        "always dev, the role; which file or sample plays it is in the sweep file "
        "(`data.treebanks.*.dev`, `data.toy.evaluate_on`)",
    ),
    _field("metric", _STRING, "accuracy, f1 or las (primary); uas and las_paper beside las"),
)
PARTITIONS = (
    _field("encoder", pa.dictionary(_INT32, _STRING), "its short name in the sweep file (folder name)"),
    _field("task", pa.dictionary(_INT32, _STRING), "xnli, ner, pos or parsing (folder name)"),
)

SURFACE_SCHEMA = pa.schema(
    [
        *_CELL,
        *_SURFACE_POINT,
        *_SURFACE_SCORE,
        *_COUNTS,
        _field("examples", _INT32, "sentences or pairs scored"),
    ]
)
GEOMETRY_SCHEMA = pa.schema(
    [
        *_CELL,
        _field("part", _STRING, "which parameters: all, encoder, head, embeddings, layer.0, ..."),
        _field("parameters", _INT64, "how many numbers those are"),
        _field("norm_src", _FLOAT, "L2 norm of theta_src - theta_bi"),
        _field("norm_tgt", _FLOAT, "L2 norm of theta_tgt - theta_bi"),
        _field("norm_ratio", _FLOAT, "norm_src / norm_tgt; null where norm_tgt is 0", nullable=True),
        _field("angle", _FLOAT, "degrees between the two; null where a norm is 0", nullable=True),
        _field(
            "not_learned",
            _STRING,
            "corners whose endpoint scores no better than a constant answer, as in `source,bilingual`; "
            "empty where all three learned; null where unknown (older stores)",
            nullable=True,
        ),
    ]
)
HISTORY_SCHEMA = pa.schema(
    [
        _field("step", _INT32, "optimiser steps taken at this validation"),
        _field("epoch", _FLOAT, "passes over the training data taken"),
        _field("train_loss", _FLOAT, "mean since the last validation, if any", nullable=True),
        _field("language", _STRING, "dev set scored"),
        _field("metric", _STRING, "as in surfaces"),
        *_COUNTS,
        _field("selected", _BOOL, "whether the endpoint is the model of this step"),
    ]
)


METADATA = {
    "xltray.schema_version": "of the columns above",
    "xltray.cell": "as the column",
    "xltray.encoder": "a pretraining's id, a hash of a folder's files, or name@commit of the hub",
    "xltray.endpoint.<corner>": "id of the endpoint at source, target and bilingual",
    "xltray.data.<language>.dev": "hash of the dev set that was scored",
    "xltray.device": "what the points were scored on; several, by commas, if a cell was resumed elsewhere",
    "xltray.dtype": "what encoders computed in at the points: float32 or bfloat16; geometry: float32",
    "xltray.dtype_reason": "why, where `evaluation.dtype` asked for another one than float32",
    "xltray.not_learned": "as the column of geometry",
    "xltray.revision": "commit of xltray, `-dirty` if files were changed; outside a checkout XLTRAY_REVISION",
    "xltray.<package>": "version of xltray, torch, transformers, ray, python",
    "xltray.platform": "operating system and processor",
}
"""What a cell's files say of their origin: keys of the Parquet schema's metadata."""


def data_dictionary() -> str:
    """Return the description of all columns as Markdown."""
    tables = {
        "surfaces": (
            pa.schema([*PARTITIONS, *SURFACE_SCHEMA]),
            "one row per cell, scope, point, language and metric",
        ),
        "geometry": (
            pa.schema([*PARTITIONS, *GEOMETRY_SCHEMA]),
            "one row per cell and part of the parameters",
        ),
        "endpoints/<id>/history.parquet": (HISTORY_SCHEMA, "one row per validation, language and metric"),
    }
    lines = [
        "# Data dictionary",
        "",
        "Generated by `xltray.schemas.data_dictionary`; a test keeps it current.",
    ]
    for name, (schema, meaning) in tables.items():
        lines += [
            "",
            f"## `{name}`: {meaning}",
            "",
            "| column | type | null | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for field in schema:
            kind = "category" if pa.types.is_dictionary(field.type) else str(field.type)
            description = field.metadata[b"description"].decode()
            lines.append(f"| {field.name} | {kind} | {'yes' if field.nullable else 'no'} | {description} |")
    lines += [
        "",
        "## Metadata of the files in `surfaces` and `geometry`: where the numbers come from",
        "",
        "`pyarrow.parquet.read_schema(path).metadata` of one of them. Key and value are bytes.",
        "",
        "| key | meaning |",
        "| --- | --- |",
        *(f"| {key} | {meaning} |" for key, meaning in METADATA.items()),
    ]
    return "\n".join(lines) + "\n"
