"""Figures in print: their size and type, and what they say that their lines are the mean of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from made_figures import drawn, line_named, results, shared
from made_results import Cell, Truth, write_cell
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis import geometry, layers, lines, pairs, planes, style, trajectories, variances
from analysis.pictures import CAPTIONS
from analysis.read import Results, load
from analysis.style import Drawing, Skipped

# Fixtures: pytest looks for them in this module.
__all__ = ["results", "shared"]


def test_pdfs_are_as_wide_as_a_page_or_a_column_and_have_no_heading(results: Results, tmp_path: Path) -> None:
    with matplotlib.rc_context(style.RC):
        for draw, width in ((lines.draw, 6.30), (geometry.draw, 3.03)):
            drawing = next(one for one in draw(results) if isinstance(one, Drawing))
            png, pdf = style.save(drawing, tmp_path)
            box = re.search(rb"/MediaBox \[ ([\d. ]+) \]", pdf.read_bytes())
            assert box is not None
            left, lower, right, upper = map(float, box[1].split())
            whole = drawing.figure.get_size_inches()
            assert (right - left) / 72 == pytest.approx(width, abs=0.01)
            assert (upper - lower) / 72 == pytest.approx(whole[1] - drawing.head, abs=0.02)
            assert matplotlib.image.imread(png).shape[0] == int(whole[1] * style.DPI)
            assert "heading" in {text.get_gid() for text in drawing.figure.texts if text.get_visible()}
            fonts = re.findall(rb"/Subtype /(Type3|TrueType|CIDFontType2)", pdf.read_bytes())
            assert fonts, "text is text"
            assert b"Type3" not in fonts, "fonts are embedded as TrueType"


def test_no_text_is_smaller_than_a_paper_allows(results: Results) -> None:
    with matplotlib.rc_context(style.RC):
        figures = {
            **drawn(lines.draw(results)),
            **drawn(planes.draw(results)),
            **drawn(geometry.draw(results)),
        }
    for name, figure in figures.items():
        texts = [text for text in figure.findobj(Text) if text.get_text()]
        assert texts, name
        assert {text.get_fontsize() for text in texts} <= {8.0, 8.5, 9.5}, name


def test_nothing_leaves_the_page(results: Results) -> None:
    with matplotlib.rc_context(style.RC):
        figures = {
            **drawn(lines.draw(results)),
            **drawn(planes.draw(results)),
            **drawn(geometry.draw(results)),
        }
        for name, figure in figures.items():
            figure.draw_without_rendering()
            page = figure.bbox
            for text in written_in(figure):
                box = text.get_window_extent()
                where = (name, text.get_text())
                assert (box.x0 > page.x0 - 1, box.x1 < page.x1 + 1) == (True, True), where
                assert (box.y0 > page.y0 - 1, box.y1 < page.y1 + 1) == (True, True), where


def written_in(figure: Figure) -> list[Text]:
    """Return all texts but the numbers at ticks, of which some lie outside and are not drawn."""
    ticks = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in [*axis.majorTicks, *axis.minorTicks]
        for label in (tick.label1, tick.label2)
    }
    found = figure.findobj(Text)
    return [text for text in found if id(text) not in ticks and text.get_text() and text.get_visible()]


# What a figure says that its lines are the mean of


def texts(outcomes: Iterator[Drawing | Skipped]) -> dict[str, str]:
    return {outcome.name: outcome.text for outcome in outcomes if isinstance(outcome, Drawing)}


def test_means_are_counted_a_line_and_not_a_figure(tmp_path: Path) -> None:
    noisy = Truth(noise_source=0.01, noise_target=0.03)
    for encoder, targets, seeds in (("mbert", ("de", "zh"), 3), ("toy-random", ("de",), 2)):
        for target in targets:
            for seed in range(seeds):
                write_cell(tmp_path, Cell(encoder, "pos", "en", target, seed), noisy, plane=(0, 1))
    loaded = load(tmp_path)
    said = texts(lines.draw(loaded))
    assert "Each line: mean over 2 to 6 cells (" in said["lines"]
    assert "Each line: mean over 2 to 3 cells (" in said["lines-by-pair-en"]
    of_layers = texts(layers.draw(loaded))["layers"]
    assert "Each line: mean over 2 to 6 cells (a task, language pair and seed each). Band" in of_layers
    variance = texts(variances.draw(loaded))["variance"]
    assert "over 2 to 3 seeds" in variance
    assert "Each line: mean over 1 to 2 combinations of task and pair. Band" in variance
    of_planes = texts(planes.draw(loaded))
    assert "each panel: mean over 2 to 6 cells (" in of_planes["planes"]
    assert "each panel: mean over 2 to 3 seeds." in of_planes["plane-pos-en-de"]
    assert "Mean over 2 to 3 seeds; band" in texts(pairs.draw(loaded))["pair-en-de"]
    maps = drawn(planes.draw(loaded))["planes"].axes
    titles = [" ".join(axes.get_title(loc="left").split()) for axes in maps]
    assert titles[2:4] == ["toy-random (control), on source", "toy-random (control), on target"]


def test_lines_of_one_cell_each_have_no_band_to_explain(tmp_path: Path) -> None:
    for encoder in ("mbert", "xlmr"):
        for target in ("de", "zh"):
            write_cell(tmp_path, Cell(encoder, "pos", "en", target, 0))
    loaded = load(tmp_path)
    said = texts(lines.draw(loaded))
    assert "Band" in said["lines"], "a line of two pairs"
    assert "Each line: 1 cell (" in said["lines-by-pair-en"]
    assert "Band" not in said["lines-by-pair-en"]


def test_a_band_down_to_no_variance_reaches_the_foot_of_the_panel(tmp_path: Path) -> None:
    """Seeds of one pair never differ: some draws of pairs have no variance, which has no logarithm."""
    for target, noise in (("de", 0.03), ("zh", 0.0)):
        for seed in range(3):
            truth = Truth(noise_source=noise, noise_target=noise)
            write_cell(tmp_path, Cell("mbert", "pos", "en", target, seed), truth)
    axes = drawn(variances.draw(load(tmp_path)))["variance"].axes[0]
    band = axes.collections[0]
    (path,) = band.get_paths()
    assert path.vertices[:, 1].min() <= 0
    low = axes.transData.transform(path.vertices)[:, 1]
    assert np.isfinite(low).all(), "clipped, not masked"
    assert low.min() < axes.transAxes.transform((0, 0))[1]


def test_both_coordinates_of_a_path_are_of_the_same_cells(tmp_path: Path) -> None:
    """Only seed 1 was scored on a third language: seed 0's source scores are no part of its path."""

    def with_third(rows: pd.DataFrame) -> pd.DataFrame:
        third = rows[rows["eval_role"] == "target"].assign(eval_role="other", eval_language="fr")
        return pd.concat([rows, third])

    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 1), Truth(source=0.9), keep=with_third)
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 0), Truth(source=0.45))
    outcomes = list(trajectories.draw(load(tmp_path)))
    figure = drawn(iter(outcomes))["trajectory-en-de"]
    starts = {language: line_named(figure, 0, language).get_xydata()[0] for language in ("de", "fr")}
    assert starts["fr"] == pytest.approx([1.0, 0.5 / 0.9])
    assert starts["de"] == pytest.approx([0.75, 0.5 / 0.9])
    assert "Each path: mean over 1 to 2 cells (" in texts(iter(outcomes))["trajectory-en-de"]


def test_captions_hold_whatever_columns_there_are_and_whichever_way_is_longer() -> None:
    assert "column" not in CAPTIONS["scopes"]
    assert "the encoder alone" in CAPTIONS["scopes"]
    words = "length of the way to the source-only model divided by length of the way to the target-only model"
    assert words in CAPTIONS["geometry"]
