"""The toy languages: what sets them apart, and the words that each has for the shared concepts.

All descend from one proto-language. A language inherits a share of its words from it through
regular sound changes (cognates) and coins the others in its own sounds, so distance from the source
language is a knob, as are order, adpositions, articles, case and agreement. Codes are from the
range that ISO 639-2 keeps for private use (qaa-qtz).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from xltray.corpora import toy_concepts as concepts
from xltray.corpora.toy_dice import Dice
from xltray.spec_toy import Side, ToyLanguageSpec

Alike = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Typology:
    """The settings of a language; shares are in [0, 1]."""

    code: str
    order: Literal["SVO", "VSO", "SOV"]
    adjective: Side
    """Side of the noun on which adjectives stand."""
    adposition: Side
    """Side of the phrase on which adpositions, and of the clause on which subordinators stand."""
    genitive: Side
    """Side of the noun on which adpositional modifiers and compounded nouns stand."""
    relative: Side
    """Side of the noun on which relative clauses stand."""
    articles: tuple[str, ...]
    """Which of the articles the language has."""
    case_endings: bool
    """Whether animate objects and recipients take an ending."""
    adjective_agreement: bool
    """Whether adjectives take the plural ending of their noun."""
    capitals: float
    """Share of the sentences in which names and the first word begin with a capital."""
    cognates: float
    """Share of the words and endings inherited from the proto-language."""
    names: float
    """Share of the names that are the proto-language's, unchanged."""
    sound_changes: tuple[tuple[str, str], ...]
    """Regular changes of inherited words, applied in turn."""
    consonants: str
    vowels: str
    """Sounds of the words that the language coined itself."""
    homographs: float
    """Share of the verbs, adjectives, adverbs and names that are written like some noun."""
    alike: Alike
    """Pairs of concepts with one form: the second takes that of the first."""
    freedom: float
    """How often a subject, object, oblique, adverb or adjective stands on its head's other side. Objects
    without an ending move in SVO languages only."""
    coinage: str = ""
    """The language whose coined words these are; its own where none is named."""


DEMONSTRATIVES: Alike = (("this", "this-one"), ("that", "that-clause"))
PROTO_CONSONANTS, PROTO_VOWELS = "ptkbdgmnlrsfvz", "aeiou"

LANGUAGES: dict[str, Typology] = {
    typology.code: typology
    for typology in (
        Typology(  # the source
            code="qaa",
            order="SVO",
            adjective="before",
            adposition="before",
            genitive="after",
            relative="after",
            articles=concepts.ARTICLES,
            case_endings=False,
            adjective_agreement=False,
            capitals=0.9,
            cognates=1.0,
            names=1.0,
            sound_changes=(),
            consonants=PROTO_CONSONANTS,
            vowels=PROTO_VOWELS,
            homographs=0.15,
            alike=(
                *(*DEMONSTRATIVES, ("that", "who"), ("to", "to-infinitive")),
                *(("give", "have"), ("in", "here"), ("for", "because")),
            ),
            freedom=0.05,
        ),
        Typology(  # near: a sister language
            code="qab",
            order="SVO",
            adjective="after",
            adposition="before",
            genitive="after",
            relative="after",
            articles=concepts.ARTICLES,
            case_endings=False,
            adjective_agreement=True,
            capitals=0.9,
            cognates=0.6,
            names=0.8,
            sound_changes=(("k", "h"), ("b", "v"), ("ti", "tsi"), ("u", "o")),
            consonants="ptkhdgmnlrsfv",
            vowels="aeio",
            homographs=0.5,
            alike=(
                *DEMONSTRATIVES,
                ("that", "who"),
                ("for", "to-infinitive"),
                ("give", "have"),
                ("a", "two"),
                ("want", "will"),
                ("field", "near"),
            ),
            freedom=0.07,
        ),
        Typology(  # mid: as Arabic is to English
            code="qac",
            order="VSO",
            adjective="after",
            adposition="before",
            genitive="after",
            relative="after",
            articles=("the",),
            case_endings=False,
            adjective_agreement=True,
            capitals=0.0,
            cognates=0.45,
            names=0.8,
            sound_changes=(("p", "b"), ("g", "j"), ("e", "a"), ("o", "u")),
            consonants="bdjqmnlrsftkhz",
            vowels="aiu",
            homographs=0.5,
            alike=(
                ("this", "this-one"),
                ("with", "and"),
                ("that-clause", "to-infinitive"),
                ("house", "in"),
                ("try", "can"),
            ),
            freedom=0.11,
        ),
        Typology(  # far: as Hindi is to English
            code="qad",
            order="SOV",
            adjective="before",
            adposition="after",
            genitive="before",
            relative="before",
            articles=(),
            case_endings=True,
            adjective_agreement=False,
            capitals=0.0,
            cognates=0.3,
            names=0.8,
            sound_changes=(("f", "ph"), ("v", "w"), ("z", "j"), ("i", "ee")),
            consonants="ptkbdgcjmnlrshyw",
            vowels="aeou",
            homographs=0.5,
            alike=(
                ("this", "this-one"),
                ("to", "to-infinitive"),
                ("with", "and"),
                ("if", "when"),
                ("know", "can"),
                ("road", "from"),
            ),
            freedom=0.12,
        ),
    )
}


