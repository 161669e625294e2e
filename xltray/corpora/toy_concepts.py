"""The meanings that the toy languages share: concepts, what goes with what, and fair dice.

A concept is an English gloss. Every list is in order of frequency: the grammar draws from it by
Zipf's law. Nouns belong to selectional classes; verbs and adjectives choose the classes that they
go with, and verbs govern adpositions. That makes attachment a matter of meaning, as in English:
in "see the farmer from the city" the verb does not govern "from", so the phrase belongs to the
noun, but in "buy the bread from the city" it belongs to the verb.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Literal, TypeVar

Item = TypeVar("Item")
Frame = Literal["transitive", "ditransitive", "intransitive", "speech", "control"]


class Dice:
    """Draws that are the same on every machine and Python version.

    Python promises that only of ``Random.random()`` seeded with a string, so nothing else is used.
    """

    def __init__(self, *seed: str | int) -> None:
        self._random = random.Random("/".join(map(str, seed))).random

    def chance(self, share: float) -> bool:
        """Return True in ``share`` of the cases."""
        return self._random() < share

    def one(self, items: Sequence[Item]) -> Item:
        """Draw with equal chances."""
        return items[int(self._random() * len(items))]

    def frequent(self, items: Sequence[Item]) -> Item:
        """Draw by Zipf's law (Mandelbrot's form): rank r has a chance proportional to 1 / (r + 2)."""
        cumulative = _zipf(len(items))
        return items[bisect(cumulative, self._random() * cumulative[-1], hi=len(items) - 1)]


@cache
def _zipf(count: int) -> tuple[float, ...]:
    return tuple(accumulate(1 / (rank + 2) for rank in range(count)))


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: the noun classes of its arguments, and the adpositions that it governs."""

    concept: str
    frame: Frame
    subjects: tuple[str, ...]
    objects: tuple[str, ...] = ()
    governs: tuple[str, ...] = ()


def _table(text: str) -> dict[str, tuple[str, ...]]:
    """Read lines of ``key | words``."""
    rows = (line.split("|") for line in text.strip().splitlines())
    return {key.strip(): tuple(words.split()) for key, words in rows}


NOUNS = _table(
    """
    person | woman man child teacher doctor friend farmer king sister soldier judge singer guest
    animal | dog horse bird cat fish cow wolf sheep snake bee
    food   | bread rice apple meat soup milk cake bean honey salt
    thing  | book knife letter stone boat cup door rope lamp coin basket drum
    place  | house city river forest market field school bridge island road
    idea   | story law war plan song price truth dream game question
    group  | family company army team bank party
    """
)
ANIMATE = ("person", "animal", "group")


def _verbs(frame: Frame, table: str) -> tuple[Verb, ...]:
    """Read lines of ``gloss | classes of the subject | classes of the object | adpositions``."""
    rows = [[cell.split() for cell in line.split("|")] for line in table.strip().splitlines()]
    return tuple(
        Verb(gloss, frame, tuple(subjects), tuple(objects), tuple(governs))
        for (gloss,), subjects, objects, governs in rows
    )


VERBS: dict[Frame, tuple[Verb, ...]] = {
    "transitive": _verbs(
        "transitive",
        """
        see    | person animal       | person animal thing place | in
        find   | person animal       | person animal food thing  | in with
        know   | person group        | person idea place         | from
        want   | person group animal | food thing idea           | for
        buy    | person group        | food thing animal         | from for
        eat    | person animal       | food                      | with in
        help   | person group        | person group animal       | with
        follow | person animal group | person animal group       | to
        hear   | person animal       | idea person animal        | from about
        build  | person group        | place thing               | with for
        carry  | person animal       | food thing                | to
        read   | person              | idea thing                | in to
        sell   | person group        | food thing animal         | in for
        write  | person              | idea                      | about with
        attack | person animal group | animal person place group | with in
        break  | person animal       | thing                     | with
        love   | person              | person animal food idea   | for
        hide   | person animal       | food thing                | in from
        change | person group idea   | idea place thing group    | with
        cook   | person              | food                      | for with
        guard  | animal person group | place thing person        | from
        fill   | person food         | thing place               | with
        """,
    ),
    "ditransitive": _verbs(
        "ditransitive",
        """
        give  | person group | thing food  | for
        show  | person       | place thing | in
        send  | person group | thing food  | from
        bring | person       | food thing  | from to
        """,
    ),
    "intransitive": _verbs(
        "intransitive",
        """
        come  | person animal group | | from to with
        work  | person group        | | for in with
        live  | person animal group | | in with
        sleep | person animal       | | in
        run   | person animal       | | to from
        speak | person              | | about to with
        wait  | person animal       | | for in
        grow  | food animal idea    | | in from
        fall  | person thing place  | | from in
        sing  | person animal       | | about for
        """,
    ),
    "speech": _verbs(
        "speech",
        """
        say     | person group | | to
        think   | person       | |
        believe | person group | |
        fear    | person group | |
        """,
    ),
    "control": _verbs(
        "control",
        """
        try    | person animal group | |
        begin  | person group        | |
        refuse | person group        | |
        forget | person              | |
        """,
    ),
}

