"""Scenes: what the sentences of an inference pair are about, drawn before the label is looked at.

Two scenes are drawn at a time that differ in subject, predicate or object, or in who does it to
whom. They are exchangeable: each is as likely to be the first as the other is. With them
come the *specifications* of the predicate, of which a sentence has as many as its form's level
says, and one *extra* that every premise has and no hypothesis: it is outside the negation, so that
the premise says more with it, affirmed or negated.

Subjects are definite ("the dog" of the hypothesis is that of the premise), objects indefinite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from xltray.corpora import toy_concepts as concepts
from xltray.corpora.toy_dice import Dice
from xltray.corpora.toy_inference import MOST_LEVELS
from xltray.corpora.toy_scales import INTRANSITIVE, SCALES, SHAPES, Scale, Shape, both

AUXILIARIES = ("will", "have")
"""Those with which antonyms stay contrary: of what "can" be, both may be."""
NOT_MANNER = ("never",)
COMMON = 8
"""Words of a kind that stories draw from, the most frequent: what is to be learned is to compare."""
LEVELS = (0, *[1] * 4, MOST_LEVELS)
"""How many specifications stories have, evenly drawn from."""
DIFFERENT = 0.6
"""How often each of subject, predicate and object is another in the second scene."""


@dataclass(frozen=True, slots=True)
class Noun:
    """A simple noun phrase."""

    concept: str
    noun_class: str
    upos: str = "NOUN"
    determiner: str = ""
    plural: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """Who does what to whom, or who is how."""

    subject: Noun
    scale: Scale
    object: Noun | None = None


@dataclass(frozen=True, slots=True)
class Specification:
    """What makes a predicate say more: a manner, a place, a degree, an object's adjective or hyponym."""

    kind: Literal["hyponym", "amod", "obl", "manner", "degree"]
    concept: str = ""
    noun: Noun | None = None


@dataclass(frozen=True, slots=True)
class Extra:
    """What a premise says and a hypothesis does not."""

    kind: Literal["amod", "nmod", "hypernym", "conj", "clause"]
    concept: str = ""
    noun: Noun | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """Two scenes and what their sentences share."""

    shape: Shape
    scenes: tuple[Scene, Scene]
    specifications: tuple[Specification, ...]
    extra: Extra
    auxiliary: str
    past: bool

    def apart(self, other: Story) -> bool:
        """Return whether the stories have no predicate in common, so that each is neutral to the other."""
        ours, theirs = (
            {concept for scene in story.scenes for concept in scene.scale.predicates}
            for story in (self, other)
        )
        return not (ours & theirs or self.extra.concept in theirs or other.extra.concept in ours)

    @property
    def levels(self) -> int:
        """The number of specifications."""
        return len(self.specifications)

    @property
    def sides(self) -> int:
        """The number of predicates of each scene: 2 with antonyms."""
        return len(self.scenes[0].scale.predicates)


NAMES = {
    "person": (*concepts.FIRST_NAMES[:5], *concepts.FAMILY_NAMES[:3]),
    "place": concepts.PLACE_NAMES[:COMMON],
    "group": concepts.GROUP_NAMES[:COMMON],
}


