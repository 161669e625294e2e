"""The grammar that the toy languages share: dependency trees over concepts, in no order yet.

``Grammar(dice).sentence()`` draws a tree. Labels are Universal Dependencies' (UPOS and universal
relations, https://universaldependencies.org). A node's ``slot`` says where a language puts it:
mostly its relation, but a negation and an adverb are both ``advmod`` and stand in other places.
Words that a language lacks (articles), endings and order come later, in ``toy_languages``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xltray.corpora import toy_concepts as concepts
from xltray.corpora.toy_dice import Dice
from xltray.corpora.toy_verbs import Frame, Verb


@dataclass(slots=True, eq=False)
class Node:
    """A word's meaning, its labels, and what depends on it."""

    concept: str
    upos: str
    deprel: str
    slot: str = ""
    noun_class: str = ""
    plural: bool = False
    past: bool = False
    children: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slot = self.slot or self.deprel

    def add(self, child: Node) -> Node:
        """Make ``child`` a dependent and return it."""
        self.children.append(child)
        return child


SIMPLE_FRAMES: tuple[Frame | None, ...] = (
    *("transitive",) * 12,
    *("intransitive",) * 5,
    *("ditransitive",) * 2,
    *(None,) * 4,
)
"""What a clause is built around, as often as it is listed; None: an adjective or noun with a copula."""
FRAMES: tuple[Frame | None, ...] = (*SIMPLE_FRAMES, *("speech",) * 3, *("control",) * 2)

PERSONS = (*("full",) * 6, *("first",) * 3, "family")
"""How people are named. Family names that stand alone are mostly places' and groups'."""


