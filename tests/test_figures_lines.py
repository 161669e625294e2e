"""Lines, a figure a pair, and their colours hold what the store was made of."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from made_figures import at, drawn, line_named, results, shared
from made_results import UNEVEN, Cell, Truth, write_cell, write_plan
from matplotlib.contour import ContourSet

from analysis import geometry, lines, pairs, planes, ranges, scopes, style
from analysis.__main__ import main
from analysis.read import Results, load
from analysis.statistics import bootstrap_band
from analysis.style import Drawing, encoder_colours

# Fixtures: pytest looks for them in this module.
__all__ = ["results", "shared"]


def test_lines_hold_the_normalised_scores_of_both_languages(results: Results) -> None:
    figures = drawn(lines.draw(results))
    assert set(figures) == {"lines", "lines-pos", "lines-parsing", "lines-by-pair-en"}
    figure = figures["lines"]
    assert len(figure.axes) == 2, "one source language, two directions"
    target = line_named(figure, 0, "mbert, target")
    assert at(target, 0.0) == pytest.approx(0.5 / 0.88)
    assert at(target, 0.5) == pytest.approx(0.69 / 0.88)
    assert at(target, 1.0) == pytest.approx(1.0)
    assert at(line_named(figure, 0, "mbert, source"), 0.0) == pytest.approx(0.9 / 0.88)
    # The right-hand panel is Eq. 2: the languages trade places, and its alpha 0 is target-only.
    assert at(line_named(figure, 1, "mbert, source"), 0.0) == pytest.approx(0.5 / 0.88)
    assert at(line_named(figure, 1, "mbert, target"), 0.0) == pytest.approx(0.9 / 0.88)
    words = [{text.get_text(): text.xy[0] for text in axes.texts} for axes in figure.axes]
    assert words == [{"source-only": 0, "bilingual": 1}, {"target-only": 0, "bilingual": 1}]
    assert figure.axes[0].get_title(loc="left") == "English → 2 languages: source-only to bilingual"
    assert len(figures["lines-by-pair-en"].axes) == 4


def test_lines_over_all_tasks_are_means_over_their_cells(tmp_path: Path) -> None:
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 1), Truth(zero_shot=0.9 * 0.5))
    write_cell(tmp_path, Cell("mbert", "xnli", "en", "de", 1), Truth(zero_shot=0.9 * 0.9))
    figures = drawn(lines.draw(load(tmp_path)))
    found = {name: at(line_named(figure, 0, "mbert, target"), 0.0) for name, figure in figures.items()}
    assert found == pytest.approx({"lines": 0.7, "lines-pos": 0.5, "lines-xnli": 0.9})


def test_the_lines_band_is_the_bootstrap_over_cells(results: Results) -> None:
    rows = results.surfaces
    chosen = rows[(rows["encoder"] == "mbert") & (rows["task"] == "pos") & rows["on_src_line"]]
    curve = lines.normalised_curve(chosen[chosen["eval_role"] == "target"])
    start = int(np.flatnonzero(curve.alphas == 0)[0])
    shifts = np.repeat([-0.03, 0.0, 0.03], 2) / 0.88
    expected = bootstrap_band(0.5 / 0.88 + shifts[:, None])
    width = curve.band.high[start] - curve.band.low[start]
    assert width == pytest.approx(float(expected.high[0] - expected.low[0]), abs=0.005)
    assert curve.band.high[-1] > curve.band.low[-1] - 1e-12


def test_colour_is_the_encoder_and_style_the_language_everywhere(results: Results) -> None:
    colours = encoder_colours(results.encoders, results.controls)
    assert len(set(colours.values())) == 2
    for figure in (drawn(lines.draw(results))["lines"], drawn(pairs.draw(results))["pair-en-de"]):
        for encoder, colour in colours.items():
            source, target = (line_named(figure, 0, f"{encoder}, {role}") for role in ("source", "target"))
            assert source.get_color() == target.get_color() == colour
            assert source.get_linestyle() == "-"
            assert target.get_linestyle() == "--"


def test_a_control_is_grey_and_leaves_other_colours_alone() -> None:
    with_control = encoder_colours(["a-control", "mbert", "xlmr"], {"a-control"})
    assert with_control["mbert"] == encoder_colours(["mbert", "xlmr"], ())["mbert"]
    red, green, blue = matplotlib.colors.to_rgb(with_control["a-control"])
    assert red == green == blue


def test_the_plan_says_which_encoders_are_controls(tmp_path: Path) -> None:
    """Names do not count: here the trained encoder is the one with "random" in its name."""
    cells = [Cell(encoder, "pos", "en", "de", 1) for encoder in ("untrained", "random-order")]
    planned = [write_cell(tmp_path, cell, plane=UNEVEN) for cell in cells]
    write_plan(tmp_path, "s", planned, controls=["untrained"])
    results = load(tmp_path)
    assert results.controls == {"untrained"}
    assert not any("taken as controls" in note for note in results.notes)
    for drawings in (lines.draw(results), pairs.draw(results), geometry.draw(results)):
        figure = next(iter(drawn(drawings).values()))
        legend = {text.get_text() for one in figure.legends for text in one.get_texts()}
        assert {"untrained (control)", "random-order"} <= legend
        colours = encoder_colours(results.encoders, results.controls)
        shown = {line.get_color() for axes in figure.axes for line in axes.get_lines()}
        assert set(colours.values()) <= shown
    (figure,) = drawn(planes.draw(results)).values()
    titles = [axes.get_title(loc="left").split(",")[0] for axes in figure.axes]
    assert titles[:4] == ["random-order", "untrained (control)"] * 2
    assert main([str(tmp_path)]) == 0
    summary = (tmp_path / "figures" / "summary.md").read_text(encoding="utf-8")
    assert "control untrained behaves the same as random-order in 1 of 1 pair" in summary


def test_pairs_hold_raw_percent_and_the_range_of_seeds(results: Results) -> None:
    figures = drawn(pairs.draw(results))
    assert set(figures) == {"pair-en-de", "pair-en-zh"}
    assert at(line_named(figures["pair-en-de"], 0, "xlmr, target"), 0.0) == pytest.approx(50.0)
    rows = results.surfaces
    one = rows[(rows["cell"].str.contains("pos-en-de")) & (rows["encoder"] == "mbert") & rows["on_src_line"]]
    curve = pairs.raw_curve(one[one["eval_role"] == "target"])
    start = int(np.flatnonzero(curve.alphas == 0)[0])
    assert (curve.band.low[start], curve.band.high[start]) == pytest.approx((47.0, 53.0))


def test_extrapolated_crashes_do_not_flatten_what_lies_between(tmp_path: Path) -> None:
    crash = Truth(source=0.9, bilingual=0.9, zero_shot=0.85, fall=50.0)
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 0), crash)
    figure = drawn(lines.draw(load(tmp_path)))["lines"]
    low, high = figure.axes[0].get_ylim()
    assert low > 0.8
    assert high > 1.0
    assert min(np.asarray(line_named(figure, 0, "mbert, source").get_ydata())) == 0.0
    assert any("go on below" in text.get_text() for text in figure.texts)


def test_the_y_range_keeps_extrapolation_that_fits() -> None:
    alphas = np.array([-0.5, 0.0, 1.0])
    none = np.full(3, np.nan)
    curve = ranges.Curve(alphas, np.array([0.4, 0.5, 1.0]), ranges.Band(none, none))
    low, high = ranges.readable_limits([curve], 0.1)
    assert 0.3 < low < 0.4
    assert 1.0 < high < 1.1


def test_other_scopes_get_lines_of_their_own_and_planes_do_not(tmp_path: Path) -> None:
    def level_encoder(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(value=rows["value"].where(rows["scope"] == "all", 0.9))

    cell = Cell("mbert", "pos", "en", "de", 0)
    write_cell(tmp_path, cell, Truth(fall=0.0), scopes=("all", "encoder"), plane=UNEVEN, keep=level_encoder)
    loaded = load(tmp_path)
    assert set(drawn(lines.draw(loaded))) == {"lines", "lines-pos"}
    with matplotlib.rc_context(style.RC):
        figure = drawn(scopes.draw(loaded))["scopes"]
        figure.draw_without_rendering()
    # Columns: whole, encoder; rows: the two lines.
    ends = [at(line_named(figure, panel, "mbert, target"), 0.0) for panel in range(4)]
    assert ends == pytest.approx([0.5 / 0.9, 1.0, 1.0, 1.0])
    # Rows begin at different models, which the panels' titles name.
    assert [text.get_text() for text in figure.axes[2].texts] == ["monolingual", "bilingual"]
    for text in (figure.axes[0].yaxis.label, figure.axes[2].yaxis.label):
        assert text.get_window_extent().x0 >= 0, "the label is cut off"
    assert set(drawn(pairs.draw(loaded))) == {"pair-en-de", "pair-en-de-scope-encoder"}
    titles = [one.title for one in pairs.draw(loaded) if isinstance(one, Drawing)]
    assert len(set(titles)) == 2, "two figures of one name"
    figures = drawn(planes.draw(loaded))
    assert set(figures) == {"plane-pos-en-de"}
    filled = next(
        item for item in figures["plane-pos-en-de"].axes[0].collections if isinstance(item, ContourSet)
    )
    assert filled.zmin == pytest.approx(0.3 / 0.9)
