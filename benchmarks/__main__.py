"""``python -m benchmarks``: measure, print the table, write the JSON.

Exit codes: 0 measured, whether or not targets are met; 1 contestants do not compute the same; 2 the
sentences' lengths cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from transformers.utils import logging as transformers_logging

from benchmarks import report
from benchmarks.lengths import find
from benchmarks.measure import GROUPS, PeersDisagreeError, Settings, Times, measure
from benchmarks.models import SIZES
from benchmarks.rows import ROWS, measured
from xltray.nn.device import resolve, set_threads


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    arguments = _parser().parse_args(argv)
    settings = Settings(
        size=arguments.size,
        sentences=arguments.sentences,
        parsed=min(arguments.parsed, arguments.sentences),
        trained=arguments.trained,
        rounds=arguments.rounds,
        steps=arguments.steps,
        device=resolve(arguments.device),
    )
    set_threads(1)
    transformers_logging.set_verbosity_error()
    about = {"versions": report.versions(), "machine": report.machine(settings.device)}
    times: dict[str, Times] = {}
    try:
        lengths = find(arguments.data)
        for group in arguments.groups:
            print(f"measuring {group} ...", file=sys.stderr, flush=True)
            times[group] = measure(group, lengths, settings)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    except PeersDisagreeError as error:
        print(error, file=sys.stderr)
        return 1
    rows = [measured(spec, times[spec.group]) for spec in ROWS if spec.group in times]
    described = {**about, "settings": asdict(settings), "sentences": lengths.source}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(report.as_json(rows, times, described), encoding="utf-8")
    print(report.table(rows))
    print(f"lengths of {lengths.source}; all of it in {arguments.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="How fast points are scored, against other code."
    )
    usual = Settings()
    parser.add_argument(
        "--data", type=Path, help="a folder with UD 2.7's English-EWT (default: lengths.json)"
    )
    parser.add_argument(
        "--size", choices=SIZES, default=usual.size, help="the encoder's (default: %(default)s)"
    )
    parser.add_argument(
        "--sentences", type=_positive, default=usual.sentences, help="dev sentences (default: %(default)s)"
    )
    parser.add_argument(
        "--parsed", type=_positive, default=usual.parsed, help="of them for parsing (default: %(default)s)"
    )
    parser.add_argument(
        "--trained", type=_positive, default=usual.trained, help="of a training epoch (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=_positive, default=usual.rounds, help="default: %(default)s")
    parser.add_argument(
        "--steps", type=_steps, default=usual.steps, help="of training (default: %(default)s)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=GROUPS, help="default: all")
    parser.add_argument("--out", type=Path, default=Path("results/benchmark.json"))
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"found {number}; expected at least 1")
    return number


def _steps(text: str) -> int:
    if (number := int(text)) < 3:
        raise argparse.ArgumentTypeError(f"found {number}; expected at least 3, one for each endpoint")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
