"""Inference pairs of the toy languages: from a story and two forms to the trees of both sentences.

``toy_scenes`` draws what a pair is about, without the label; ``toy_inference`` draws its forms given
the label. Rules, with what they rest on (``tests/test_toy_pairs.py`` checks each pair's label
against them by truth tables over its trees):

* A premise entails what says less: without the extra (an adjective or "of" phrase of the subject, a
  second subject, a second clause, the subject's noun instead of its hypernym), and, where affirmed,
  with fewer specifications; where negated, with more ("sees no dog" -> "sees no old dog"). It also
  entails that the antonym does not hold ("is big" -> "is not small"), but no pair is made of that.
* It contradicts its negation, the negation of whatever it entails, and the antonym.
* Everything else is neutral: specifications that it lacks (where negated: that it has), "not big" and
  "small", all that has another subject, predicate or object, or has the two change places, and
  sentences of another story.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

from xltray.corpora import toy_concepts as concepts
from xltray.corpora.toy_dice import Dice
from xltray.corpora.toy_grammar import Node
from xltray.corpora.toy_inference import Form, draw
from xltray.corpora.toy_scenes import Extra, Noun, Scene, Stories, Story
from xltray.corpora.xnli import LABELS


class TreePair(NamedTuple):
    """A premise and a hypothesis as trees, and how they relate."""

    premise: Node
    hypothesis: Node
    label: str


def tree_pairs(dice: Dice, near_misses: float = 0.0, labels: Sequence[str] = LABELS) -> Iterator[TreePair]:
    """Yield pairs without end; each of the labels comes once in every round of them.

    Args:
        dice: what is drawn with.
        near_misses: share of the neutral pairs about two scenes in which these are of one story and
            differ in a word or two; the others are of two stories, with nothing in common.
        labels: those wanted.
    """
    stories = Stories(dice)
    for _ in count():
        for label in dice.shuffled(labels):
            story, unrelated = stories.two()
            premise, hypothesis, other = draw(label, story.levels, story.sides, dice)
            about = story if not other or dice.chance(near_misses) else unrelated
            yield TreePair(
                sentence(story, story.scenes[0], premise, full=True),
                sentence(about, about.scenes[other], hypothesis, full=False),
                label,
            )


def sentence(story: Story, scene: Scene, form: Form, *, full: bool) -> Node:
    """Build the sentence about a scene in a form; with the story's extra if ``full``."""
    predicate = Node(
        scene.scale.predicates[form.side], "ADJ" if story.shape == "adjective" else "VERB", "root"
    )
    subject = predicate.add(_subject(scene.subject, story.extra, full))
    if scene.object:
        hyponyms = [place for place, one in enumerate(story.specifications) if one.kind == "hyponym"]
        general = any(place >= form.level for place in hyponyms)
        predicate.add(_phrase(scene.object, "obj", general=general))
    for specification in story.specifications[: form.level]:
        if specification.kind == "manner":
            predicate.add(Node(specification.concept, "ADV", "advmod"))
        elif specification.kind == "degree":
            predicate.add(Node(specification.concept, "ADV", "advmod", "degree"))
        elif specification.kind == "obl" and specification.noun:
            predicate.add(_adpositional(specification.noun, "obl", specification.concept))
        elif specification.kind == "amod":
            _object(predicate).add(_adjective(specification.concept, _object(predicate)))
    _finite(predicate, story, subject)
    if not form.positive:
        predicate.add(Node(concepts.NEGATION, "PART", "advmod", "negation"))
    if full and story.extra.kind == "clause":
        predicate.add(_second_clause(story))
    predicate.add(Node(".", "PUNCT", "punct"))
    return predicate


def _subject(noun: Noun, extra: Extra, full: bool) -> Node:
    subject = _phrase(noun, "nsubj", general=extra.kind == "hypernym" and not full)
    if not full:
        return subject
    if extra.kind == "amod":
        subject.add(_adjective(extra.concept, subject))
    elif extra.kind == "nmod" and extra.noun:
        subject.add(_adpositional(extra.noun, "nmod", extra.concept))
    elif extra.kind == "conj" and extra.noun:
        subject.add(_phrase(extra.noun, "conj")).add(Node("and", "CCONJ", "cc"))
    return subject


def _phrase(noun: Noun, deprel: str, *, general: bool = False) -> Node:
    concept = noun.noun_class if general else noun.concept
    node = Node(concept, noun.upos, deprel, "", noun.noun_class, noun.plural)
    if noun.determiner:
        node.add(Node(noun.determiner, "DET", "det"))
    return node


def _adpositional(noun: Noun, deprel: str, adposition: str) -> Node:
    node = _phrase(noun, deprel)
    node.add(Node(adposition, "ADP", "case"))
    return node


def _adjective(concept: str, noun: Node) -> Node:
    return Node(concept, "ADJ", "amod", "", noun.noun_class, noun.plural)


def _object(predicate: Node) -> Node:
    return next(child for child in predicate.children if child.deprel == "obj")


def _finite(predicate: Node, story: Story, subject: Node) -> None:
    """Give tense and number to the copula, to the auxiliary, or to the verb if there is none."""
    bearer = predicate
    if predicate.upos == "ADJ":
        bearer = predicate.add(Node(concepts.COPULA, "AUX", "cop"))
    elif story.auxiliary:
        bearer = predicate.add(Node(story.auxiliary, "AUX", "aux"))
    bearer.plural = subject.plural or any(child.deprel == "conj" for child in subject.children)
    bearer.past = story.past


def _second_clause(story: Story) -> Node:
    assert story.extra.noun
    clause = Node(story.extra.concept, "VERB", "conj", "conj-clause")
    subject = clause.add(_phrase(story.extra.noun, "nsubj"))
    clause.plural, clause.past = subject.plural, story.past
    clause.add(Node("and", "CCONJ", "cc"))
    clause.add(Node(",", "PUNCT", "punct", "comma-before"))
    return clause
