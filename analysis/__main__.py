"""``python -m analysis RESULTS_DIR``: draw every figure, judge the claims, write summary and report.

Exit codes: 0 done; 2 the results cannot be analysed as asked (the message says what to pass);
3 there is nothing to draw.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis import page, provenance, report
from analysis.figures import write_all
from analysis.learned import OPTION
from analysis.read import load
from analysis.summary import summarise
from analysis.tables import AnalysisError
from analysis.verdicts import judge


def main(argv: Sequence[str] | None = None) -> int:
    """Run the analysis; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis", description="Figures, verdicts and a report of a sweep."
    )
    parser.add_argument("results", type=Path, help="the folder that the sweep stored into")
    parser.add_argument("--out", type=Path, help="where figures and summary go (default: RESULTS/figures)")
    parser.add_argument("--sweep", help="take the cells of this sweep only (a name under RESULTS/sweeps)")
    parser.add_argument(
        OPTION,
        action="store_true",
        dest="learned_only",
        help="leave out cells with an endpoint that did not learn",
    )
    arguments = parser.parse_args(argv)
    out: Path = arguments.out or arguments.results / "figures"
    try:
        results = load(arguments.results, arguments.sweep, learned_only=arguments.learned_only)
        origin = provenance.origin(arguments.results, arguments.sweep)
    except AnalysisError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    out.mkdir(parents=True, exist_ok=True)
    written = write_all(results, out)
    summary, judgements = summarise(results), judge(results)
    notes = [*results.notes, *written.skipped]
    page.write(results, summary, judgements, written.pictures, origin=origin, notes=notes, out=out)
    print(report.write(summary, judgements, notes, results.controls, out))
    print(
        f"{len(written.files)} figure files, report.html, summary.md, summary.csv and verdicts.csv in {out}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
