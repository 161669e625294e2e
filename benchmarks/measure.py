"""Measures a group of rows: builds its contestants, checks that they agree, has them take turns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.examples import make_split
from benchmarks.lengths import Lengths, Pieces, evenly
from benchmarks.models import SIZES, Endpoints, Size, trained
from benchmarks.ours import Ours
from benchmarks.peers import BATCH, Naive, Scores, Strong
from benchmarks.rows import TASKS
from benchmarks.servers import Work, two_servers
from benchmarks.timing import Contestant, WallClock, clock_of, take_turns
from benchmarks.trainer import OurTraining, TrainerEvaluation, TrainerTraining
from xltray.tasks.base import EncodedSplit

GROUPS = (*TASKS, "weights", "training", "servers")
LOSS_TOLERANCE = 1e-5
TRAINED_ON = 640

Times = dict[str, list[float]]
Scoring = Ours | Naive | Strong | TrainerEvaluation


class PeersDisagreeError(Exception):
    """Contestants that should compute the same did not: their times are not of the same work."""


@dataclass(frozen=True)
class Settings:
    """What is measured, and how long.

    Args:
        size: a name of ``models.SIZES``.
        sentences: dev sentences of tagging and inference.
        parsed: dev sentences of parsing, whose naive peer takes seconds for a few dozen.
        trained: sentences of the fine-tuning epoch.
        rounds: how many times each contestant has its turn.
        steps: training steps that the endpoints come from.
        device: ``cpu`` or ``cuda``.
    """

    size: str = "small"
    sentences: int = 300
    parsed: int = 64
    trained: int = 320
    rounds: int = 7
    steps: int = 30
    device: str = "cpu"

    @property
    def model(self) -> Size:
        """The encoder's sizes."""
        return SIZES[self.size]


def measure(group: str, lengths: Lengths, settings: Settings) -> Times:
    """Return the seconds of each round of each of a group's contestants.

    Raises:
        PeersDisagreeError: if contestants do not compute the same.
    """
    groups: Mapping[str, Callable[[Lengths, Settings], Times]] = {
        "weights": _weights,
        "training": _training,
        "servers": _servers,
    }
    if group in groups:
        return groups[group](lengths, settings)
    return _scoring(group, lengths, settings)


def contestants(task: str, lengths: Lengths, settings: Settings, folder: Path) -> dict[str, Scoring]:
    """Return all that score a task's points, on the same endpoints and dev set."""
    endpoints = _endpoints(task, lengths, settings)
    split = _dev_split(task, lengths, settings)
    return {
        "ours": Ours(endpoints, split),
        "naive": Naive(endpoints, split),
        "strong": Strong(endpoints, split),
        "trainer": TrainerEvaluation(endpoints, split, folder),
    }


def check_equal(task: str, scores: Mapping[str, Scores]) -> None:
    """Compare counts with ours, of every metric that a peer has.

    Raises:
        PeersDisagreeError: naming the peer and the counts.
    """
    for name, found in scores.items():
        for metric, counts in found.items():
            expected = scores["ours"][metric]
            if counts != expected:
                raise PeersDisagreeError(
                    f"{task}: {name} counts {tuple(counts)} for {metric}; ours are {tuple(expected)}. "
                    "Expected equal numbers (correct, predicted, gold)."
                )


def _scoring(task: str, lengths: Lengths, settings: Settings) -> Times:
    with tempfile.TemporaryDirectory() as folder:
        scoring = contestants(task, lengths, settings, Path(folder))
        # This is the warm-up too: compiled trees, caches, the allocator.
        check_equal(task, {name: contestant.score() for name, contestant in scoring.items()})
        turns: dict[str, Contestant] = {name: contestant.score for name, contestant in scoring.items()}
        ours = scoring["ours"]
        assert isinstance(ours, Ours)
        return take_turns({**turns, "forward": ours.forward}, settings.rounds, clock_of(settings.device))


def _weights(lengths: Lengths, settings: Settings) -> Times:
    ours = Ours(_endpoints("pos", lengths, settings), _dev_split("pos", lengths, settings))
    # A turn is a millisecond: many more rounds cost nothing and steady the medians.
    turns = {"interpolation": ours.interpolate, "copy": ours.copy}
    return take_turns(turns, 10 * settings.rounds, clock_of(settings.device))


def _training(lengths: Lengths, settings: Settings) -> Times:
    split = _split("pos", evenly(lengths.train, settings.trained), settings, seed=3)
    with tempfile.TemporaryDirectory() as folder:
        ours = OurTraining("pos", settings.model, split, settings.device)
        trainer = TrainerTraining("pos", settings.model, split, settings.device, Path(folder))
        losses = [one.first_loss(split.sequences[:BATCH]) for one in (ours, trainer)]
        if abs(losses[0] - losses[1]) > LOSS_TOLERANCE:
            raise PeersDisagreeError(
                f"fine-tuning: the first loss is {losses[0]} by ours and {losses[1]} by Trainer; "
                f"expected a difference of at most {LOSS_TOLERANCE}."
            )
        return take_turns(
            {"trainer": trainer.train, "ours": ours.train}, settings.rounds, clock_of(settings.device)
        )


def _servers(lengths: Lengths, settings: Settings) -> Times:
    work = Work(settings.size, evenly(lengths.dev, settings.sentences), points=3, steps=settings.steps)
    with two_servers(work) as servers:
        times = take_turns({"one": servers.one, "two": servers.two}, settings.rounds, WallClock())
        return times | servers.cpu


def _endpoints(task: str, lengths: Lengths, settings: Settings) -> Endpoints:
    split = _split(task, evenly(lengths.train, TRAINED_ON), settings, seed=1)
    return trained(task, settings.model, split, device=settings.device, steps=settings.steps)


def _dev_split(task: str, lengths: Lengths, settings: Settings) -> EncodedSplit:
    limit = settings.parsed if task == "parsing" else settings.sentences
    return _split(task, evenly(lengths.dev, limit), settings, seed=2)


def _split(task: str, sentences: Sequence[Pieces], settings: Settings, *, seed: int) -> EncodedSplit:
    return make_split(task, sentences, vocabulary=settings.model.vocabulary, seed=seed)
