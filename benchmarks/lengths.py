"""Lengths of real sentences: how many subwords each word of English-EWT (UD 2.7) has, and no text.

Read from a folder of treebanks where there is one, else from ``lengths.json`` beside this, which
``make_lengths.py`` wrote from the same files. Subwords are those of a WordPiece tokenizer trained on
EWT's training sentences, so that both ways give the same numbers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from xltray.corpora.conllu_file import read_conllu
from xltray.nn.wordpiece import train_tokenizer
from xltray.spec import PretrainSpec

CHECKED_IN = Path(__file__).parent / "lengths.json"
TREEBANK = "UD_English-EWT/en_ewt-ud-{}.conllu"
ENVIRONMENT = "XLTRAY_UD_ROOT"
VOCABULARY = 16_000
# The checked-in list has every sixth training sentence: enough for an epoch of the benchmark.
TRAIN_STEP = 6

Pieces = tuple[int, ...]
"""Subwords of each word of a sentence."""


class Lengths(NamedTuple):
    """Sentences of EWT, in file order, and where they were read from."""

    train: list[Pieces]
    dev: list[Pieces]
    source: str


def find(data: Path | None) -> Lengths:
    """Return lengths from ``data``, else from the folder that XLTRAY_UD_ROOT names, else the checked-in ones.

    Raises:
        FileNotFoundError: if a folder was named and EWT is not in it.
    """
    named = data or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None)
    return counted(named) if named else checked_in()


def counted(root: Path) -> Lengths:
    """Count the subwords of the treebank's sentences."""
    sentences = {}
    for split in ("train", "dev"):
        path = root / TREEBANK.format(split)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: not found; expected UD English-EWT in {root} (see --data)")
        sentences[split] = [sentence.words for sentence in read_conllu(path)]
    tokenizer = _trained(sentences["train"])
    train = [_pieces(tokenizer, words) for words in sentences["train"][::TRAIN_STEP]]
    return Lengths(train, [_pieces(tokenizer, words) for words in sentences["dev"]], str(root))


def checked_in() -> Lengths:
    """Read ``lengths.json``."""
    stored = json.loads(CHECKED_IN.read_text(encoding="utf-8"))
    train, dev = ([tuple(map(_number, row)) for row in stored[split]] for split in ("train", "dev"))
    return Lengths(train, dev, CHECKED_IN.name)


def as_json(lengths: Lengths) -> str:
    """Return lengths as text: a sentence a line, a digit a word (base 36)."""
    rows = {
        split: ["".join(map(_digit, pieces)) for pieces in getattr(lengths, split)]
        for split in ("train", "dev")
    }
    return json.dumps(rows, indent=0) + "\n"


def evenly(sentences: Sequence[Pieces], limit: int) -> list[Pieces]:
    """Return at most ``limit`` sentences, spread over the whole list: a file's start is of one genre."""
    if limit >= len(sentences):
        return list(sentences)
    return [sentences[index * len(sentences) // limit] for index in range(limit)]


_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _digit(pieces: int) -> str:
    # Long addresses have dozens of subwords; a digit ends at 35.
    return _DIGITS[min(pieces, len(_DIGITS) - 1)]


def _number(digit: str) -> int:
    return _DIGITS.index(digit)


def _trained(sentences: Sequence[Sequence[str]]) -> Tokenizer:
    # xltray's own training: it names letters beforehand, without which no two runs give the same pieces.
    spec = PretrainSpec(corpus="ud", languages=("en",), vocabulary=VOCABULARY)
    backend: Tokenizer = train_tokenizer([" ".join(words) for words in sentences], spec).backend_tokenizer
    return backend


def _pieces(tokenizer: Tokenizer, words: Sequence[str]) -> Pieces:
    encoding = tokenizer.encode(list(words), is_pretokenized=True, add_special_tokens=False)
    counts = [0] * len(words)
    for word in encoding.word_ids:
        if word is not None:
            counts[word] += 1
    # A word without subwords is an exception that costs no time: it gets one.
    return tuple(_number(_digit(max(1, count))) for count in counts)