def derived(code: str, spec: ToyLanguageSpec) -> Typology:
    """Return the language ``code`` as a sweep file wants it: changed, or new and like another.

    A new language has the coined words of the one that it is like, so that nothing differs between
    the two but what the sweep file says.
    """
    base = LANGUAGES[spec.like or code]
    return replace(
        base, code=code, coinage=base.code if spec.like and not spec.own_words else "", **spec.changes()
    )


@dataclass(frozen=True, slots=True)
class Lexicon:
    """A language's forms, and the concepts whose words were inherited.

    Of these, some are spelled otherwise in the end: homographs take a noun's form, ``alike`` another word's.
    """

    forms: Mapping[str, str]
    cognates: frozenset[str]


@cache
def lexicon(language: str | Typology) -> Lexicon:
    """Return the words of a language: of one of ``LANGUAGES`` by its code, of any by its settings."""
    typology = LANGUAGES[language] if isinstance(language, str) else language
    code = typology.coinage or typology.code
    proto = _proto_forms()
    forms: dict[str, str] = {}
    cognates = set()
    taken: set[str] = set()
    for concept, syllables in _syllables():
        is_name = concept in concepts.NAME_CONCEPTS
        form = proto[concept]
        for old, new in () if is_name else typology.sound_changes:
            form = form.replace(old, new)
        dice = Dice("word", code, concept)
        inherited = dice.chance(typology.names if is_name else typology.cognates) and form not in taken
        if inherited:
            cognates.add(concept)
        else:
            form = _new_word(dice, typology.consonants, typology.vowels, syllables, taken)
        taken.add(form)
        forms[concept] = form
    nouns = {concept: _noun_written_alike(typology, concept, concept in cognates) for concept in _CONVERTIBLE}
    forms |= {concept: forms[noun] for concept, noun in nouns.items() if noun}
    for first, second in typology.alike:
        forms[second] = forms[first]
    return Lexicon(forms, frozenset(cognates))


_CONVERTIBLE = (
    *(*concepts.VERB_CONCEPTS, *concepts.ADJECTIVES, *concepts.MANNER, *concepts.DEGREE),
    *concepts.NAME_CONCEPTS,
)


def _noun_written_alike(typology: Typology, concept: str, inherited: bool) -> str:
    """Return the noun whose form a concept shares, if any; inherited words share the proto-language's."""
    dice = Dice("homograph", "proto" if inherited else typology.coinage or typology.code, concept)
    return dice.frequent(concepts.NOUN_CONCEPTS) if dice.chance(typology.homographs) else ""


def _syllables() -> Iterator[tuple[str, int]]:
    """Yield every concept with its number of syllables: grammatical words are short."""
    for concept in (*concepts.SUFFIXES, *concepts.FUNCTION_CONCEPTS):
        yield concept, 1
    for concept in (*concepts.CONTENT_CONCEPTS, *concepts.NAME_CONCEPTS):
        yield concept, Dice("syllables", concept).one((2, 2, 3))


@cache
def _proto_forms() -> dict[str, str]:
    forms: dict[str, str] = {}
    taken: set[str] = set()
    for concept, syllables in _syllables():
        dice = Dice("word", "proto", concept)
        forms[concept] = _new_word(dice, PROTO_CONSONANTS, PROTO_VOWELS, syllables, taken)
        taken.add(forms[concept])
    return forms


def _new_word(dice: Dice, consonants: str, vowels: str, syllables: int, taken: set[str]) -> str:
    """Coin a word of consonant-vowel syllables, perhaps closed, that is not taken yet."""
    while True:
        word = "".join(dice.one(consonants) + dice.one(vowels) for _ in range(syllables))
        if dice.chance(0.4):
            word += dice.one(consonants)
        if word not in taken:
            return word
