"""What a task is: how examples become batches, what head it has, how it is trained and scored.

Scores are kept as counts, (correct, predicted, gold) summed over a split, so that any of them can
be added up or compared exactly; a score is 2 correct / (predicted + gold).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from xltray.corpora.base import Corpus
from xltray.nn.model import EndpointModel
from xltray.nn.packing import PackedBatch, Tokens
from xltray.spec import ParserSpec
from xltray.spec_types import Role


class Counts(NamedTuple):
    """What a metric is made of."""

    correct: int
    predicted: int
    gold: int

    @property
    def value(self) -> float:
        """The score, in [0, 1]; 0 where there is nothing to score."""
        whole = self.predicted + self.gold
        return 2 * self.correct / whole if whole else 0.0


class Loss(NamedTuple):
    """A summed cross-entropy and how many decisions it is the sum over."""

    total: Tensor
    decisions: int


@dataclass(frozen=True)
class Evaluation:
    """The scores of one model on one split."""

    counts: Mapping[str, Counts]
    loss: float | None
    examples: int


Pending = Callable[[], Evaluation]
"""Scores whose computation is queued on the device; calling it waits for them."""

Predicted = tuple[Any, ...]
"""What was predicted for one example, an entry a word (or one in all); None where nothing was.

May be shorter than the example: words at its end were then not evaluated.
"""


class Written(NamedTuple):
    """Predictions on one dev set as the text of files.

    ``gold`` is the text of a second file with the gold standard, None where the first holds it too.
    ``unpredicted`` counts the words for which nothing was predicted.
    """

    suffix: str
    text: str
    gold: str | None
    unpredicted: int


@dataclass(frozen=True)
class Encoded:
    """One sequence as the model reads it: its subwords, where its words start, the task's labels.

    ``words`` holds, for each word that this sequence answers for, the place of its first subword;
    ``labels`` holds the task's arrays, each with one entry a word (or one in all); ``example`` is
    the index of the example that it is of.
    """

    tokens: Tokens
    words: Sequence[int]
    labels: Mapping[str, Sequence[int]]
    example: int = 0


class SplitWords(NamedTuple):
    """All N words of a split in file order, those without any subword included.

    ``label_N`` are the gold labels, ``sentence_N`` the indices of the words' sentences.
    """

    label_N: Tensor
    sentence_N: Tensor


@dataclass(frozen=True)
class EncodedSplit:
    """A split ready for batching.

    ``unscorable`` counts words without any subword: wrong in every model, and part of the gold.
    ``words`` is for taggers: metrics over whole sentences need what windows have cut.
    """

    sequences: Sequence[Encoded]
    examples: int
    unscorable: int = 0
    words: SplitWords | None = None

    def on(self, device: str) -> EncodedSplit:
        """Return the same with what metrics over whole sentences need on a device."""
        words = self.words and SplitWords(*(column_N.to(device) for column_N in self.words))
        return replace(self, words=words)


@dataclass(frozen=True)
class Batch:
    """A packed batch with the task's tensors on the model's device.

    ``examples`` are the indices of the examples that its sequences are of, in packed order.
    """

    packed: PackedBatch
    labels: Mapping[str, Any] = field(default_factory=dict)
    decisions: int = 0
    examples: Sequence[int] = ()


class Task(ABC):
    """A task of the sweep file. Subclasses hold no state: everything is in the arguments."""

    name: ClassVar[str]
    corpus: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]

    @property
    def primary(self) -> str:
        """The metric that models are selected by."""
        return self.metrics[0]

    @abstractmethod
    def read(self, corpus: Corpus, language: str, role: Role) -> list[Any]:
        """Read this task's examples."""

    @abstractmethod
    def head(self, hidden_size: int, parser: ParserSpec | None) -> nn.Module:
        """Build the task-specific layers, randomly initialised."""

    @abstractmethod
    def encode(
        self,
        examples: Sequence[Any],
        tokenizer: PreTrainedTokenizerFast,
        *,
        role: Role,
        max_length: int,
        limit: int,
    ) -> EncodedSplit:
        """Tokenise examples.

        Args:
            examples: what ``read`` gave.
            tokenizer: the encoder's.
            role: parsing cuts training and development sentences differently.
            max_length: subwords of a sequence, specials included.
            limit: the longest sequence that the encoder can read at all.
        """

    @abstractmethod
    def collate(self, sequences: Sequence[Encoded], device: str, *, training: bool) -> Batch:
        """Make a batch of a few sequences."""

    @abstractmethod
    def batches(self, split: EncodedSplit, device: str) -> list[Batch]:
        """Make the fixed batches in which a split is scored."""

    @abstractmethod
    def loss(self, model: EndpointModel, batch: Batch) -> Loss:
        """Return the training loss of a batch."""

    @abstractmethod
    def baseline(self, split: EncodedSplit) -> Counts:
        """Return what the best constant answer scores on a split, by the primary metric."""

    @abstractmethod
    def queue(self, model: EndpointModel, split: EncodedSplit, batches: Sequence[Batch]) -> Pending:
        """Begin to score a model on a split; ``batches`` are the split's own.

        On a GPU this waits for nothing: the weights may be changed after it by work queued on the same
        stream. One transfer brings the counts, when they are asked for.
        """

    def evaluate(self, model: EndpointModel, split: EncodedSplit, batches: Sequence[Batch]) -> Evaluation:
        """Score a model on a split; ``batches`` are the split's own."""
        return self.queue(model, split, batches)()

    @abstractmethod
    def predict(self, model: EndpointModel, split: EncodedSplit, batches: Sequence[Batch]) -> list[Predicted]:
        """Return what ``evaluate`` counts: the predictions of a model, one entry an example, in order."""

    @abstractmethod
    def written(self, examples: Sequence[Any], predictions: Sequence[Predicted]) -> Written:
        """Write predictions in the format that this task's outside tools read."""

    @abstractmethod
    def recount(self, written: Written) -> Mapping[str, Counts]:
        """Count from what was written, without tensors; gives what ``evaluate`` gave."""