class Grammar:
    """Draws trees with the dice given."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice

    def sentence(self) -> Node:
        """Draw a sentence."""
        root = self.clause("root", FRAMES)
        if self.dice.chance(0.04):
            interjection = root.add(Node(self.dice.frequent(concepts.INTERJECTIONS), "INTJ", "discourse"))
            interjection.add(_comma("comma-after"))
        if self.dice.chance(0.08):
            root.add(self._second_clause())
        elif self.dice.chance(0.09):
            root.add(self._adverbial_clause())
        root.add(Node("!" if self.dice.chance(0.08) else ".", "PUNCT", "punct"))
        return root

    def clause(self, deprel: str, frames: tuple[Frame | None, ...] = SIMPLE_FRAMES) -> Node:
        """Draw a finite clause with a subject."""
        frame = self.dice.one(frames)
        if frame is None:
            return self._copular_clause(deprel)
        verb = self.dice.frequent(concepts.VERBS[frame])
        subject = self.noun_phrase("nsubj", self.dice.one(verb.subjects), verb.governs)
        predicate = self._verb_phrase(verb, deprel, subject.noun_class)
        predicate.children.insert(0, subject)
        self._finite(predicate, _takes_plural(subject))
        return predicate

    def _copular_clause(self, deprel: str) -> Node:
        if self.dice.chance(0.3):
            subject = self.noun_phrase("nsubj", "person")
            predicate = self._common_noun(deprel, "person", (), said_of=subject)
        else:
            noun_class = self.dice.one(tuple(concepts.NOUNS))
            subject = self.noun_phrase("nsubj", noun_class)
            predicate = self._adjective(deprel, noun_class)
        predicate.add(subject)
        copula = predicate.add(Node(concepts.COPULA, "AUX", "cop"))
        copula.plural, copula.past = _takes_plural(subject), self.dice.chance(0.5)
        if self.dice.chance(0.12):
            predicate.add(Node(concepts.NEGATION, "PART", "advmod", "negation"))
        return predicate

    def _verb_phrase(self, verb: Verb, deprel: str, subject_class: str) -> Node:
        """Draw a verb with all its dependents but the subject; it bears no tense yet."""
        predicate = Node(verb.concept, "VERB", deprel)
        if verb.frame == "ditransitive":
            predicate.add(self.noun_phrase("iobj", self.dice.one(("person", "group")), verb.governs))
        if verb.objects:
            predicate.add(self.noun_phrase("obj", self.dice.one(verb.objects), verb.governs))
        if verb.frame == "speech":
            complement = predicate.add(self.clause("ccomp"))
            if self.dice.chance(0.8):
                complement.add(Node(concepts.COMPLEMENTIZER, "SCONJ", "mark"))
        if verb.frame == "control":
            inner = self._verb_phrase(
                self.dice.frequent(concepts.TRANSITIVE_OF[subject_class]), "xcomp", subject_class
            )
            predicate.add(inner).add(Node(concepts.INFINITIVE, "PART", "mark"))
        if verb.governs and self.dice.chance(0.4):
            predicate.add(self._adpositional("obl", self.dice.one(verb.governs)))
        if self.dice.chance(0.2):
            predicate.add(Node(self.dice.frequent(concepts.MANNER), "ADV", "advmod"))
        return predicate

    def _finite(self, predicate: Node, plural: bool) -> None:
        """Give tense and the subject's number to the auxiliary, or to the verb if there is none."""
        bearer = predicate
        if self.dice.chance(0.25):
            bearer = predicate.add(Node(self.dice.frequent(concepts.AUXILIARIES), "AUX", "aux"))
        bearer.plural, bearer.past = plural, self.dice.chance(0.5)
        if self.dice.chance(0.12):
            predicate.add(Node(concepts.NEGATION, "PART", "advmod", "negation"))

    def _second_clause(self) -> Node:
        clause = self.clause("conj")
        clause.slot = "conj-clause"
        contrast = self.dice.chance(0.3)
        clause.add(
            Node(concepts.CONTRAST if contrast else self.dice.frequent(concepts.COORDINATORS), "CCONJ", "cc")
        )
        if contrast or self.dice.chance(0.3):
            clause.add(_comma("comma-before"))
        return clause

    def _adverbial_clause(self) -> Node:
        clause = self.clause("advcl")
        clause.add(Node(self.dice.frequent(concepts.SUBORDINATORS), "SCONJ", "mark"))
        if self.dice.chance(0.5):
            clause.slot = "front"
            clause.add(_comma("comma-after"))
        return clause

    def noun_phrase(self, deprel: str, noun_class: str, governed: tuple[str, ...] | None = None) -> Node:
        """Draw a noun phrase of a class.

        ``governed`` are the adpositions that the clause's verb claims, so that this noun may not
        have them; None: the phrase has no adpositional modifiers at all.
        """
        dice = self.dice
        if deprel != "conj" and dice.chance(0.12):
            if noun_class == "person":
                pronoun = dice.frequent(concepts.PRONOUNS)
                return Node(pronoun, "PRON", deprel, "", noun_class, pronoun in ("they", "we"))
            if noun_class in ("thing", "idea", "food"):
                return Node(concepts.DEMONSTRATIVE, "PRON", deprel, "", noun_class)
        if dice.chance({"person": 0.3, "place": 0.4, "group": 0.6}.get(noun_class, 0.0)):
            noun = self._name(deprel, noun_class)
        else:
            noun = self._common_noun(deprel, noun_class, governed)
        if deprel != "conj" and governed is not None and dice.chance(0.07):
            second = noun.add(self.noun_phrase("conj", noun_class))
            second.add(Node(dice.frequent(concepts.COORDINATORS), "CCONJ", "cc"))
        return noun

    def _name(self, deprel: str, noun_class: str) -> Node:
        dice = self.dice
        names = {
            "person": concepts.FIRST_NAMES,
            "place": concepts.PLACE_NAMES,
            "group": concepts.GROUP_NAMES,
        }[noun_class]
        first, second = dice.frequent(names), ""
        if noun_class == "person":
            kind = dice.one(PERSONS)
            first = dice.frequent(concepts.FAMILY_NAMES) if kind == "family" else first
            second = dice.frequent(concepts.FAMILY_NAMES) if kind == "full" else ""
        elif noun_class == "place" and dice.chance(0.25):
            first, second = dice.one(concepts.NAME_PARTS[:2]), first
        elif noun_class == "group" and dice.chance(0.5):
            second = dice.one(concepts.NAME_PARTS[2:])
        name = Node(first, "PROPN", deprel, "", noun_class)
        if second:
            name.add(Node(second, "PROPN", "flat"))
        return name

    def _common_noun(
        self,
        deprel: str,
        noun_class: str,
        governed: tuple[str, ...] | None,
        said_of: Node | None = None,
    ) -> Node:
        """Draw a noun with what belongs to it; said of a subject, it is another, of the same number."""
        dice = self.dice
        nouns = tuple(noun for noun in concepts.NOUNS[noun_class] if not said_of or noun != said_of.concept)
        noun = Node(dice.frequent(nouns), "NOUN", deprel, "", noun_class)
        if said_of:
            noun.plural = _takes_plural(said_of)
            if not noun.plural:
                noun.add(Node(dice.one(concepts.ARTICLES), "DET", "det"))
        elif dice.chance(0.1):
            numeral = dice.frequent(concepts.NUMERALS) if dice.chance(0.6) else str(dice.one(range(2, 60)))
            noun.add(Node(numeral, "NUM", "nummod"))
            noun.plural = True
        else:
            determiner = dice.frequent(concepts.DETERMINERS)
            noun.plural = determiner not in ("every", "each") and dice.chance(0.3)
            if not (noun.plural and determiner == "a"):
                noun.add(Node(determiner, "DET", "det"))
        if dice.chance(0.3):
            noun.add(self._adjective("amod", noun_class)).plural = noun.plural
        if governed is not None:
            self._modify(noun, governed)
        return noun

    def _modify(self, noun: Node, governed: tuple[str, ...]) -> None:
        """Perhaps add an adpositional phrase, a noun or a relative clause to a noun."""
        dice = self.dice
        links = tuple(link for link in concepts.MODIFIED_BY[noun.noun_class] if link not in governed)
        if dice.chance(0.12):
            noun.add(self._adpositional("nmod", "of"))
        elif links and dice.chance(0.15):
            noun.add(self._adpositional("nmod", dice.one(links)))
        elif dice.chance(0.05):
            noun.add(
                Node(dice.frequent(concepts.NOUNS[dice.one(("thing", "place", "idea"))]), "NOUN", "compound")
            )
        elif dice.chance(0.06):
            verb = dice.frequent(concepts.VERBS_OF[noun.noun_class])
            relative = noun.add(self._verb_phrase(verb, "acl", noun.noun_class))
            relative.add(Node(concepts.RELATIVE, "PRON", "nsubj"))
            self._finite(relative, noun.plural)

    def _adjective(self, deprel: str, noun_class: str) -> Node:
        adjective = Node(
            self.dice.frequent(concepts.ADJECTIVES_OF[noun_class]), "ADJ", deprel, "", noun_class
        )
        if self.dice.chance(0.12):
            adjective.add(Node(self.dice.frequent(concepts.DEGREE), "ADV", "advmod", "degree"))
        return adjective

    def _adpositional(self, deprel: str, adposition: str) -> Node:
        noun = self.noun_phrase(deprel, self.dice.one(concepts.ADPOSITIONS[adposition]))
        noun.add(Node(adposition, "ADP", "case"))
        return noun


def _takes_plural(subject: Node) -> bool:
    return subject.plural or any(child.deprel == "conj" for child in subject.children)


def _comma(slot: str) -> Node:
    return Node(",", "PUNCT", "punct", slot)
