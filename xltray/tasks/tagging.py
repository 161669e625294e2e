"""Tasks with one label a word: a linear layer on each word's first subword.

Sentences longer than the encoder's window are cut between words; the last pieces of a window, half
of ``max_length`` at most, are repeated at the start of the next as context, unscored there (the
authors' sliding window). Every word is therefore scored exactly once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from xltray.nn.model import EndpointModel
from xltray.nn.packing import Layout, batches_by_tokens, pack
from xltray.spec import ParserSpec, Role
from xltray.tasks.base import Batch, Encoded, EncodedSplit, Loss, Task
from xltray.tasks.words import Frame, Word, frame, split_words


class Window(NamedTuple):
    """Words ``start`` to ``stop`` of a sentence, of which those from ``scored`` on are scored."""

    start: int
    scored: int
    stop: int


def windows(lengths: Sequence[int], room: int, context: int) -> Iterator[Window]:
    """Cut a sentence into windows.

    Args:
        lengths: subwords of each word.
        room: subwords that fit into a window.
        context: subwords of one window that the next may repeat.
    """
    start = scored = 0
    while scored < len(lengths):
        stop, used = start, 0
        while stop < len(lengths) and (used + lengths[stop] <= room or stop == scored):
            used += lengths[stop]
            stop += 1
        yield Window(start, scored, stop)
        start, repeated = stop, 0
        while start > 0 and repeated + lengths[start - 1] <= context:
            start -= 1
            repeated += lengths[start]
        # The next word must fit beside its context.
        while stop < len(lengths) and start < stop and repeated + lengths[stop] > room:
            repeated -= lengths[start]
            start += 1
        scored = stop


class TaggingTask(Task):
    """A task with one label a word."""

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """The fixed label set; never read off the data, which may lack some."""

    @abstractmethod
    def words_and_labels(self, example: Any) -> tuple[Sequence[str], Sequence[str]]:
        """Return an example's words and their labels."""

    def head(self, hidden_size: int, parser: ParserSpec | None) -> nn.Module:
        """Build a linear layer."""
        return nn.Linear(hidden_size, len(self.labels))

    def encode(
        self,
        examples: Sequence[Any],
        tokenizer: PreTrainedTokenizerFast,
        *,
        role: Role,
        max_length: int,
        limit: int,
    ) -> EncodedSplit:
        """Tokenise sentences into windows; see ``Task.encode``."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        specials = frame(tokenizer)
        pairs = [self.words_and_labels(example) for example in examples]
        room, context = min(max_length, limit) - specials.length, max_length // 2
        sequences: list[Encoded] = []
        unscorable = 0
        for words, (_, labels) in zip(
            split_words(tokenizer, [words for words, _ in pairs]), pairs, strict=True
        ):
            gold = [numbers[label] for label in labels]
            unscorable += sum(word.first is None for word in words)
            for window in windows([len(word.pieces) for word in words], room, context):
                encoded = _encode_window(words, gold, window, specials, room)
                if encoded.words:
                    sequences.append(encoded)
        return EncodedSplit(sequences, len(examples), unscorable)

    def collate(self, sequences: Sequence[Encoded], device: str, *, training: bool) -> Batch:
        """Make a batch: the flat place of each scored word, and its label."""
        packed = pack(
            [sequence.tokens for sequence in sequences],
            layout=Layout.PADDED if training else Layout.RUNS,
            device=device,
        )
        ordered = [sequences[index] for index in packed.order]
        places = [start + place for start, s in zip(packed.starts, ordered, strict=True) for place in s.words]
        gold = [label for s in ordered for label in s.labels["tags"]]
        labels = {"word_W": torch.tensor(places, device=device), "tag_W": torch.tensor(gold, device=device)}
        return Batch(packed, labels, len(gold))

    def batches(self, split: EncodedSplit, device: str) -> list[Batch]:
        """Make the batches for scoring, by length."""
        lengths = [len(sequence.tokens.ids) for sequence in split.sequences]
        return [
            self.collate([split.sequences[i] for i in members], device, training=False)
            for members in batches_by_tokens(lengths, device)
        ]

    def loss(self, model: EndpointModel, batch: Batch) -> Loss:
        """Return the cross-entropy over the batch's words."""
        logits_WC = self.logits(model, batch)
        return Loss(F.cross_entropy(logits_WC, batch.labels["tag_W"], reduction="sum"), batch.decisions)

    def logits(self, model: EndpointModel, batch: Batch) -> Tensor:
        """Return logits_WC for the batch's scored words."""
        logits_WC: Tensor = model.head(model(batch.packed)[batch.labels["word_W"]])
        return logits_WC


def _encode_window(
    words: Sequence[Word], gold: Sequence[int], window: Window, specials: Frame, room: int
) -> Encoded:
    pieces: list[int] = []
    places: list[int] = []
    tags: list[int] = []
    for index in range(window.start, window.stop):
        word = words[index]
        if index >= window.scored and word.first is not None:
            places.append(len(specials.before) + min(len(pieces) + word.first, room - 1))
            tags.append(gold[index])
        pieces += word.pieces
    # Only a single word longer than a whole window can be cut here; its first subword stays.
    return Encoded(specials.wrap(pieces[:room]), places, {"tags": tags})
