"""From a tree over concepts to a sentence of one toy language: order, endings, spelling.

Order follows two templates of slots, in which ``*`` is the head itself: one for a clause, and one
for the phrase (of a noun or adjective) that takes the head's place in it.
"""

from __future__ import annotations

from collections.abc import Iterator
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
_NO_SPACE_BEFORE = (",", ".", "!")


class Surface:
    """Speaks one language."""

    def __init__(self, typology: Typology) -> None:
        self.typology = typology
        self.forms = lexicon(typology).forms
        self._ranks = {upos: _ranks(self.typology, upos) for upos in ("NOUN", "ADJ", "VERB")}

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
        ranks = self._ranks.get(node.upos) or self._ranks["NOUN"]
        ranked = []
        for child in node.children:
            if child.concept in concepts.ARTICLES and child.concept not in self.typology.articles:
                continue
            rank = ranks[child.slot]
            if child.slot in FREE_SLOTS and dice.chance(self.typology.freedom):
                rank = -rank
            ranked.append((rank, child))
        ranked.sort(key=_rank)
        for rank, child in ranked:
            if rank < 0:
                yield from self._in_order(child, node, dice)
        yield node, head
        for rank, child in ranked:
            if rank > 0:
                yield from self._in_order(child, node, dice)

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


def _rank(ranked: tuple[int, Node]) -> int:
    return ranked[0]


def _spell(words: list[str]) -> str:
    return "".join(word if word in _NO_SPACE_BEFORE else f" {word}" for word in words)[1:]


@cache
def surface(language: str | Typology) -> Surface:
    """Return the speaker of a language: of one of ``LANGUAGES`` by its code, of any by its settings."""
    return Surface(LANGUAGES[language] if isinstance(language, str) else language)


def _ranks(typology: Typology, upos: str) -> dict[str, int]:
    """Return each slot's place, counted from the head: -1 just before it, 1 just after it."""
    phrase = {"NOUN": _noun_phrase(typology), "ADJ": "degree *", "VERB": "*"}[upos]
    template = _clause(typology).replace("*", phrase).split()
    head = template.index("*")
    return {slot: place - head for place, slot in enumerate(template) if slot != "*"}


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
