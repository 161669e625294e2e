"""The corpora by name. A new corpus is one file beside this one and one line here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from xltray.corpora.base import Corpus
from xltray.errors import Problem, SweepFileError, did_you_mean
from xltray.spec import DataSpec

# Module and class as text: what one corpus imports is not loaded for the sake of another.
_CLASSES = {
    "toy": "xltray.corpora.toy:ToyCorpus",
    "ud": "xltray.corpora.ud:UDCorpus",
}

CORPORA = tuple(_CLASSES)
"""Names that a sweep file may give as a corpus."""


def open_corpus(name: str, data: DataSpec) -> Corpus:
    """Return the corpus called ``name``, reading from where ``data`` says.

    Raises:
        SweepFileError: if there is no corpus of that name (names come from the sweep file).
    """
    if name not in _CLASSES:
        problem = Problem("corpus", repr(name), "the name of a corpus", did_you_mean(name, CORPORA))
        raise SweepFileError("Unknown corpus", [problem])
    module, _, class_name = _CLASSES[name].partition(":")
    factory: Callable[[DataSpec], Corpus] = getattr(import_module(module), class_name)
    return factory(data)
