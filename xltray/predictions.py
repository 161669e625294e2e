"""Write what models of a finished cell predict on its dev sets, in formats of outside tools.

    <cell id>/<point>/<language>.conllu    POS and parsing: what was predicted (tasks/as_conllu.py)
    <cell id>/gold/<language>.conllu       the same sentences with gold tags and trees
    <cell id>/<point>/<language>.iob2      NER: word, gold, predicted (tasks/as_iob2.py)
    <cell id>/<point>/<language>.tsv       XNLI: premise, hypothesis, gold, predicted (tasks/as_tsv.py)

Before a file is written its scores are counted from its text and compared with the evaluator's at that
point, and with the stored surface where the point is in the grid. What differs is refused. A cell that
was scored on another kind of device is not tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from xltray.context import JobContext
from xltray.endpoints import absent_weights, outside_a_sweep, read_examples
from xltray.errors import CornerMismatchError, PredictionError, Problem, ProblemsError, Refusal, XltrayError
from xltray.evaluator import CellEvaluator
from xltray.grid import Point
from xltray.jobs import SurfaceJob
from xltray.precision import Scoring
from xltray.results import Score, scores_of
from xltray.store import Store
from xltray.tasks.base import Counts, Written
from xltray.tasks.registry import get_task

GOLD = "gold"
SCOPE = "all"
_SAME_DEVICE = "Predict on the kind of device that the cell was scored on (runtime.device, runtime.threads)."


class Target(NamedTuple):
    """Where the predictions of a cell go: a store, and the cell's folder in it."""

    store: Store
    folder: str


class CellFiles(NamedTuple):
    """What was written of a cell: paths in the target's store; words of each language left out."""

    paths: tuple[str, ...]
    unpredicted: Mapping[str, int]


class Outcome(NamedTuple):
    """How many files were written of some cells, and what of them could not be."""

    files: int
    refusals: tuple[Refusal, ...]


def write_cells(
    cells: Sequence[SurfaceJob],
    context: JobContext,
    points: Mapping[str, Point],
    out: Store | None,
    say: Callable[[str], object],
) -> Outcome:
    """Write the predictions of cells that are done; a cell that cannot be written stops no other.

    Args:
        cells: all done.
        context: where they are, and the device to predict on.
        points: by the names that their folders get.
        out: where to write; None is the cells' own store.
        say: is told of each cell that was written.
    """
    foreign = _scored_elsewhere(cells, context)
    refusals = [_other_device(foreign, len(cells), context.device)] if foreign else []
    if foreign:
        say(f"{len(foreign)} of {len(cells)} cells are left out: not scored on {context.device}.")
    evaluator = CellEvaluator(context)
    files = 0
    for cell in (cell for cell in cells if cell.id not in foreign):
        target = Target(out, cell.id) if out else Target(context.store, context.store.predictions_path(cell))
        try:
            if absent := absent_weights(cell, context.store):
                refusals += map(Refusal, absent)
                continue
            written = write_predictions(cell, evaluator, points, target)
        except XltrayError as error:
            refusals += [Refusal(problem, error.exit_code) for problem in _problems(cell, error)]
            continue
        files += len(written.paths)
        lacking = [f"{count} words in {name}" for name, count in written.unpredicted.items() if count]
        without = f"; without a prediction: {', '.join(lacking)}" if lacking else ""
        say(f"{cell.id}: {len(written.paths)} files{without}")
    return Outcome(files, tuple(refusals))


def _scored_elsewhere(cells: Sequence[SurfaceJob], context: JobContext) -> dict[str, str]:
    """Return the cells that were not scored on this kind of device, and what each was scored on."""
    foreign: dict[str, str] = {}
    for cell in cells:
        try:
            metadata = context.store.read_table(context.store.surface_path(cell)).schema.metadata or {}
        except XltrayError:
            # Said when the cell's turn comes.
            continue
        # "cuda: NVIDIA H200"; several with ", " between.
        device = metadata.get(b"xltray.device", b"").decode()
        kinds = {name.partition(":")[0] for name in device.split(", ")}
        if device and context.device.partition(":")[0] not in kinds:
            foreign[cell.id] = device
    return foreign


