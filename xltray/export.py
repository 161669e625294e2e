"""Writes what a sweep's tasks read as a data root in the formats of the releases.

The files are those of Universal Dependencies, WikiANN's text and XNLI's tables, so that other tools
can read synthetic data, and so that synthetic data can stand in for a release.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xltray.corpora.base import Corpus, Entities, Kind, Pair, Sentence
from xltray.corpora.registry import open_corpus
from xltray.corpora.released import (
    DEV_TABLE,
    TRAIN_TABLE,
    write_conllu,
    write_development_pairs,
    write_entities,
    write_training_pairs,
)
from xltray.errors import MissingInputError, Problem
from xltray.spec import SweepSpec
from xltray.spec_types import Role
from xltray.tasks.registry import corpus_name, example_kind

READERS: dict[Kind, str] = {Sentence: "ud", Entities: "wikiann", Pair: "xnli"}
"""The corpus that reads each kind of examples back."""
ROLES: tuple[Role, ...] = ("train", "dev")


def export(sweep: SweepSpec, root: Path) -> dict[str, Any]:
    """Write the examples of all tasks and languages of a sweep.

    Of third languages too, with their training sets: by these the readers know a language.

    Returns:
        The ``data`` part of a sweep file that reads them.

    Raises:
        MissingInputError: if the data is not there, or the folder is not empty.
        CorpusError: if it is broken, or has text that a format cannot hold.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        problem = Problem(str(root), "something there already", "a new or empty folder", "Name another")
        raise MissingInputError("Nothing was written", [problem])
    data: dict[str, Any] = {"root": str(root), "corpora": {}, "treebanks": {}}
    languages = tuple(sorted({*sweep.languages(), *sweep.third_languages}))
    written: dict[Kind, str] = {}
    for task in sweep.tasks:
        name, kind = corpus_name(task, sweep.data), example_kind(task)
        data["corpora"][task] = READERS[kind]
        if written.setdefault(kind, name) != name:
            problem = Problem(
                f"data.corpora.{task}", f"{name}, and {written[kind]} for another task", "one corpus"
            )
            raise MissingInputError("Two corpora would have the same files", [problem])
        data["treebanks"] |= _write(open_corpus(name, sweep.data), kind, languages, root)
    # Encoders may be pretrained on the synthetic text still.
    toy = sweep.data.toy.model_dump(mode="json", exclude_defaults=True)
    return data | ({"toy": toy} if toy else {})


def _write(corpus: Corpus, kind: Kind, languages: tuple[str, ...], root: Path) -> dict[str, Any]:
    """Write one kind of examples; return the treebanks among them."""
    if kind is Pair:
        development = {language: corpus.pairs(language, "dev") for language in languages}
        write_development_pairs(root / DEV_TABLE, development)
        for language in languages:
            path = root / TRAIN_TABLE / f"multinli.train.{language}.tsv"
            write_training_pairs(path, corpus.pairs(language, "train"))
        return {}
    treebanks = {}
    for language in languages:
        folder = f"UD_{language.capitalize()}-{corpus.name.capitalize()}"
        for role in ROLES:
            if kind is Entities:
                write_entities(root / language / role, language, corpus.entities(language, role))
            else:
                path = root / folder / f"{language}_{corpus.name}-ud-{role}.conllu"
                write_conllu(path, corpus.sentences(language, role))
                treebanks[language] = {"treebank": folder}
    return treebanks