ADJECTIVES = _table(
    """
    good    | person animal food thing place idea group
    big     | animal food thing place group
    old     | person animal thing place idea
    new     | thing place idea group
    small   | animal food thing place group
    young   | person animal
    bad     | person food idea group
    rich    | person place group
    long    | thing idea
    happy   | person animal idea
    poor    | person place group
    cold    | food place thing
    strong  | person animal group
    warm    | food place
    sad     | person animal idea
    sweet   | food
    quiet   | person animal place
    broken  | thing idea
    famous  | person place idea group
    strange | person animal thing idea
    """
)
MANNER = ("often", "quickly", "here", "today", "slowly", "never", "again", "alone")
DEGREE = ("very", "too", "rather")

ADPOSITIONS = _table(
    """
    in    | place thing
    from  | place person group
    to    | place person group
    with  | thing person animal
    for   | person group animal
    about | idea person animal
    of    | person place group
    near  | place
    """
)
MODIFIED_BY = _table(
    """
    person | from with in
    animal | from with in
    food   | from for with in
    thing  | in for with from
    place  | near with for
    idea   | about from for
    group  | from in with
    """
)
"""The adpositional phrases, other than the genitive, that a noun may have."""

ARTICLES = ("the", "a")
DETERMINERS = ("the", "a", "this", "that", "some", "every")
PRONOUNS = ("she", "they", "he", "we")
DEMONSTRATIVE = "this-one"
RELATIVE = "who"
AUXILIARIES = ("will", "can", "must", "have")
COPULA = "be"
NEGATION = "not"
INFINITIVE = "to-infinitive"
COORDINATORS = ("and", "or")
CONTRAST = "but"
COMPLEMENTIZER = "that-clause"
SUBORDINATORS = ("because", "when", "if")
INTERJECTIONS = ("oh", "yes", "well")
NUMERALS = ("two", "three", "four", "five", "six", "ten")

FIRST_NAMES = tuple(f"first-name-{i}" for i in range(16))
FAMILY_NAMES = tuple(f"name-{i}" for i in range(28))
PLACE_NAMES = FAMILY_NAMES[9:] + FAMILY_NAMES[:9]
GROUP_NAMES = FAMILY_NAMES[18:] + FAMILY_NAMES[:18]
"""Families, places and groups bear the same names (with other frequencies): context tells which."""
NAME_PARTS = ("new-place", "upper", "trust", "union")

PLURAL, PAST, ACCUSATIVE, DATIVE = SUFFIXES = ("-plural", "-past", "-accusative", "-dative")

NOUN_CONCEPTS = tuple(noun for nouns in NOUNS.values() for noun in nouns)
VERB_CONCEPTS = tuple(verb.concept for verbs in VERBS.values() for verb in verbs)
NAME_CONCEPTS = FIRST_NAMES + FAMILY_NAMES + NAME_PARTS
FUNCTION_CONCEPTS = (
    *(*ADPOSITIONS, *DETERMINERS, *PRONOUNS, *AUXILIARIES, *COORDINATORS, *SUBORDINATORS),
    *(DEMONSTRATIVE, RELATIVE, COPULA, NEGATION, INFINITIVE, CONTRAST, COMPLEMENTIZER),
    *INTERJECTIONS,
)
CONTENT_CONCEPTS = (*NOUN_CONCEPTS, *VERB_CONCEPTS, *ADJECTIVES, *MANNER, *DEGREE, *NUMERALS)
