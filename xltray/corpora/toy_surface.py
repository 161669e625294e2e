"""From a tree over concepts to a sentence of one toy language: order, endings, spelling.

Order follows two templates of slots, in which ``*`` is the head itself: one for a clause, and one
for the phrase (of a noun or adjective) that takes the head's place in it. Where a language's order is
free, a part may stand on the other side of its head: within its clause or phrase, so not beyond a
conjunction, an adposition, a comma or the full stop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from xltray.corpora import toy_concepts as concepts
from xltray.corpora.base import Sentence
from xltray.corpora.toy_dice import Dice
from xltray.corpora.toy_grammar import Node
from xltray.corpora.toy_languages import LANGUAGES, Typology, lexicon

CLAUSE = {
    "SVO": "nsubj aux cop negation * iobj obj xcomp advmod obl ccomp",
    "VSO": "negation aux cop * nsubj iobj obj xcomp obl advmod ccomp",
    "SOV": "nsubj obl iobj obj ccomp xcomp advmod * negation cop aux",
}
FREE_SLOTS = ("nsubj", "obj", "obl", "advmod", "amod")
NOUN_CORE = ("nummod", "compound", "flat", "amod", "nmod")
"""What an adjective may step over: neither determiner nor adposition nor a clause."""
_NO_SPACE_BEFORE = (",", ".", "!")


class Surface:
    """Speaks one language."""

    def __init__(self, typology: Typology) -> None:
        self.typology = typology
        self.forms = lexicon(typology).forms
        self._ranks = {upos: _ranks(self.typology, upos) for upos in ("NOUN", "ADJ", "VERB")}
        self._moved = {upos: _moved(self.typology, upos) for upos in self._ranks}

    def sentence(self, tree: Node, dice: Dice, where: str) -> Sentence:
        """Put a tree into words; ``dice`` decide where the language's order is free."""
        return self.wording(tree, dice, where)[0]

    def wording(self, tree: Node, dice: Dice, where: str) -> tuple[Sentence, tuple[Node, ...]]:
        """Put a tree into words; return the sentence and the node that each of its words stands for."""
        links = list(self._in_order(tree, None, dice))
        number = {id(node): place for place, (node, _) in enumerate(links, start=1)}
        nodes = [node for node, _ in links]
        capitals = dice.chance(self.typology.capitals)
        words = [self._form(node, capitals) for node in nodes]
        if capitals:
            words[0] = words[0][:1].upper() + words[0][1:]
        sentence = Sentence(
            words=tuple(words),
            upos=tuple(node.upos for node in nodes),
            heads=tuple(number[id(head)] if head else 0 for _, head in links),
            deprels=tuple(node.deprel for node in nodes),
            text=_spell(words),
            where=where,
        )
        return sentence, tuple(nodes)

    def _in_order(self, node: Node, head: Node | None, dice: Dice) -> Iterator[tuple[Node, Node | None]]:
        """Yield every node below with its head, in the order of the words."""
        kind = node.upos if node.upos in self._ranks else "NOUN"
        ranked: list[tuple[float, Node]] = []
        for child in node.children:
            if child.concept in concepts.ARTICLES and child.concept not in self.typology.articles:
                continue
            moves = child.slot in FREE_SLOTS and dice.chance(self.typology.freedom) and self._may_move(child)
            ranked.append(((self._moved if moves else self._ranks)[kind][child.slot], child))
        ranked.sort(key=_rank)
        for rank, child in ranked:
            if rank < 0:
                yield from self._in_order(child, node, dice)
        yield node, head
        for rank, child in ranked:
            if rank > 0:
                yield from self._in_order(child, node, dice)

    def _may_move(self, node: Node) -> bool:
        """Objects move where their place or an ending mostly tells them from subjects.

        Moved alone in an SVO language, one stands between subject and verb. Where both
        move, meaning has to tell.
        """
        return (
            node.deprel != "obj"
            or self.typology.order == "SVO"
            or concepts.ACCUSATIVE in self._suffixes(node)
        )

    def _form(self, node: Node, capitals: bool) -> str:
        form = self.forms.get(node.concept, node.concept)
        if node.upos == "PROPN" and capitals:
            form = form.capitalize()
        return form + "".join(self.forms[suffix] for suffix in self._suffixes(node))

    def gloss(self, node: Node) -> str:
        """Return what a word says: its concept and the endings that this language gives it."""
        return node.concept + "".join(self._suffixes(node))

    def _suffixes(self, node: Node) -> Iterator[str]:
        """Yield the endings of a word. Nouns and verbs share the plural's, so it gives no class away."""
        upos = node.upos
        if node.past:
            yield concepts.PAST
        if node.plural and (
            upos in ("NOUN", "VERB", "AUX")
            or (upos == "ADJ" and node.deprel == "amod" and self.typology.adjective_agreement)
        ):
            yield concepts.PLURAL
        if self.typology.case_endings and node.noun_class in concepts.ANIMATE and upos != "ADJ":
            if node.deprel == "obj":
                yield concepts.ACCUSATIVE
            elif node.deprel == "iobj":
                yield concepts.DATIVE


