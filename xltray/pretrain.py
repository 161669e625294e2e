"""Pretrain an encoder of our own: a WordPiece tokenizer and a small BERT, from raw text.

The result is an ordinary transformers checkpoint (configuration, safetensors, fast tokenizer).
With ``steps: 0`` it is the control that every conclusion about transfer needs: the same tokenizer
and architecture, with random weights (those that the pretrained encoder of the same seed started
from).

Training a tokenizer gives other ids from run to run, and other pieces where counts are equal:
``train_tokenizer`` sees to both.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import combinations, cycle, islice
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import BertConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from xltray.context import JobContext, Progress
from xltray.corpora.base import neighbours_in
from xltray.corpora.registry import open_corpus
from xltray.corpora.text import identify_text, text_sentences
from xltray.endpoints import check_unchanged
from xltray.jobs import PretrainJob
from xltray.nn.device import set_threads
from xltray.nn.encoder import build_encoder
from xltray.nn.masked_words import CLS, PAD, SEP, SPECIALS, Losses, Passage, train_masked_words
from xltray.nn.model import seed_of
from xltray.nn.packing import Tokens
from xltray.results import provenance
from xltray.spec import PretrainSpec

PROGRESS_STEPS = 50

POSITIONS_START = 0.1
"""How large position embeddings are at a similar start, beside BERT's own initialisation."""

LOSSES_KEPT = 100
"""Steps whose mean losses are recorded."""


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
    pairs = _translations(job.encoder, context, len(text))
    torch.manual_seed(seed_of("pretrain", job.encoder.seed))
    encoder = build_encoder(_configuration(job.encoder, len(tokenizer))).to(context.device)
    if job.encoder.similar_start:
        start_similar(encoder, job.encoder.similar_start)
    losses: list[Losses] = []
    passages: list[Passage] = []
    if job.encoder.steps:
        passages += map(Passage, _sequences(text, pairs, tokenizer, job.encoder.max_length))
        passages += _following(job.encoder, context, tokenizer, len(passages))
        yield Progress(0, job.encoder.steps, "steps")
        for step, loss in enumerate(train_masked_words(encoder, passages, job.encoder, context.device), 1):
            losses.append(loss)
            if step % PROGRESS_STEPS == 0:
                yield Progress(step, job.encoder.steps, "steps")
    if context.store.is_done(job):
        # Made beside this run, and others may be reading it.
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        transformers_logging.disable_progress_bar()
        tokenizer.save_pretrained(folder)
        encoder.save_pretrained(folder)
        (folder / "spec.json").write_text(job.model_dump_json(indent=1) + "\n", encoding="utf-8")
        done = {
            "sentences": len(text),
            "translations": len(pairs),
            "vocabulary": len(tokenizer),
            "parameters": encoder.num_parameters(),
            "asked_what_follows": sum(passage.follows is not None for passage in passages),
            "loss": _mean_of_last([loss.words for loss in losses]),
            "loss_following": _mean_of_last([loss.following for loss in losses]),
            "seconds": round(time.monotonic() - started, 3),
            "provenance": provenance(),
        }
        context.store.publish_directory(folder, context.store.encoder_path(job.id), done)


def start_similar(encoder: PreTrainedModel, scale: float) -> None:
    """Let each layer's queries and keys start with the same weights, so that like attends to like.

    One orthogonal matrix, scaled, serves for both. Small encoders otherwise spend most of a short
    training on finding out that attention can compare words. A simplification of the mimetic
    initialisation of Trockman and Kolter (2023), https://arxiv.org/abs/2305.09828. Positions start
    small beside words, so that it is words that are alike.
    """
    for layer in encoder.encoder.layer:
        attention = layer.attention.self
        with torch.no_grad():
            nn.init.orthogonal_(attention.query.weight, gain=scale)
            attention.key.weight.copy_(attention.query.weight)
    with torch.no_grad():
        encoder.embeddings.position_embeddings.weight.mul_(POSITIONS_START)


