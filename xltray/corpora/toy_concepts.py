"""The meanings that the toy languages share: concepts, and what goes with what.

A concept is an English gloss. Every list is in order of frequency: the grammar draws from it by
Zipf's law. Nouns belong to selectional classes; verbs and adjectives choose the classes that they
go with, and verbs govern adpositions. That makes attachment a matter of meaning, as in English:
in "see the farmer from the city" the verb does not govern "from", so the phrase belongs to the
noun, but in "buy the bread from the city" it belongs to the verb.
"""

from __future__ import annotations

from xltray.corpora.toy_verbs import VERBS as VERBS


def _table(text: str) -> dict[str, tuple[str, ...]]:
    """Read lines of ``key | words``."""
    rows = (line.split("|") for line in text.strip().splitlines())
    return {key.strip(): tuple(words.split()) for key, words in rows}


NOUNS = _table(
    """
    person | woman man child teacher doctor person friend farmer king sister soldier judge singer guest \
             brother queen nurse baker thief sailor hunter poet priest widow uncle tailor
    animal | dog horse bird cat animal fish cow wolf sheep snake bee goat bear fox mouse lion duck \
             frog owl deer
    food   | bread rice apple meat food soup milk cake bean honey salt cheese egg onion pear butter nut plum
    thing  | book knife letter thing stone boat cup door rope lamp coin basket drum chair hammer wheel ring \
             mirror candle hat blanket needle ladder barrel
    place  | house city river place forest market field school bridge island road garden hill harbour \
             village castle cave tower desert kitchen temple prison
    idea   | story law war idea plan song price truth dream game question secret promise \
             debt rumour riddle oath
    group  | family company group army team bank party crowd tribe union-of-workers council choir navy
    """
)
HYPERNYMS = tuple(NOUNS)
"""Each class has a noun for anything in it, which bears the name of the class."""
ANIMATE = ("person", "animal", "group")


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
    weak    | person animal group
    short   | thing idea
    loud    | person animal place
    sour    | food
    whole   | thing idea
    wise    | person group
    heavy   | animal thing
    light   | animal thing
    empty-of | thing place
    full    | thing place
    foolish | person group
    brave   | person animal group
    dirty   | person animal thing place
    clean   | person animal thing place
    round   | food thing
    """
)
ANTONYMS = _table(
    """
    good  | bad
    big   | small
    rich  | poor
    long  | short
    happy | sad
    cold  | warm
    strong | weak
    sweet | sour
    quiet | loud
    broken | whole
    heavy | light
    full  | empty-of
    wise  | foolish
    clean | dirty
    love  | hate
    find  | lose
    help  | harm
    follow | avoid
    build | destroy
    attack | protect
    open  | close
    fill  | empty
    come  | leave
    sleep | wake
    fall  | rise
    grow  | shrink
    """
)
"""Adjectives and verbs of which not both can be true of the same at a time, though neither may be."""

MANNER = ("often", "quickly", "here", "today", "slowly", "never", "again", "alone", "soon", "there", "gladly")
DEGREE = ("very", "too", "rather", "quite")

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
    under | place thing
    through | place
    without | thing person food
    """
)
MODIFIED_BY = _table(
    """
    person | from with in without
    animal | from with in under
    food   | from for with in
    thing  | in for with from under
    place  | near with for without
    idea   | about from for
    group  | from in with
    """
)
"""The adpositional phrases, other than the genitive, that a noun may have."""

ARTICLES = ("the", "a")
DETERMINERS = ("the", "a", "this", "that", "some", "every", "each")
PRONOUNS = ("she", "they", "he", "we", "you")
DEMONSTRATIVE = "this-one"
RELATIVE = "who"
AUXILIARIES = ("will", "can", "must", "have", "may")
COPULA = "be"
NEGATION = "not"
INFINITIVE = "to-infinitive"
COORDINATORS = ("and", "or")
CONTRAST = "but"
COMPLEMENTIZER = "that-clause"
SUBORDINATORS = ("because", "when", "if", "although", "until")
INTERJECTIONS = ("oh", "yes", "well")
NUMERALS = ("two", "three", "four", "five", "six", "ten", "seven", "eight")

FIRST_NAMES = tuple(f"first-name-{i}" for i in range(20))
FAMILY_NAMES = tuple(f"name-{i}" for i in range(36))
PLACE_NAMES = (*FAMILY_NAMES[12:24], *FIRST_NAMES[1:5], *FAMILY_NAMES[:12])
GROUP_NAMES = (*FAMILY_NAMES[24:], *FIRST_NAMES[:4], *FAMILY_NAMES[:12])
"""People, places and groups bear the same names (with other frequencies): context tells which."""
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

ADJECTIVES_OF = {
    name: tuple(adjective for adjective, classes in ADJECTIVES.items() if name in classes) for name in NOUNS
}
VERBS_OF = {
    name: tuple(
        verb for frame in ("transitive", "intransitive") for verb in VERBS[frame] if name in verb.subjects
    )
    for name in NOUNS
}
TRANSITIVE_OF = {name: tuple(verb for verb in VERBS["transitive"] if name in verb.subjects) for name in NOUNS}
