"""Part-of-speech tagging: universal tags, scored by accuracy over all words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F

from xltray.corpora.base import Corpus, Sentence
from xltray.corpora.ud import UPOS
from xltray.nn.model import EndpointModel
from xltray.spec import Role
from xltray.tasks.base import Batch, Counts, EncodedSplit, Evaluation
from xltray.tasks.tagging import TaggingTask


class PosTask(TaggingTask):
    """UD part-of-speech tagging."""

    name: ClassVar[str] = "pos"
    corpus: ClassVar[str] = "ud"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    @property
    def labels(self) -> tuple[str, ...]:
        """The 17 universal tags."""
        return UPOS

    def read(self, corpus: Corpus, language: str, role: Role) -> list[Sentence]:
        """Read sentences."""
        return corpus.sentences(language, role)

    def words_and_labels(self, example: Sentence) -> tuple[Sequence[str], Sequence[str]]:
        """Return forms and tags."""
        return example.words, example.upos

    def evaluate(self, model: EndpointModel, split: EncodedSplit, batches: Sequence[Batch]) -> Evaluation:
        """Count correct words; one transfer from the device for the whole split."""
        model.eval()
        sums = []
        with torch.inference_mode():
            for batch in batches:
                logits_WC, tag_W = self.logits(model, batch), batch.labels["tag_W"]
                loss = F.cross_entropy(logits_WC, tag_W, reduction="sum")
                correct = (logits_WC.argmax(1) == tag_W).sum()
                sums.append(torch.stack([correct.double(), loss.double()]))
            correct_sum, loss_sum = torch.stack(sums).sum(0).tolist() if sums else (0.0, 0.0)
        scored = sum(batch.decisions for batch in batches)
        words = scored + split.unscorable
        counts = {"accuracy": Counts(int(correct_sum), words, words)}
        return Evaluation(counts, loss_sum / scored if scored else None, split.examples)
