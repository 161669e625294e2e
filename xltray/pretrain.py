"""Pretrain an encoder of our own: a WordPiece tokenizer and a small BERT, from raw text.

The result is an ordinary transformers checkpoint (configuration, safetensors, fast tokenizer).
With ``steps: 0`` it is the control that every conclusion about transfer needs: the same tokenizer
and architecture, with random weights (those that the pretrained encoder of the same seed started
from).

Training a tokenizer gives the same pieces but not the same ids from run to run, so the pieces are
sorted before ids are given out. Masked-language-model training of encoders this small only
starts when the output bias is initialised with the unigram log-probabilities.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import BertConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from xltray.context import JobContext, Progress
from xltray.corpora.registry import open_corpus
from xltray.corpora.text import identify_text, text_sentences
from xltray.endpoints import check_unchanged
from xltray.jobs import PretrainJob
from xltray.nn.device import set_threads
from xltray.nn.encoder import build_encoder, encode
from xltray.nn.model import seed_of
from xltray.nn.optimisation import adamw, warmup_then_linear
from xltray.nn.packing import Layout, Tokens, pack
from xltray.results import provenance
from xltray.spec import PretrainSpec

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(len(SPECIALS))
PROGRESS_STEPS = 50


def pretrain(job: PretrainJob, context: JobContext) -> Iterator[Progress]:
    """Train tokenizer and encoder and publish them.

    Raises:
        CorpusError: if the text is not what the plan saw, or broken.
        MissingInputError: if it is not there.
    """
    started = time.monotonic()
    set_threads(context.threads)
    text = list(_text(job, context))
    tokenizer = train_tokenizer(text, job.encoder)
    torch.manual_seed(seed_of("pretrain", job.encoder.seed))
    encoder = build_encoder(_configuration(job.encoder, len(tokenizer))).to(context.device)
    losses: list[float] = []
    if job.encoder.steps:
        sequences = _sequences(text, tokenizer, job.encoder.max_length)
        for step, loss in enumerate(_train(encoder, sequences, job.encoder, context.device), 1):
            losses.append(loss)
            if step % PROGRESS_STEPS == 0:
                yield Progress(step, job.encoder.steps, "steps")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        transformers_logging.disable_progress_bar()
        tokenizer.save_pretrained(folder)
        encoder.save_pretrained(folder)
        (folder / "spec.json").write_text(job.model_dump_json(indent=1) + "\n", encoding="utf-8")
        done = {
            "sentences": len(text),
            "vocabulary": len(tokenizer),
            "parameters": encoder.num_parameters(),
            "loss": sum(losses[-100:]) / len(losses[-100:]) if losses else None,
            "seconds": round(time.monotonic() - started, 3),
            "provenance": provenance(),
        }
        context.store.publish_directory(folder, context.store.encoder_path(job.id), done)


def train_tokenizer(text: Sequence[str], spec: PretrainSpec) -> PreTrainedTokenizerFast:
    """Train a cased WordPiece tokenizer whose ids do not depend on the run."""
    trained = _wordpiece({})
    trainer = trainers.WordPieceTrainer(
        vocab_size=spec.vocabulary, special_tokens=list(SPECIALS), show_progress=False
    )
    trained.train_from_iterator(text, trainer)
    pieces = sorted(piece for piece in trained.get_vocab() if piece not in SPECIALS)
    tokenizer = _wordpiece({piece: number for number, piece in enumerate([*SPECIALS, *pieces])})
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    names = dict(
        zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIALS, strict=True)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=spec.max_positions,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **names,
    )


def _wordpiece(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _configuration(spec: PretrainSpec, vocabulary: int) -> BertConfig:
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=spec.hidden_size,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        intermediate_size=4 * spec.hidden_size,
        max_position_embeddings=spec.max_positions,
        hidden_dropout_prob=spec.dropout,
        attention_probs_dropout_prob=spec.dropout,
        pad_token_id=PAD,
    )


def _text(job: PretrainJob, context: JobContext) -> Iterator[str]:
    spec = job.encoder
    if spec.languages:
        corpus = open_corpus(spec.corpus, context.data)
        for language in spec.languages:
            found = corpus.identify(language, "train").fingerprint
            check_unchanged(f"{spec.corpus} {language} train", found=found, expected=job.text[language])
            yield from corpus.text(language)
    for path in spec.text:
        found = identify_text(context.data, path).fingerprint
        check_unchanged(path, found=found, expected=job.text[path])
        yield from text_sentences(context.data, path)


def _sequences(text: Sequence[str], tokenizer: PreTrainedTokenizerFast, max_length: int) -> list[Tokens]:
    encoded = tokenizer(list(text), truncation=True, max_length=max_length)["input_ids"]
    # The length is the training's, but would be stored as if it were the tokenizer's.
    tokenizer.backend_tokenizer.no_truncation()
    return [Tokens(ids, [0] * len(ids)) for ids in encoded]


class _MaskedWordHead(nn.Module):
    """BERT's output layer: transform, then the (tied) word embeddings and a bias."""

    def __init__(self, encoder: PreTrainedModel, counts: Counter[int]) -> None:
        super().__init__()
        size = encoder.config.hidden_size
        self.transform = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.LayerNorm(size))
        total = sum(counts.values())
        vocabulary = encoder.config.vocab_size
        unigrams = [math.log((counts[id_] + 1) / (total + vocabulary)) for id_ in range(vocabulary)]
        self.bias = nn.Parameter(torch.tensor(unigrams))

    def forward(self, hidden_MH: Tensor, embeddings_VH: Tensor) -> Tensor:
        """Return logits_MV over the vocabulary."""
        return F.linear(self.transform(hidden_MH), embeddings_VH, self.bias)


