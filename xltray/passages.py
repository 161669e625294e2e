"""What an encoder of ours is pretrained on: sentences, translations, and texts that may follow each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, cycle, islice

from transformers import PreTrainedTokenizerFast

from xltray.as_planned import check_unchanged, this_machines_files
from xltray.context import JobContext
from xltray.corpora.base import neighbours_in
from xltray.corpora.registry import open_corpus
from xltray.corpora.text import identify_text, text_sentences
from xltray.jobs import PretrainJob
from xltray.nn.masked_words import Passage
from xltray.nn.packing import Tokens
from xltray.spec import PretrainSpec

_OWN_FILES = this_machines_files("text to pretrain on")


@_OWN_FILES
def read_text(job: PretrainJob, context: JobContext) -> list[str]:
    """Return the sentences of all languages and files, after making sure that they are what the plan saw.

    Raises:
        CorpusError: if they changed since, or are broken.
        MissingInputError: if they are not there.
    """
    return list(_text(job, context))


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


@_OWN_FILES
def read_translations(spec: PretrainSpec, context: JobContext, sentences: int) -> list[tuple[str, str]]:
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


@_OWN_FILES
def make_passages(
    text: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    spec: PretrainSpec,
    context: JobContext,
    tokenizer: PreTrainedTokenizerFast,
) -> list[Passage]:
    """Tokenise sentences and translations, and add texts that the encoder is asked about."""
    passages = list(map(Passage, _sequences(text, pairs, tokenizer, spec.max_length)))
    return passages + _following(spec, context, tokenizer, len(passages))


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
