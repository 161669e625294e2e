"""``python -m analysis RESULTS``: draw every figure, judge the claims, write tables and report.

Exit codes: 0 done; 2 the results cannot be analysed as asked (the message says what to pass);
3 there is nothing to draw.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis import captions, examples, page, provenance, remote, report, seeds, shape, table_files
from analysis.figures import tidy, write_all
from analysis.gaps import listing
from analysis.learned import OPTION
from analysis.measures import prepare
from analysis.provenance import Origin
from analysis.read import Results, load
from analysis.summary import summarise
from analysis.tables import AnalysisError
from analysis.verdicts import judge


def main(argv: Sequence[str] | None = None) -> int:
    """Run the analysis; return the exit code."""
    arguments = _parser().parse_args(argv)
    out: Path = arguments.out or remote.default_output(arguments.results)
    try:
        with remote.at_hand(arguments.results) as folder:
            results = load(
                folder,
                arguments.sweep,
                learned_only=arguments.learned_only,
                encoders=arguments.encoders,
                tasks=arguments.tasks,
            )
            origin = provenance.origin(folder, arguments.sweep)
            out.mkdir(parents=True, exist_ok=True)
            print(_write(results, origin, out))
    except AnalysisError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis", description="Figures, verdicts, tables and a report of a sweep."
    )
    parser.add_argument(
        "results", help="where the sweep stored into: a folder, or a URI such as s3://BUCKET/full"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="where everything goes (default: RESULTS/figures; of a URI: results/its last part/figures)",
    )
    parser.add_argument("--sweep", help="take the cells of this sweep only (a name under RESULTS/sweeps)")
    for option in ("encoder", "task"):
        parser.add_argument(
            f"--{option}s", nargs="+", default=[], metavar="NAME", help=f"take these {option}s only"
        )
    parser.add_argument(
        OPTION,
        action="store_true",
        dest="learned_only",
        help="leave out cells with an endpoint that did not learn",
    )
    return parser


def _write(results: Results, origin: Origin, out: Path) -> str:
    """Write everything into a folder; return the summary without its tables, and what was written."""
    written = write_all(results, out)
    summary, shapes, material = summarise(results), shape.measure(results), prepare(results)
    judgements = judge(results, material)
    trained = [encoder for encoder in results.encoders if encoder not in results.controls]
    counts = examples.counts(origin.folder, results)
    samples = provenance.samples(origin.sweeps)
    notes = [*results.notes, *samples, *written.skipped, *examples.missing(counts, results)]
    beyond = [
        *shape.tables(shapes),
        seeds.table(seeds.needs(material, trained)),
        examples.table(counts),
    ]
    page.write(
        results, summary, judgements, written.pictures, origin=origin, notes=notes, out=out, beyond=beyond
    )
    captions.write(written.pictures, out)
    files = table_files.write(summary, counts, shapes, out)
    text = report.write(summary, judgements, notes, results, out, beyond)
    gone = tidy(out, [path.name for path in (*written.files, *files)])
    removed = f"\nRemoved what an earlier run left: {listing(gone)}." if gone else ""
    return (
        f"{text}\nWith all numbers: {out / 'summary.md'}. There too: {len(written.files)} figure files, "
        f"{len(files)} files of tables, report.html, captions.md, summary.csv and verdicts.csv.{removed}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
