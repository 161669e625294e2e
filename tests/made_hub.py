"""Parquet files as the hub has them, WikiANN text and XNLI tables, made by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xltray.corpora import wikiann, xnli
from xltray.spec_types import Split

HUB_SPLITS: Mapping[Split, str] = {"train": "train", "dev": "validation", "test": "test"}
DEV_HEADER = ("language", "gold_label", "sentence1_parse", "sentence1", "sentence2", "pairID")


def footer(table: pa.Table, features: object) -> pa.Table:
    content = json.dumps({"info": {"features": features}}).encode()
    return table.replace_schema_metadata({b"huggingface": content})


def write_table(table: pa.Table, folder: Path, split: Split = "dev", part: int = 0, parts: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{HUB_SPLITS[split]}-{part:05d}-of-{parts:05d}.parquet"
    pq.write_table(table, path)
    return path


def entities_table(
    sentences: Iterable[tuple[Sequence[str], Sequence[str]]],
    names: Sequence[str] = wikiann.TAGS,
    style: str = "feature",
) -> pa.Table:
    """Return WikiANN's table; ``style`` is how the footer describes a list of labels."""
    sentences = list(sentences)
    table = pa.table(
        {
            "tokens": pa.array([list(words) for words, _ in sentences], pa.list_(pa.string())),
            "ner_tags": pa.array(
                [[names.index(tag) for tag in tags] for _, tags in sentences], pa.list_(pa.int64())
            ),
            "langs": pa.array([["xx"] * len(words) for words, _ in sentences], pa.list_(pa.string())),
        }
    )
    label = {"names": list(names), "_type": "ClassLabel"}
    described = {"feature": {"feature": label, "_type": "Sequence"}, "list": [label], "none": None}[style]
    return table if described is None else footer(table, {"ner_tags": described})


def entities_text(sentences: Iterable[tuple[Sequence[str], Sequence[str]]], prefix: str = "xx") -> bytes:
    blocks = [
        "".join(f"{prefix}:{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True))
        for words, tags in sentences
    ]
    return "\n".join(blocks).encode()


def pairs_table(
    pairs: Iterable[tuple[str, str, str]], names: Sequence[str] = xnli.LABELS, described: bool = True
) -> pa.Table:
    pairs = list(pairs)
    numbers = {"-": -1} | {name: number for number, name in enumerate(names)}
    table = pa.table(
        {
            "premise": pa.array([premise for premise, _, _ in pairs], pa.string()),
            "hypothesis": pa.array([hypothesis for _, hypothesis, _ in pairs], pa.string()),
            "label": pa.array([numbers[label] for _, _, label in pairs], pa.int64()),
        }
    )
    return footer(table, {"label": {"names": list(names), "_type": "ClassLabel"}}) if described else table


def tsv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    return "".join("\t".join(row) + "\n" for row in (header, *rows)).encode()


def dev_tsv(pairs: Mapping[str, Iterable[tuple[str, str, str]]]) -> bytes:
    """Return XNLI-1.0's development table, with the pairs of each language."""
    rows = [
        (language, label, "( )", premise, hypothesis, str(number))
        for language, of_language in pairs.items()
        for number, (premise, hypothesis, label) in enumerate(of_language)
    ]
    return tsv(DEV_HEADER, rows)


def train_tsv(pairs: Iterable[tuple[str, str, str]]) -> bytes:
    """Return a translated training table of XNLI-MT-1.0."""
    return tsv(("premise", "hypo", "label"), [(p, h, label.replace("tion", "tory")) for p, h, label in pairs])


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
