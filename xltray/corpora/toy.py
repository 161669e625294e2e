"""Synthetic languages: real training data without a download, and distance between languages as a knob.

A grammar draws dependency trees over concepts (``toy_grammar``, ``toy_concepts``); each language has
its own words (``toy_languages``), order and endings (``toy_surface``). It is hard in the ways that
text is: words of several parts of speech, attachment that the meaning decides, agreement, free order.
Names in the same trees are entities (``toy_entities``); ``toy_pairs`` makes pairs for inference.
docs/toy-languages.md describes all of it, with examples.

Sentences are drawn, never stored. A stream of them is named by language, purpose and seed, so the
languages' sentences are not translations of each other, and ``train``, ``dev``, ``test`` and ``text`` of
one language are different samples. The languages themselves do not depend on the seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from itertools import islice
from typing import Any, ClassVar

from xltray.corpora.base import Corpus, Entities, Pair, Sentence
from xltray.corpora.toy_dice import Dice
from xltray.corpora.toy_entities import tags
from xltray.corpora.toy_grammar import Grammar, Node
from xltray.corpora.toy_languages import LANGUAGES, Typology, derived
from xltray.corpora.toy_pairs import tree_pairs
from xltray.corpora.toy_surface import surface
from xltray.corpora.xnli import LABELS
from xltray.errors import MissingInputError, Problem, did_you_mean
from xltray.fingerprint import fingerprint
from xltray.plan import DataId
from xltray.spec import DataSpec
from xltray.spec_toy import ToySpec
from xltray.spec_types import Role

GENERATOR_VERSION = 8
"""Raise it whenever other sentences come out, so that no result of the old ones is taken for new."""

TEXT_PER_TRAINING_SENTENCE = 4
"""``text`` is for pretraining, of which there should be more than there are annotated sentences."""

RESTATED = 0.3
"""Share of the lines of ``text`` that are two sentences, of which one restates or changes the other."""

WORDS = range(4, 26)
"""Allowed lengths of a sentence, punctuation included."""

WITHOUT_ENTITIES = 0.1
"""Share of the sentences without any name that are kept where entities are asked for."""

BYTES_PER_SENTENCE = 54
"""Average over the languages."""


class ToyCorpus(Corpus):
    """The synthetic languages, in the amounts that ``data.toy`` asks for."""

    name: ClassVar[str] = "toy"

    def __init__(self, data: DataSpec) -> None:
        self.spec = data.toy
        self._typologies = LANGUAGES | {
            code: derived(code, changes) for code, changes in data.toy.languages.items()
        }

    def languages(self) -> tuple[str, ...]:
        """Return the languages that can be asked for, sorted."""
        return tuple(sorted(self._typologies))

    def identify(self, language: str, role: Role) -> DataId:
        """Return what names the examples of all kinds, without drawing them; the size is an estimate.

        Raises:
            MissingInputError: for a language that there is not.
        """
        typology = self.typology(language)
        size = self._size(role)
        content: dict[str, Any] = {
            "generator": GENERATOR_VERSION,
            "language": language,
            "role": role,
            "sentences": size,
            "seed": self.spec.seed,
        }
        if self._pairs_wanted(role) is not None:
            content["pairs"] = self._pairs_wanted(role)
        if self._sample(role) != role:
            content["sample"] = self._sample(role)
        if self.spec.near_misses:
            content["near_misses"] = self.spec.near_misses
        if typology != LANGUAGES.get(language):
            content["typology"] = asdict(typology)
        return DataId(fingerprint(content), BYTES_PER_SENTENCE * size)

    def sentences(self, language: str, role: Role) -> list[Sentence]:
        """Draw the sentences that serve for training or development.

        Raises:
            MissingInputError: for a language that there is not.
        """
        return list(islice(self._stream(language, self._sample(role)), self._size(role)))

    def entities(self, language: str, role: Role) -> list[Entities]:
        """Draw sentences with their named entities; most have some.

        Raises:
            MissingInputError: for a language that there is not.
        """
        return list(islice(self._entities(language, self._sample(role)), self._size(role)))

    def pairs(self, language: str, role: Role) -> list[Pair]:
        """Draw premises and hypotheses; of every three pairs, one has each label.

        Raises:
            MissingInputError: for a language that there is not.
        """
        self.typology(language)
        number = self._pairs_wanted(role) or self._size(role)
        return list(_drawn_pairs(self.spec.model_dump_json(), language, self._sample(role), number))

    def text(self, language: str) -> Iterator[str]:
        """Yield raw text, a sample of its own, larger than the training set.

        Most lines are one sentence. Some are two that speak of the same, as sentences of a text do: the
        sentences of an inference pair in any order, without its label.

        Raises:
            MissingInputError: for a language that there is not.
        """
        self.typology(language)
        count = TEXT_PER_TRAINING_SENTENCE * self.spec.train
        return islice(self._text(language), count)

    def parallel(self, first: str, second: str) -> Iterator[tuple[str, str]]:
        """Yield the same meanings in two languages: a sample of its own, as many as ``text`` has.

        Raises:
            MissingInputError: for a language that there is not.
        """
        for language in (first, second):
            self.typology(language)
        return islice(self._translations(first, second), TEXT_PER_TRAINING_SENTENCE * self.spec.train)

    def neighbours(self, language: str) -> Iterator[tuple[str, str]]:
        """Yield sentences of which the second follows the first, without end: a sample of its own.

        They speak of the same and, like those of any sensible text, do not contradict each other: the
        sentences of an entailment, in any order.

        Raises:
            MissingInputError: for a language that there is not.
        """
        self.typology(language)
        return self._restated(language)

    def typology(self, language: str) -> Typology:
        """Return the settings of a language.

        Raises:
            MissingInputError: for a language that there is not.
        """
        if language not in self._typologies:
            problem = Problem(
                where=f"corpus {self.name}",
                found=f"language {language!r}",
                expected="one of its synthetic languages",
                advice=f"{did_you_mean(language, self._typologies)} Others: data.toy.languages",
            )
            raise MissingInputError("No such language:", [problem])
        return self._typologies[language]

    def _translations(self, first: str, second: str) -> Iterator[tuple[str, str]]:
        dice = Dice("sentences", self.spec.seed, first, second, "parallel")
        grammar = Grammar(dice)
        speakers = [surface(self.typology(language)) for language in (first, second)]
        while True:
            tree = grammar.sentence()
            one, other = (speaker.sentence(tree, dice, "") for speaker in speakers)
            if len(one.words) in WORDS and len(other.words) in WORDS:
                yield one.text, other.text

    def _size(self, role: Role) -> int:
        return self.spec.train if role == "train" else self.spec.dev

    def _pairs_wanted(self, role: Role) -> int | None:
        return self.spec.train_pairs if role == "train" else self.spec.dev_pairs

    def _sample(self, role: Role) -> str:
        return self.spec.evaluate_on if role == "dev" else role

    def _stream(self, language: str, sample: str) -> Iterator[Sentence]:
        dice = Dice("sentences", self.spec.seed, language, sample)
        return (sentence for sentence, _ in self._wordings(language, sample, dice))

    def _text(self, language: str) -> Iterator[str]:
        dice = Dice("text", self.spec.seed, language)
        pairs = self._pairs(language, "text")
        for sentence in self._stream(language, "text"):
            if dice.chance(RESTATED):
                pair = next(pairs)
                yield " ".join(dice.shuffled((pair.premise, pair.hypothesis)))
            else:
                yield sentence.text

    def _restated(self, language: str) -> Iterator[tuple[str, str]]:
        dice = Dice("neighbours", self.spec.seed, language)
        for pair in self._pairs(language, "neighbours", ["entailment"]):
            one, other = dice.shuffled((pair.premise, pair.hypothesis))
            yield one, other

    def _entities(self, language: str, sample: str) -> Iterator[Entities]:
        dice = Dice("entities", self.spec.seed, language, sample)
        number = 1
        for sentence, nodes in self._wordings(language, sample, dice):
            found = tags(nodes)
            if any(tag != "O" for tag in found) or dice.chance(WITHOUT_ENTITIES):
                where = f"{self.name}:{language}:{sample}:entities:{number}"
                yield Entities(sentence.words, found, where)
                number += 1

    def _pairs(self, language: str, sample: str, labels: Sequence[str] = LABELS) -> Iterator[Pair]:
        dice, speaker = (
            Dice("pairs", self.spec.seed, language, sample),
            surface(self.typology(language)),
        )
        for number, pair in enumerate(tree_pairs(dice, self.spec.near_misses, labels), start=1):
            where = f"{self.name}:{language}:{sample}:pairs:{number}"
            premise, hypothesis = (
                speaker.sentence(tree, dice, where).text for tree in (pair.premise, pair.hypothesis)
            )
            yield Pair(premise, hypothesis, pair.label, where)

    def _wordings(
        self, language: str, sample: str, dice: Dice
    ) -> Iterator[tuple[Sentence, tuple[Node, ...]]]:
        grammar, speaker = Grammar(dice), surface(self.typology(language))
        number = 1
        while True:
            where = f"{self.name}:{language}:{sample}:{number}"
            sentence, nodes = speaker.wording(grammar.sentence(), dice, where)
            if len(sentence.words) in WORDS:
                yield sentence, nodes
                number += 1


# Drawn in a third of a millisecond each, and asked for again by every job that a process runs.
@lru_cache(maxsize=8)
def _drawn_pairs(spec: str, language: str, sample: str, number: int) -> tuple[Pair, ...]:
    corpus = ToyCorpus(DataSpec(toy=ToySpec.model_validate_json(spec)))
    return tuple(islice(corpus._pairs(language, sample), number))
