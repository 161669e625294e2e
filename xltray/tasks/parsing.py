"""Dependency parsing: biaffine parser, scored by LAS and UAS without punctuation.

Recipe (paper, appendix A): trained on sentences cut to ``max_length`` subwords, evaluated on the
first 128 *words*; words whose gold tag is PUNCT or SYM are not scored; relation subtypes are cut
off. Trees are exact maximum spanning trees with one root.

Three metrics, over the same words:

* ``las``: head and relation right. The root's arc counts like any other.
* ``uas``: head right.
* ``las_paper``: ``las`` by the rule of the authors' parser, which never predicts a label for an
  arc from ROOT, so that the root word counts as wrong. For comparison with the paper's numbers.

Words without any subword take part in the tree, represented by the sequence's first token, and
count as wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from xltray.corpora.base import Corpus, Sentence
from xltray.corpora.ud import DEPRELS
from xltray.nn.biaffine import BiaffineParser, ParserEnergies
from xltray.nn.device import Arrays, begin_transfer, beside
from xltray.nn.model import EndpointModel
from xltray.nn.packing import Layout, batches_by_tokens, pack, scoring_layout
from xltray.nn.trees import decode
from xltray.spec import ParserSpec
from xltray.spec_types import Role
from xltray.tasks.as_conllu import NO_COLUMNS, Columns, conllu_text, count_arcs, gold_conllu
from xltray.tasks.base import (
    Batch,
    Counts,
    Encoded,
    EncodedSplit,
    Evaluation,
    Loss,
    Pending,
    Predicted,
    Task,
    Written,
)
from xltray.tasks.baseline import best_neighbour
from xltray.tasks.gold_trees import EVALUATED_WORDS, NOT_SCORED, encode_trees
from xltray.tasks.parsing_batch import Gold, Parsed, Words, count_right, make_words


class Arc(NamedTuple):
    """A word's head (1-based, 0 for the root) and its relation to it."""

    head: int
    relation: str


