"""A cell of a small grid, and scores of its points."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from xltray.jobs import EncoderRef, FinetuneJob, LanguageData, SurfaceJob
from xltray.results import Score
from xltray.spec import FinetuneSpec

HALVES = tuple(Fraction(n, 2) for n in range(3))


def make_cell(**changes: Any) -> SurfaceJob:
    """Return en -> de with a 3 x 3 plane and lines that also hold alpha = 1/4."""
    encoder = EncoderRef(name=changes.pop("encoder", "tiny"), content="sha")
    task = changes.pop("task", "pos")

    def endpoint(*languages: str) -> FinetuneJob:
        data = {
            language: LanguageData(train=f"{language}-train", dev=f"{language}-dev") for language in languages
        }
        return FinetuneJob(
            task=task,
            corpus="toy",
            languages=languages,
            seed=7,
            encoder=encoder,
            data=data,
            recipe=FinetuneSpec(),
        )

    defaults: dict[str, Any] = {
        "source": "en",
        "target": "de",
        "source_endpoint": endpoint("en"),
        "target_endpoint": endpoint("de"),
        "bilingual_endpoint": endpoint("de", "en"),
        "plane": HALVES,
        "alphas": (*HALVES, Fraction(1, 4)),
        "scopes": ("all", "head"),
    }
    return SurfaceJob(**defaults | changes)


def score(
    scope: str = "all", point: int = 0, language: str = "en", metric: str = "accuracy", **more: Any
) -> Score:
    counts = {"correct": 3, "predicted": 5, "gold": 7, "loss": 0.5, "examples": 2} | more
    return Score(scope, point, language, metric, **counts)


def all_scores(job: SurfaceJob) -> list[Score]:
    return [
        score(scope, point, language, correct=point % 5)
        for scope in job.scopes
        for point in range(len(job.grid))
        for language in (job.source, job.target)
    ]
