"""Examples of a sweep's languages side by side, as text: what the data looks like.

Of the synthetic languages the same meaning is shown in every language, word by word with glosses;
of any other corpus, the first training examples of each language (dev, where nothing is trained on it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from xltray.corpora.base import Entities, Pair, Sentence
from xltray.corpora.registry import open_corpus
from xltray.corpora.toy import ToyCorpus
from xltray.corpora.toy_glosses import Glossed, same_meanings
from xltray.spec import SweepSpec
from xltray.tasks.registry import corpus_name, example_kind


def show(sweep: SweepSpec, tasks: Sequence[str], count: int) -> Iterator[str]:
    """Yield the lines to print for some of a sweep's tasks.

    Raises:
        MissingInputError: if the data of a language is not there.
        CorpusError: if it is broken.
    """
    shown = set()
    for task in tasks:
        name, kind = corpus_name(task, sweep.data), example_kind(task)
        if (name, kind) in shown:
            continue
        shown.add((name, kind))
        also = ", ".join(
            one for one in tasks if (corpus_name(one, sweep.data), example_kind(one)) == (name, kind)
        )
        yield f"== {also}: corpus {name}"
        trained = sweep.languages()
        languages = (*trained, *(other for other in sweep.third_languages if other not in trained))
        corpus = open_corpus(name, sweep.data)
        if isinstance(corpus, ToyCorpus):
            examples = same_meanings(corpus, kind, languages, count)
        else:
            splits = {
                language: corpus.examples(kind, language, "train" if language in trained else "dev")
                for language in languages
            }
            examples = _first(splits, count)
        for number, of_languages in enumerate(examples, start=1):
            yield ""
            yield f"-- {number}"
            for language, glossed in of_languages.items():
                yield from _block(language, glossed)


def _first(
    splits: Mapping[str, Sequence[Sentence | Entities | Pair]], count: int
) -> Iterator[Mapping[str, Glossed]]:
    for examples in islice(zip(*splits.values(), strict=False), count):
        yield {language: Glossed(example, ()) for language, example in zip(splits, examples, strict=True)}


def _block(language: str, glossed: Glossed) -> Iterator[str]:
    """Yield the lines of one example; the first begins with the language's code."""
    example, glosses = glossed
    if isinstance(example, Pair):
        texts = (("premise", example.premise), ("hypothesis", example.hypothesis))
        for number, (name, text) in enumerate(texts):
            yield f"{language if not number else '':5}{name:12}{text}"
            if glosses:
                yield f"{'':17}({' '.join(glosses[number])})"
        yield f"{'':5}{'label':12}{example.label}"
        return
    rows = [("", example.words), *(("gloss", words) for words in glosses)]
    if isinstance(example, Entities):
        rows.append(("tag", example.tags))
    else:
        rows.append(("upos", example.upos))
        heads = zip(example.heads, example.deprels, strict=True)
        rows.append(("head", tuple(f"{head}:{relation}" for head, relation in heads)))
    widths = [max(map(len, column)) for column in zip(*(cells for _, cells in rows), strict=True)]
    for number, (name, cells) in enumerate(rows):
        padded = "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
        yield f"{language if not number else '':5}{name:7}{padded}".rstrip()
