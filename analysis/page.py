"""Writes report.html: one file with everything in it, to be read from top to bottom.

The page needs no network, no script and no other file. The template (``report.html.jinja``) escapes
whatever the results hold; only the SVG of the figures, which this package draws itself, goes in as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from analysis import names, provenance, report, verdict_words
from analysis.claims import CLAIMS, LEAST_PAIRS, LEAST_SEEDS
from analysis.findings import findings
from analysis.pictures import Picture
from analysis.provenance import Origin
from analysis.read import Results
from analysis.texts import Table
from analysis.verdicts import Judgement, overall

TEMPLATE = "report.html.jinja"
FILE = "report.html"


def write(
    results: Results,
    summary: pd.DataFrame,
    judgements: Sequence[Judgement],
    pictures: Sequence[Picture],
    *,
    origin: Origin,
    notes: Sequence[str],
    out: Path,
    beyond: Sequence[Table] = (),
) -> None:
    """Write the report into a folder.

    Args:
        results: what was drawn and judged.
        summary: the table of ``summary.summarise``.
        judgements: of the claims.
        pictures: the figures.
        origin: the folder of the results and the sweeps that they are of.
        notes: which results these are and what is missing.
        out: the folder.
        beyond: tables that follow those of the scores.
    """
    cells = {*results.surfaces["cell"].unique(), *results.geometry["cell"].unique()}
    text = _template().render(
        title=f"Results of {', '.join(one.name for one in origin.sweeps) or 'a sweep'}",
        run=_run(results),
        sweeps=origin.sweeps,
        claims=[(number, CLAIMS[number], str(one)) for number, one in overall(judgements).items()],
        least=(LEAST_PAIRS, LEAST_SEEDS),
        verdicts=verdict_words.table(judgements),
        verdict_notes=verdict_words.notes(judgements, results.controls, results.unchosen),
        details=verdict_words.details(judgements),
        findings=findings(summary, results.controls, results.unchosen, results.baselines),
        pictures=[one._replace(svg=Markup(one.svg)) for one in pictures if one.svg],
        files=[one for one in pictures if not one.svg],
        tables=[*report.tables(summary), *(one for one in beyond if one.rows)],
        recorded=provenance.recorded(origin.folder, cells),
        licences=provenance.licences(origin.sweeps),
        notes=notes,
    )
    (out / FILE).write_text(text, encoding="utf-8", newline="\n")


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE)


def _run(results: Results) -> Table:
    """Say what was run, one line each."""
    surfaces, geometry = results.surfaces, results.geometry
    columns = ["cell", "encoder", "task", "source", "target", "seed"]
    cells = pd.concat([frame[columns].drop_duplicates() for frame in (surfaces, geometry)]).drop_duplicates()
    sizes = geometry[geometry["part"] == "all"].groupby("encoder")["parameters"].max()
    encoders = []
    for encoder in results.encoders:
        size = (
            f", up to {int(sizes[encoder]):,} parameters with a task layer" if encoder in sizes.index else ""
        )
        encoders.append(f"{names.encoder(encoder, results.controls)}{size}")
    pairs = sorted(set(zip(cells["source"], cells["target"], strict=True)))
    tasks = names.in_order(set(cells["task"]))
    points = surfaces[["cell", "scope", "point"]].drop_duplicates()
    rows = [
        ["Encoders", "; ".join(encoders)],
        ["Tasks", ", ".join(names.task(task) for task in tasks)],
        ["Language pairs", ", ".join(names.pair(*pair) for pair in pairs)],
        ["Seeds", ", ".join(str(seed) for seed in sorted({int(seed) for seed in cells["seed"]}))],
        ["Cells", f"{cells['cell'].nunique()} (one encoder, task, pair and seed each)"],
        ["Models scored", f"{len(points):,} on two languages each"],
        ["Interpolated", ", ".join(sorted(surfaces["scope"].unique())) or "–"],
    ]
    return Table("What was run", ["what", "which"], rows)
