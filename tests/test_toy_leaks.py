"""What would tell the label of a toy inference pair without understanding it: as little as is said of it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from xltray.corpora.base import Pair
from xltray.corpora.toy import ToyCorpus
from xltray.spec import DataSpec
from xltray.spec_toy import ToySpec

CORPUS = ToyCorpus(DataSpec(toy=ToySpec(train_pairs=3000, dev_pairs=600)))
CHANCE_LIMIT = 0.4  # of three labels


def accuracy(code: str, text: Callable[[Pair], str]) -> float:
    train, unseen = CORPUS.pairs(code, "train"), CORPUS.pairs(code, "dev")
    bags = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", lowercase=False, min_df=2)
    model = LogisticRegression(max_iter=1000, tol=1e-3)
    model.fit(bags.fit_transform(map(text, train)), [pair.label for pair in train])
    return float(model.score(bags.transform(map(text, unseen)), [pair.label for pair in unseen]))


@pytest.mark.parametrize("code", ["qaa", "qad"])
def test_half_a_pair_does_not_tell_its_label(code: str) -> None:
    assert accuracy(code, lambda pair: pair.hypothesis) <= CHANCE_LIMIT
    assert accuracy(code, lambda pair: pair.premise) <= CHANCE_LIMIT


def test_the_baseline_would_find_a_leak() -> None:
    leaky = accuracy("qaa", lambda pair: pair.hypothesis + " no" * (pair.label == "contradiction"))
    assert leaky > 0.6


# ---------------------------------------------------------------- what counting shared words tells


def by_counts(language: str, near_misses: float) -> float:
    """Return the accuracy of a tree that learned from qaa how many words are shared and how many not."""
    corpus = ToyCorpus(DataSpec(toy=ToySpec(train_pairs=1500, dev_pairs=600, near_misses=near_misses)))

    def counts(pair: Pair) -> list[int]:
        one, other = (re.findall(r"\w+", text.lower()) for text in (pair.premise, pair.hypothesis))
        shared = len({*one} & {*other})
        return [len(one), len(other), shared, len({*one}) - shared, len({*other}) - shared]

    def split(language: str, name: str) -> tuple[list[list[int]], list[str]]:
        pairs = corpus.pairs(language, name)
        return [counts(pair) for pair in pairs], [pair.label for pair in pairs]

    tree = DecisionTreeClassifier(max_depth=5, min_samples_leaf=10, random_state=0)
    return float(tree.fit(*split("qaa", "train")).score(*split(language, "dev")))


@pytest.mark.parametrize(("language", "without", "with_them"), [("qab", 0.77, 0.67), ("qad", 0.75, 0.67)])
def test_shared_words_tell_less_with_near_misses_and_never_all(
    language: str, without: float, with_them: float
) -> None:
    """The numbers are those of docs/toy-languages.md."""
    assert by_counts(language, 0.0) == pytest.approx(without, abs=0.01)
    assert by_counts(language, 1.0) == pytest.approx(with_them, abs=0.01)
