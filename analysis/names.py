"""Names as people write them, for titles, legends and sentences.

Results hold codes (``de``, ``pos``, ``las``). A code without an entry here is shown as it is, so
a new language or task needs no change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

SYNTHETIC = "synthetic"
LANGUAGES = {
    "ar": "Arabic",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "ru": "Russian",
    "vi": "Vietnamese",
    "zh": "Chinese",
    **{code: f"{SYNTHETIC} {code}" for code in ("qaa", "qab", "qac", "qad")},
}

TASKS = {
    "xnli": "Natural language inference",
    "ner": "Named entities",
    "pos": "Part-of-speech tags",
    "parsing": "Dependency parsing",
}

# The primary metric of each task is one of these, or the only one that the task has.
METRICS = {"accuracy": "accuracy", "f1": "span F1", "las": "labelled attachment"}

PRIMARY_METRICS = tuple(METRICS)


def language(code: str) -> str:
    """Return the English name of a language, or its code."""
    return LANGUAGES.get(code, code)


def pair(source: str, target: str) -> str:
    """Return a language pair, such as "English → German" or "synthetic qaa → qab"."""
    first, second = language(source), language(target)
    return f"{first} → {second.removeprefix(SYNTHETIC).lstrip() if first.startswith(SYNTHETIC) else second}"


def task(code: str) -> str:
    """Return what a task is called, or its code."""
    return TASKS.get(code, code)


def in_order(tasks: Iterable[str]) -> list[str]:
    """Return tasks in the order that figures and tables have them: known ones first."""
    known = list(TASKS)
    return sorted(tasks, key=lambda code: (known.index(code) if code in TASKS else len(known), code))


def metric(code: str) -> str:
    """Return what a metric is called, or its code."""
    return METRICS.get(code, code)


def count(number: int, noun: str) -> str:
    """Return "1 seed", "2 seeds"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def encoder(code: str, controls: Collection[str]) -> str:
    """Return an encoder's name, saying so if it is one of the controls."""
    return f"{code} (control)" if code in controls else code


def left_out(controls: Collection[str]) -> str:
    """Return the sentence on controls that were not chosen; nothing if there are none."""
    if not controls:
        return ""
    what = "The randomly initialised control" + (" was" if len(controls) == 1 else "s were")
    return f"{what} left out by --encoders: {', '.join(sorted(controls))}."


def called_random(encoder: str) -> bool:
    """Whether an encoder's name says "random", which is all there is to go by without a plan."""
    return "random" in encoder.lower()