class ParsingTask(Task):
    """UD dependency parsing."""

    name: ClassVar[str] = "parsing"
    corpus: ClassVar[str] = "ud"
    metrics: ClassVar[tuple[str, ...]] = ("las", "uas", "las_paper")

    def read(self, corpus: Corpus, language: str, role: Role) -> list[Sentence]:
        """Read sentences."""
        return corpus.sentences(language, role)

    def head(self, hidden_size: int, parser: ParserSpec | None) -> nn.Module:
        """Build the biaffine parser."""
        return BiaffineParser(hidden_size, len(DEPRELS), parser or ParserSpec())

    def encode(
        self,
        examples: Sequence[Any],
        tokenizer: PreTrainedTokenizerFast,
        *,
        role: Role,
        max_length: int,
        limit: int,
    ) -> EncodedSplit:
        """Tokenise sentences; see ``Task.encode`` and the module's recipe."""
        room = min(max_length, limit) if role == "train" else limit
        return encode_trees(examples, tokenizer, room=room, cut=role == "train")

    def collate(self, sequences: Sequence[Encoded], device: str, *, training: bool) -> Batch:
        """Make a batch: words padded to the sentence with most words."""
        packed = pack(
            [sequence.tokens for sequence in sequences],
            layout=Layout.PADDED if training else scoring_layout(device),
            device=device,
        )
        ordered = [sequences[index] for index in packed.order]
        words = make_words(ordered, packed.starts, device)
        decisions = sum(sum(sequence.labels["scored"]) for sequence in ordered)
        return Batch(packed, words._asdict(), decisions, [sequence.example for sequence in ordered])

    def batches(self, split: EncodedSplit, device: str) -> list[Batch]:
        """Make the batches for scoring, by number of words: pairs of words cost most."""
        lengths = [len(sequence.tokens.ids) for sequence in split.sequences]
        words = [len(sequence.words) for sequence in split.sequences]
        return [
            self.collate([split.sequences[i] for i in members], device, training=False)
            for members in batches_by_tokens(lengths, device, words=words)
        ]

    def loss(self, model: EndpointModel, batch: Batch) -> Loss:
        """Return the cross-entropy of arcs and relations over all words that were seen."""
        words = Words(**batch.labels)
        parser: Any = model.head
        scores = parser(model(batch.packed)[words.token], words.real)
        total, decisions = parser.loss(scores, words.head, words.relation, words.real & words.seen)
        return Loss(total, int(decisions))

    def baseline(self, split: EncodedSplit) -> Counts:
        """Return the LAS of a chain: all words on the same side's neighbour, all by the same relation."""
        return best_neighbour(split)

    def queue(self, model: EndpointModel, split: EncodedSplit, batches: Sequence[Batch]) -> Pending:
        """Parse a split and count; trees are searched while the device works on the batches that follow."""
        model.eval()
        losses, counts, decisions = [], [], 0
        for batch in batches:
            words, energies = Words(**batch.labels), _energies(model, batch)
            losses.append(energies.costs_SN.masked_fill(~words.decided, 0).double().sum())
            decisions += words.gold.decisions
            search = partial(_count, words.gold, _transferred(energies))
            counts.append(beside(words.real.device, search))
        arrived = begin_transfer(torch.stack(losses).sum(0, keepdim=True)) if losses else None

        def read() -> Evaluation:
            correct = sum((count() for count in counts), np.zeros(3, dtype=np.int64))
            gold = sum(batch.decisions for batch in batches)
            las, uas, las_paper = (Counts(int(number), gold, gold) for number in correct)
            loss = float(arrived()[0][0]) / decisions if arrived and decisions else None
            return Evaluation({"las": las, "uas": uas, "las_paper": las_paper}, loss, split.examples)

        return read

    def predict(self, model: EndpointModel, split: EncodedSplit, batches: Sequence[Batch]) -> list[Predicted]:
        """Return an ``Arc`` for each of the words evaluated; None for those that the encoder did not see."""
        model.eval()
        predictions: list[Predicted] = [()] * split.examples
        for batch in batches:
            gold = Words(**batch.labels).gold
            parsed = _trees(gold, _transferred(_energies(model, batch)))
            columns = zip(
                batch.examples,
                gold.lengths_S.tolist(),
                parsed.heads_SN.tolist(),
                parsed.relations_SN.tolist(),
                gold.seen_SN.tolist(),
                strict=True,
            )
            for example, length, heads, relations, seen in columns:
                arcs = zip(heads[:length], relations[:length], seen[:length], strict=True)
                predictions[example] = tuple(
                    Arc(head, DEPRELS[relation]) if inside else None for head, relation, inside in arcs
                )
        return predictions

    def written(self, examples: Sequence[Sentence], predictions: Sequence[Predicted]) -> Written:
        """Write CoNLL-U with the predicted HEAD and DEPREL; ``_`` for words without a prediction."""
        rows = [
            [Columns(head=str(arc.head), deprel=arc.relation) if arc else NO_COLUMNS for arc in predicted]
            for predicted in predictions
        ]
        predicted = sum(row != NO_COLUMNS for sentence in rows for row in sentence)
        unpredicted = sum(len(example.words) for example in examples) - predicted
        return Written("conllu", conllu_text(examples, rows), gold_conllu(examples), unpredicted)

    def recount(self, written: Written) -> Mapping[str, Counts]:
        """Count right arcs of the words evaluated."""
        return count_arcs(written, first=EVALUATED_WORDS, not_scored=NOT_SCORED)


def _energies(model: EndpointModel, batch: Batch) -> ParserEnergies:
    words = Words(**batch.labels)
    parser: Any = model.head
    with torch.inference_mode():
        scores = parser(model(batch.packed)[words.token], words.real)
        lengths = words.gold.lengths_S.tolist()
        found: ParserEnergies = parser.energies(scores, words.real, words.head, words.relation, lengths)
        return found


def _transferred(found: ParserEnergies) -> Callable[[], Arrays]:
    return begin_transfer(found.energies_SN1N1, found.labels_SN1N1)


def _trees(gold: Gold, transferred: Callable[[], Arrays]) -> Parsed:
    """Find a batch's best trees: the one way to them, for scores and predictions alike."""
    energies_SN1N1, relations_SN1N1 = transferred()
    heads_SN = decode(energies_SN1N1, gold.lengths_S)[:, 1:]
    # Each word's best relation to each possible head: take that to its own.
    heads_SN1 = heads_SN[..., None].astype(np.int64)
    return Parsed(heads_SN, np.take_along_axis(relations_SN1N1[:, 1:], heads_SN1, 2)[..., 0])


def _count(gold: Gold, transferred: Callable[[], Arrays]) -> npt.NDArray[np.int64]:
    return count_right(gold, _trees(gold, transferred))