def _rank(ranked: tuple[float, Node]) -> float:
    return ranked[0]


def _spell(words: list[str]) -> str:
    return "".join(word if word in _NO_SPACE_BEFORE else f" {word}" for word in words)[1:]


@cache
def surface(language: str | Typology) -> Surface:
    """Return the speaker of a language: of one of ``LANGUAGES`` by its code, of any by its settings."""
    return Surface(LANGUAGES[language] if isinstance(language, str) else language)


def _ranks(typology: Typology, upos: str) -> dict[str, float]:
    """Return each slot's place, counted from the head: -1 just before it, 1 just after it."""
    template = _clause(typology).replace("*", _phrase(typology, upos)).split()
    head = template.index("*")
    return {slot: float(place - head) for place, slot in enumerate(template) if slot != "*"}


def _moved(typology: Typology, upos: str) -> dict[str, float]:
    """Return where free slots stand when they move: on the other side of the head, as far from it as before.

    But a part of the clause stays inside of the clause, and outside of the phrase that is its predicate; an
    adjective stays inside of its noun's phrase. What moved is farther out than what stands at its place.
    """
    ranks = _ranks(typology, upos)
    clause, phrase = CLAUSE[typology.order].split(), _phrase(typology, upos).split()
    moved = {}
    for slot in FREE_SLOTS:
        if slot in ranks:
            side = -1 if ranks[slot] > 0 else 1
            within, beyond = (NOUN_CORE, ()) if slot == "amod" else (clause, phrase)
            least = _reach(ranks, beyond, side)
            place = min(max(abs(ranks[slot]), least), max(_reach(ranks, within, side), least))
            moved[slot] = side * (place + 0.25 + abs(ranks[slot]) / 1000)
    return moved


def _reach(ranks: Mapping[str, float], slots: Iterable[str], side: int) -> float:
    """Return how far from the head the slots go on a side."""
    return max((0.0, *(side * ranks[slot] for slot in slots if slot in ranks)))


def _phrase(typology: Typology, upos: str) -> str:
    return {"NOUN": _noun_phrase(typology), "ADJ": "degree *", "VERB": "*"}[upos]


def _clause(typology: Typology) -> str:
    core = CLAUSE[typology.order]
    core = f"mark front {core}" if typology.adposition == "before" else f"front {core} mark"
    # Where the verb comes last, so do its subordinate clauses come before it.
    core = f"advcl {core}" if typology.order == "SOV" else f"{core} advcl"
    return f"comma-before cc discourse {core} conj-clause comma-after punct"


def _noun_phrase(typology: Typology) -> str:
    """Return the template around a noun: each part on the side that the typology says."""
    phrase = "* flat"
    for slot, side in (
        ("compound", typology.genitive),
        ("amod", typology.adjective),
        ("nmod", typology.genitive),
    ):
        phrase = f"{slot} {phrase}" if side == "before" else f"{phrase} {slot}"
    phrase = f"det nummod {phrase}"
    phrase = f"acl {phrase}" if typology.relative == "before" else f"{phrase} acl"
    phrase = f"{phrase} conj"
    return f"case {phrase}" if typology.adposition == "before" else f"{phrase} case"