def train_tokenizer(text: Sequence[str], spec: PretrainSpec) -> PreTrainedTokenizerFast:
    """Train a cased WordPiece tokenizer whose ids do not depend on the run."""
    trained = _wordpiece({})
    # Pieces with equal counts are merged in the order of their letters' ids, which the trainer gives out
    # in another order in every process, unless they are named beforehand.
    letters = [f"##{letter}" for letter in _inner_letters(text, trained)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=spec.vocabulary, special_tokens=[*SPECIALS, *letters], show_progress=False
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


def _inner_letters(text: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """Return the characters that occur in a word after its first, sorted."""
    letters: set[str] = set()
    for sentence in text:
        words = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(sentence))
        letters.update(*(word[1:] for word, _ in words))
    return sorted(letters)


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


def _translations(spec: PretrainSpec, context: JobContext, sentences: int) -> list[tuple[str, str]]:
    """Return so many pairs that they are the share ``parallel`` of them and the sentences together.

    All pairs of languages have the same part, and each language comes first as often as second.
    Where a corpus has too few translations, they are repeated.
    """
    if not spec.parallel or not spec.steps:
        return []
    corpus = open_corpus(spec.corpus, context.data)
    wanted = round(sentences * spec.parallel / (1 - spec.parallel))
    both = list(combinations(spec.languages, 2))
    pairs: list[tuple[str, str]] = []
    for number, (first, second) in enumerate(both, 1):
        count = wanted * number // len(both) - len(pairs)
        pairs += islice(cycle(list(islice(corpus.parallel(first, second), count))), count)
    return [(second, first) if index % 2 else (first, second) for index, (first, second) in enumerate(pairs)]


def _following(
    spec: PretrainSpec, context: JobContext, tokenizer: PreTrainedTokenizerFast, others: int
) -> list[Passage]:
    """Return pairs of texts to ask about; of two, one has its second text from another pair.

    They are the share ``next_sentence`` of all sequences, the ``others`` included; languages have equal
    parts. Where there are too few, they are repeated; a source has none if less than two pairs are wanted
    of it or there.
    """
    if not spec.next_sentence:
        return []
    sources = [open_corpus(spec.corpus, context.data).neighbours(language) for language in spec.languages]
    sources += [neighbours_in(text_sentences(context.data, path)) for path in spec.text]
    each = round(others * spec.next_sentence / (1 - spec.next_sentence) / len(sources))
    passages = []
    for source in sources:
        found = list(islice(source, each))
        if len(found) < 2:
            continue
        pairs = list(islice(cycle(found), each))
        firsts = [first for first, _ in pairs]
        seconds = [pairs[number - number % 2][1] for number in range(len(pairs))]
        encoded = tokenizer(firsts, seconds, truncation="longest_first", max_length=spec.max_length)
        both = zip(encoded["input_ids"], encoded["token_type_ids"], strict=True)
        passages += [Passage(Tokens(ids, types), i % 2 == 0) for i, (ids, types) in enumerate(both)]
    tokenizer.backend_tokenizer.no_truncation()
    return passages


def _mean_of_last(losses: Sequence[float | None]) -> float | None:
    known = [loss for loss in losses if loss is not None][-LOSSES_KEPT:]
    return sum(known) / len(known) if known else None


def _sequences(
    text: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
) -> list[Tokens]:
    """Tokenise sentences, and each pair as one sequence of two segments."""
    encoded = tokenizer(list(text), truncation=True, max_length=max_length)["input_ids"]
    sequences = [Tokens(ids, [0] * len(ids)) for ids in encoded]
    if pairs:
        firsts, seconds = (list(side) for side in zip(*pairs, strict=True))
        both = tokenizer(firsts, seconds, truncation="longest_first", max_length=max_length)
        sequences += map(Tokens, both["input_ids"], both["token_type_ids"])
    # The length is the training's, but would be stored as if it were the tokenizer's.
    tokenizer.backend_tokenizer.no_truncation()
    return sequences