def _train(
    encoder: PreTrainedModel, sequences: Sequence[Tokens], spec: PretrainSpec, device: str
) -> Iterator[float]:
    """Train with masked words; yields the loss of each step."""
    counts = Counter(id_ for sequence in sequences for id_ in sequence.ids if id_ >= len(SPECIALS))
    head = _MaskedWordHead(encoder, counts).to(device)
    optimizer = adamw(
        [*encoder.parameters(), *head.parameters()],
        learning_rate=spec.learning_rate,
        weight_decay=spec.weight_decay,
    )
    scheduler = warmup_then_linear(optimizer, steps=spec.steps, warmup=spec.warmup)
    generator = torch.Generator().manual_seed(seed_of("masks", spec.seed))
    embeddings: nn.Embedding = encoder.get_input_embeddings()
    encoder.train()
    for members in _batches(sequences, spec, generator):
        batch = pack([sequences[i] for i in members], layout=Layout.RUNS, device=device)
        masked = mask_words(batch.ids_T.cpu(), spec.mask_rate, embeddings.num_embeddings, generator)
        place_M = masked.chosen_T.nonzero()[:, 0].to(device)
        hidden_TH = encode(encoder, batch.with_ids(masked.ids_T.to(device)))
        logits_MV = head(hidden_TH[place_M], embeddings.weight)
        loss = F.cross_entropy(logits_MV, batch.ids_T[place_M])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([*encoder.parameters(), *head.parameters()], 1.0)
        optimizer.step()
        scheduler.step()
        yield float(loss.detach())


def _batches(
    sequences: Sequence[Tokens], spec: PretrainSpec, generator: torch.Generator
) -> Iterator[list[int]]:
    """Yield ``steps`` batches of sequences of similar length, in random order."""
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i].ids))
    batches = [order[start : start + spec.batch_size] for start in range(0, len(order), spec.batch_size)]
    left = spec.steps
    while left:
        for index in torch.randperm(len(batches), generator=generator).tolist()[:left]:
            yield batches[index]
            left -= 1


class Masked(NamedTuple):
    """What the encoder sees, and which tokens it has to name."""

    ids_T: Tensor
    chosen_T: Tensor


def mask_words(ids_T: Tensor, rate: float, vocabulary: int, generator: torch.Generator) -> Masked:
    """Choose tokens to predict; 80% become [MASK], 10% a random token, 10% stay (Devlin et al. 2019).

    At least one token is chosen, so that there is always a loss.
    """
    chance_T = torch.rand(ids_T.shape, generator=generator)
    ordinary_T = ids_T >= len(SPECIALS)
    chosen_T = ordinary_T & (chance_T < rate)
    if not bool(chosen_T.any()):
        chosen_T[chance_T.masked_fill(~ordinary_T, torch.inf).argmin()] = True
    kind_T = torch.rand(ids_T.shape, generator=generator)
    random_T = torch.randint(len(SPECIALS), vocabulary, ids_T.shape, generator=generator)
    seen_T = torch.where(chosen_T & (kind_T < 0.8), MASK, ids_T)
    seen_T = torch.where(chosen_T & (kind_T >= 0.9), random_T, seen_T)
    return Masked(seen_T, chosen_T)
