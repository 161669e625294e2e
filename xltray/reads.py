"""Which examples a sweep reads: what ``data`` checks and ``fetch`` brings."""

from __future__ import annotations

from typing import NamedTuple

from xltray.corpora.base import Kind
from xltray.corpora.registry import text_kind
from xltray.spec import SweepSpec
from xltray.spec_types import Role
from xltray.tasks.registry import corpus_name, example_kind

_ROLES: tuple[Role, ...] = ("train", "dev")


class Split(NamedTuple):
    """A language's examples in one corpus, of one kind, for one use."""

    corpus: str
    kind: Kind
    language: str
    role: Role


def splits(sweep: SweepSpec) -> list[Split]:
    """Return everything that is trained, selected or scored on, and pretrained on, each once."""
    found: list[Split] = []
    for task in sweep.tasks:
        name, kind = corpus_name(task, sweep.data), example_kind(task)
        found += [Split(name, kind, language, role) for language in sweep.languages() for role in _ROLES]
        found += [Split(name, kind, language, "dev") for language in sweep.third_languages]
    for spec in [encoder.pretrain for encoder in sweep.encoders.values() if encoder.pretrain]:
        found += [
            Split(spec.corpus, text_kind(spec.corpus), language, "train") for language in spec.languages
        ]
    return list(dict.fromkeys(found))
