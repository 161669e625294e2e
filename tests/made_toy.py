"""Sentences of the toy languages that several tests look at."""

from __future__ import annotations

from xltray.corpora.toy import ToyCorpus
from xltray.spec import DataSpec

CODES = ("qaa", "qab", "qac", "qad")
CORPUS = ToyCorpus(DataSpec())
TRAIN = {code: CORPUS.sentences(code, "train") for code in CODES}
DEV = {code: CORPUS.sentences(code, "dev") for code in CODES}