class Stories:
    """Draws stories with the dice given."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice

    def story(self, levels: int, sides: int) -> Story:
        """Draw a story with so many specifications, or as many as its scenes have, and predicates."""
        dice = self.dice
        shape = dice.one(SHAPES)
        differing = self._differing(shape)
        scenes = self._scenes(shape, differing, sides)
        return Story(
            shape,
            scenes,
            tuple(self._specifications(shape, scenes, differing)[:levels]),
            self._extra(scenes, differing),
            dice.one(AUXILIARIES) if shape != "adjective" and dice.chance(0.2) else "",
            dice.chance(0.5),
        )

    def two(self) -> tuple[Story, Story]:
        """Draw two unrelated stories, exchangeable too, whose sentences have the same forms."""
        levels, sides = self.dice.one(LEVELS), self.dice.one((1, 2))
        while True:
            one, other = self.story(levels, sides), self.story(levels, sides)
            if one.levels == other.levels and one.apart(other):
                return one, other

    def _differing(self, shape: Shape) -> frozenset[str]:
        """Draw in what the two scenes differ: one thing or several."""
        if shape == "swap":
            return frozenset({"swap"})
        things = ("subject", "predicate", *(("object",) if shape == "transitive" else ()))
        while True:
            differing = frozenset(thing for thing in things if self.dice.chance(DIFFERENT))
            if differing:
                return differing

    def _two(self, draw: Callable[[], str]) -> tuple[str, str]:
        """Draw two different concepts; both again if they are the same, so that they are exchangeable."""
        while True:
            one, other = draw(), draw()
            if one != other:
                return one, other

    def _scenes(self, shape: Shape, differing: frozenset[str], sides: int) -> tuple[Scene, Scene]:
        dice = self.dice
        scales = [scale for scale in SCALES[shape] if len(scale.predicates) == sides][:COMMON]
        while True:
            one, other = dice.frequent(scales), dice.frequent(scales)
            if "predicate" not in differing:
                other = one
            elif one == other:
                continue
            subjects, objects = both(one.subjects, other.subjects), both(one.objects, other.objects)
            if shape == "swap":
                subjects = objects = both(subjects, objects)
            if subjects and (objects or shape in ("intransitive", "adjective")):
                break
        subject = dice.one(subjects)
        first, second = self._nouns(subject)
        if shape == "swap":
            return Scene(first, one, second), Scene(second, one, first)
        if "subject" not in differing:
            second = first
        if not objects:
            return Scene(first, one), Scene(second, other)
        things = self._objects(dice.one(objects), "object" in differing)
        return Scene(first, one, things[0]), Scene(second, other, things[1])

    def _nouns(self, noun_class: str) -> tuple[Noun, Noun]:
        """Draw two definite noun phrases that differ in one word."""
        dice = self.dice
        names = NAMES.get(noun_class, ())
        if names and dice.chance(0.3):
            nouns = self._two(lambda: dice.frequent(names))
            return Noun(nouns[0], noun_class, "PROPN"), Noun(nouns[1], noun_class, "PROPN")
        determiner = dice.one(("the", "the", "the", "this", "that"))
        plural = dice.chance(0.25)
        nouns = self._two(lambda: self._hyponym(noun_class))
        one, other = (Noun(noun, noun_class, "NOUN", determiner, plural) for noun in nouns)
        return one, other

    def _hyponym(self, noun_class: str) -> str:
        return self.dice.frequent(_HYPONYMS[noun_class])

    def _objects(self, noun_class: str, differ: bool) -> tuple[Noun, Noun]:
        plural = self.dice.chance(0.3)
        one, other = self._two(lambda: self._hyponym(noun_class))
        first = Noun(one, noun_class, "NOUN", "" if plural else "a", plural)
        return first, replace(first, concept=other) if differ else first

    def _specifications(
        self, shape: Shape, scenes: tuple[Scene, Scene], differing: frozenset[str]
    ) -> list[Specification]:
        dice = self.dice
        manner = tuple(adverb for adverb in concepts.MANNER if adverb not in NOT_MANNER)
        found = [Specification("manner", dice.frequent(manner))]
        if shape == "adjective":
            found.append(Specification("degree", dice.frequent(concepts.DEGREE)))
        governed = both(*(scene.scale.governs for scene in scenes))
        if governed:
            adposition = dice.one(governed)
            noun_class = dice.one(concepts.ADPOSITIONS[adposition])
            noun = Noun(self._hyponym(noun_class), noun_class, "NOUN", dice.one(("the", "a")))
            found.append(Specification("obl", adposition, noun))
        thing = scenes[0].object
        if thing and shape == "transitive":
            found.append(
                Specification("amod", dice.frequent(concepts.ADJECTIVES_OF[thing.noun_class][:COMMON]))
            )
            if "object" not in differing:
                found.append(Specification("hyponym"))
        return dice.shuffled(found)

    def _extra(self, scenes: tuple[Scene, Scene], differing: frozenset[str]) -> Extra:
        dice, subject = self.dice, scenes[0].subject
        used = {noun.concept for scene in scenes for noun in (scene.subject, scene.object) if noun}
        kinds: list[Literal["amod", "nmod", "hypernym", "conj", "clause"]] = ["conj", "clause"]
        if subject.upos == "NOUN":
            kinds += ["amod", "amod", "nmod"]
            if not differing & {"subject", "swap"}:
                kinds += ["hypernym", "hypernym"]
        kind = dice.one(kinds)
        if kind == "amod":
            # An adjective of the predicate's own scale could contradict or repeat it.
            taken = {concept for scene in scenes for concept in scene.scale.predicates}
            free = [one for one in concepts.ADJECTIVES_OF[subject.noun_class] if one not in taken]
            return Extra(kind, dice.frequent(free[:COMMON]))
        if kind == "hypernym":
            return Extra(kind)
        while kind == "conj":
            noun = self._nouns(subject.noun_class)[0]
            if noun.concept not in used:
                return Extra(kind, noun=noun)
        if kind == "clause":
            taken = {concept for scene in scenes for concept in scene.scale.predicates}
            free_scales = [one for one in INTRANSITIVE if not taken & {*one.predicates}]
            scale = dice.frequent(free_scales[:COMMON])
            return Extra(kind, dice.one(scale.predicates), self._nouns(dice.one(scale.subjects))[0])
        noun_class = dice.one(concepts.ADPOSITIONS["of"])
        return Extra("nmod", "of", self._nouns(noun_class)[0])


_HYPONYMS = {
    name: tuple(noun for noun in nouns if noun not in concepts.HYPERNYMS)[:COMMON]
    for name, nouns in concepts.NOUNS.items()
}