def _other_device(foreign: Mapping[str, str], all_: int, device: str) -> Refusal:
    found = f"scores from {' and '.join(sorted(set(foreign.values())))}"
    where = f"{len(foreign)} of {all_} cells ({next(iter(foreign))}{', ...' if len(foreign) > 1 else ''})"
    advice = "Run xltray.predict on a machine with that kind of device (runtime.device)."
    return Refusal(Problem(where, found, f"scores from {device}, which this process computes on", advice))


def _problems(cell: SurfaceJob, error: XltrayError) -> list[Problem]:
    """Return an error as what is wrong with a cell."""
    name = f"cell {cell.id}"
    if not isinstance(error, ProblemsError):
        return [Problem(name, f"an error: {str(error).rstrip('.')}", "none")]
    return [
        problem if name in problem.where else replace(problem, where=f"{name}, {problem.where}")
        for problem in error.problems
    ]


def write_predictions(
    job: SurfaceJob, evaluator: CellEvaluator, points: Mapping[str, Point], target: Target
) -> CellFiles:
    """Predict at some points of a cell that is done, and write the files.

    Args:
        job: the cell.
        evaluator: takes the cell up; may have held another one before.
        points: by the names that their folders get.
        target: where to write; files that are there are replaced.

    Raises:
        PredictionError: if what would be written does not give the counts evaluated or stored, or
            the device does not give the endpoints' own counts.
        DamagedError, EndpointError, CorpusError: if an endpoint or the data changed since.
    """
    context = evaluator.context
    stored = _stored(job, context)
    device = _load(job, evaluator).device
    task = get_task(job.task)
    languages = job.languages
    examples = {language: read_examples(job.reader, language, "dev", context) for language in languages}
    paths: list[str] = []
    unpredicted: dict[str, int] = {}
    for name, point in points.items():
        scores = evaluator.score_point(point)
        predictions = evaluator.predict_point(point)
        files = {language: task.written(examples[language], predictions[language]) for language in languages}
        for language, written in files.items():
            found = task.recount(written)
            expected = [score for score in scores if score.language == language]
            where = f"cell {job.id}, {name}, {language}"
            _check(where, found, expected, f"evaluated on {device}")
            _check(where, found, stored.get((point, language), ()), "stored")
        paths += _write(files, name, target)
        unpredicted = {language: written.unpredicted for language, written in files.items()}
    return CellFiles(tuple(dict.fromkeys(paths)), unpredicted)


def _load(job: SurfaceJob, evaluator: CellEvaluator) -> Scoring:
    """Let the evaluator take a cell up; what is wrong at a corner is the device's fault, not the store's."""
    try:
        with outside_a_sweep(job, evaluator.context.store):
            return evaluator.load(job)
    except CornerMismatchError as error:
        found = f"other counts at a corner on {evaluator.context.device} than when it was fine-tuned"
        problem = Problem(f"cell {job.id}", found, "the same", _SAME_DEVICE)
        raise PredictionError("Models are not what they were; nothing is written.", [problem]) from error


def _write(files: Mapping[str, Written], name: str, target: Target) -> list[str]:
    paths: list[str] = []
    for language, written in files.items():
        texts = {f"{target.folder}/{name}/{language}.{written.suffix}": written.text}
        if written.gold is not None:
            texts[f"{target.folder}/{GOLD}/{language}.{written.suffix}"] = written.gold
        for path, text in texts.items():
            target.store.write_bytes(path, text.encode())
        paths += texts
    return paths


def _stored(job: SurfaceJob, context: JobContext) -> dict[tuple[Point, str], list[Score]]:
    """Return the scores in the cell's file, by point and language."""
    result: dict[tuple[Point, str], list[Score]] = {}
    for score in scores_of(context.store.read_table(context.store.surface_path(job))):
        if score.scope == SCOPE:
            result.setdefault((job.grid.points[score.point], score.language), []).append(score)
    return result


def _check(where: str, found: Mapping[str, Counts], expected: Sequence[Score], which: str) -> None:
    problems = [
        Problem(
            f"{where}, {score.metric}",
            f"counts {[*found[score.metric]]} in the predictions",
            f"{[score.correct, score.predicted, score.gold]}, as {which}",
            _SAME_DEVICE,
        )
        for score in expected
        if found[score.metric] != (score.correct, score.predicted, score.gold)
    ]
    if problems:
        raise PredictionError("Predictions do not give the counts of their cell; not written.", problems)
