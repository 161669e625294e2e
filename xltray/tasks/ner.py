"""Named-entity recognition: people, organisations and places, scored by F1 over entity spans.

A linear layer puts one tag on each word. Spans are counted over whole sentences, also where a long
one was read in several windows; predicted tags that are no valid BIO are repaired as the authors do
(``nn/spans.py``). Words without any subword are predicted to be outside of every entity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F

from xltray.corpora.base import Corpus, Entities
from xltray.corpora.wikiann import TAGS
from xltray.nn.device import begin_transfer
from xltray.nn.model import EndpointModel
from xltray.nn.spans import OUTSIDE, count_spans
from xltray.spec_types import Role
from xltray.tasks.as_iob2 import count_written_spans, iob2_text
from xltray.tasks.base import Batch, Counts, EncodedSplit, Evaluation, Pending, Predicted, Written
from xltray.tasks.baseline import best_tag
from xltray.tasks.tagging import TaggingTask


class NerTask(TaggingTask):
    """WikiANN named-entity recognition."""

    name: ClassVar[str] = "ner"
    corpus: ClassVar[str] = "wikiann"
    metrics: ClassVar[tuple[str, ...]] = ("f1",)

    @property
    def labels(self) -> tuple[str, ...]:
        """The seven tags, in the order that spans are counted by."""
        return TAGS

    def read(self, corpus: Corpus, language: str, role: Role) -> list[Entities]:
        """Read sentences with entities."""
        return corpus.entities(language, role)

    def words_and_labels(self, example: Entities) -> tuple[Sequence[str], Sequence[str]]:
        """Return words and tags."""
        return example.words, example.tags

    def baseline(self, split: EncodedSplit) -> Counts:
        """Return the score of the tag that does best when every word has it.

        Mostly more than the 0 of O: an I on every word makes one span of each sentence, and WikiANN
        has sentences that are an entity and nothing else.
        """
        return best_tag(split, len(self.labels))

    def queue(self, model: EndpointModel, split: EncodedSplit, batches: Sequence[Batch]) -> Pending:
        """Count spans of whole sentences on the device."""
        assert split.words is not None, "encode() gives them"
        model.eval()
        gold_N, sentence_N = split.words
        predicted_N = torch.full_like(gold_N, OUTSIDE)
        loss = torch.zeros((), dtype=torch.double, device=gold_N.device)
        with torch.inference_mode():
            for batch in batches:
                decided, label_W = self.decide(model, batch), batch.labels["label_W"]
                loss += F.cross_entropy(decided.logits_WC, label_W, reduction="sum").double()
                predicted_N[batch.labels["index_W"]] = decided.predicted_W
            counted = count_spans(predicted_N, gold_N, sentence_N)
            arrived = begin_transfer(torch.cat([counted.double(), loss[None]]))

        def read() -> Evaluation:
            *numbers, loss_sum = arrived()[0].tolist()
            scored = sum(batch.decisions for batch in batches)
            counts = {"f1": Counts(*(int(number) for number in numbers))}
            return Evaluation(counts, loss_sum / scored if scored else None, split.examples)

        return read

    def written(self, examples: Sequence[Entities], predictions: Sequence[Predicted]) -> Written:
        """Write word, gold and predicted tag in columns; O for words without any subword."""
        tags = [[tag or TAGS[OUTSIDE] for tag in predicted] for predicted in predictions]
        unpredicted = sum(tag is None for predicted in predictions for tag in predicted)
        return Written("iob2", iob2_text(examples, tags), None, unpredicted)

    def recount(self, written: Written) -> Mapping[str, Counts]:
        """Count spans."""
        return {"f1": count_written_spans(written.text)}
