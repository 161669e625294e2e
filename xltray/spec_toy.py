"""The part of the sweep file that is about the synthetic languages (``data.toy``)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from xltray.spec_types import Items, PositiveInt, Spec, mistake

TOY_LANGUAGES = ("qaa", "qab", "qac", "qad")
ToyLanguage = Literal["qaa", "qab", "qac", "qad"]
ToyCode = Annotated[str, Field(pattern=r"^q[a-t][a-z]$")]
Side = Literal["before", "after"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class ToyLanguageSpec(Spec):
    """What a synthetic language has otherwise than the one that it is made from.

    A language of the corpus is made from itself; any other says which one it is ``like``.
    """

    like: ToyLanguage | None = Field(None, description="the language that a new one is made from")
    own_words: bool = Field(
        False, description="a new language coins words of its own instead of having those it is like"
    )
    order: Literal["SVO", "VSO", "SOV"] | None = Field(None, description="of subject, verb and object")
    adjective: Side | None = Field(None, description="side of the noun on which adjectives stand")
    adposition: Side | None = Field(
        None, description="side of adpositions (of the phrase) and of subordinators (of the clause)"
    )
    genitive: Side | None = Field(None, description="side of the noun of adpositional modifiers")
    relative: Side | None = Field(None, description="side of the noun on which relative clauses stand")
    articles: Items[Literal["the", "a"]] | None = Field(None, description="the articles that there are")
    case_endings: bool | None = Field(None, description="endings on animate objects and recipients")
    adjective_agreement: bool | None = Field(None, description="plural endings on adjectives")
    capitals: Share | None = Field(
        None, description="share of the sentences in which names and the first word have capitals"
    )
    cognates: Share | None = Field(None, description="share of words inherited from the proto-language")
    names: Share | None = Field(None, description="share of names shared with the proto-language")
    homographs: Share | None = Field(None, description="share of words written like some noun")
    freedom: Share | None = Field(None, description="how often a phrase stands on the other side")

    def changes(self) -> dict[str, Any]:
        """Return the settings that are given, by name."""
        return self.model_dump(exclude={"like", "own_words"}, exclude_none=True)


class ToySpec(Spec):
    """The synthetic languages: how many examples each split has, and languages of one's own."""

    seed: int = 0
    train: PositiveInt = Field(800, description="training sentences a language")
    dev: PositiveInt = Field(200, description="development sentences a language")
    train_pairs: PositiveInt | None = Field(
        None, description="training pairs a language (inference); default: as many as sentences"
    )
    dev_pairs: PositiveInt | None = Field(
        None, description="development pairs a language; default: as many as sentences"
    )
    evaluate_on: Literal["dev", "test"] = Field(
        "dev",
        description="the sample that models are scored on, and selected on unless finetune.keep is last; "
        "choose recipes on dev",
    )
    near_misses: Share = Field(
        0.0, description="share of neutral pairs of two scenes that differ in a word or two only: harder"
    )
    languages: dict[ToyCode, ToyLanguageSpec] = Field(
        default_factory=dict, description="other settings of a language, or new ones, e.g. qae: {like: qad}"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for code, language in self.languages.items():
            if code not in TOY_LANGUAGES and language.like is None:
                raise mistake(f"languages.{code} without like", f"like: one of {', '.join(TOY_LANGUAGES)}")
            if code in TOY_LANGUAGES and (language.like or language.own_words):
                raise mistake(
                    f"languages.{code} with like or own_words",
                    f"them for new languages only ({', '.join(TOY_LANGUAGES)} are there already)",
                )
        return self
