"""Figures hold what the store was made of, and say what they leave out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from made_results import (
    UNEVEN,
    Cell,
    Truth,
    store_of_two_encoders,
    write_cell,
)
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import findings, geometry, lines, pairs, panels, planes
from analysis.read import Results, load
from analysis.statistics import bootstrap_band
from analysis.style import Drawing, Skipped, encoder_colours
from analysis.summary import summarise

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_of_two_encoders(tmp_path_factory.mktemp("store"), plane=UNEVEN)


@pytest.fixture(scope="module")
def results(shared: Path) -> Results:
    return load(shared)


def drawn(outcomes: Iterator[Drawing | Skipped]) -> dict[str, Figure]:
    return {outcome.name: outcome.figure for outcome in outcomes if isinstance(outcome, Drawing)}


def reasons(outcomes: Iterator[Drawing | Skipped]) -> list[str]:
    return [outcome.reason for outcome in outcomes if isinstance(outcome, Skipped)]


def line_named(figure: Figure, panel: int, label: str) -> Line2D:
    return next(line for line in figure.axes[panel].get_lines() if line.get_label() == label)


def at(line: Line2D, alpha: float) -> float:
    alphas, values = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    return float(values[np.flatnonzero(np.isclose(alphas, alpha))[0]])


def test_lines_hold_the_normalised_scores_of_both_languages(results: Results) -> None:
    figure = drawn(lines.draw(results))["lines-en"]
    assert len(figure.axes) == 4
    target = line_named(figure, 0, "mbert, target")
    assert at(target, 0.0) == pytest.approx(0.5 / 0.88)
    assert at(target, 0.5) == pytest.approx(0.69 / 0.88)
    assert at(target, 1.0) == pytest.approx(1.0)
    assert at(line_named(figure, 0, "mbert, source"), 0.0) == pytest.approx(0.9 / 0.88)
    # The right-hand panel is Eq. 2: the languages trade places, and its alpha 0 is target-only.
    assert at(line_named(figure, 1, "mbert, source"), 0.0) == pytest.approx(0.5 / 0.88)
    assert at(line_named(figure, 1, "mbert, target"), 0.0) == pytest.approx(0.9 / 0.88)
    words = [[tick.get_text() for tick in axes.get_xticklabels()] for axes in figure.axes[2:]]
    assert words[0][1:4:2] == ["0\nsource-only\nmodel", "1\nbilingual\nmodel"]
    assert words[1][1:4:2] == ["0\ntarget-only\nmodel", "1\nbilingual\nmodel"]


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
    for figure in (drawn(lines.draw(results))["lines-en"], drawn(pairs.draw(results))["pair-en-de"]):
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
    figure = drawn(lines.draw(load(tmp_path)))["lines-en"]
    low, high = figure.axes[0].get_ylim()
    assert low > 0.8
    assert high > 1.0
    assert min(np.asarray(line_named(figure, 0, "mbert, source").get_ydata())) == 0.0
    assert any("go on below" in text.get_text() for text in figure.texts)


def test_the_y_range_keeps_extrapolation_that_fits() -> None:
    alphas = np.array([-0.5, 0.0, 1.0])
    none = np.full(3, np.nan)
    curve = panels.Curve(alphas, np.array([0.4, 0.5, 1.0]), panels.Band(none, none))
    low, high = panels.readable_limits([curve], 0.1)
    assert 0.3 < low < 0.4
    assert 1.0 < high < 1.1


def test_other_scopes_get_lines_of_their_own_and_planes_do_not(tmp_path: Path) -> None:
    def level_encoder(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(value=rows["value"].where(rows["scope"] == "all", 0.9))

    cell = Cell("mbert", "pos", "en", "de", 0)
    write_cell(tmp_path, cell, Truth(fall=0.0), scopes=("all", "encoder"), plane=UNEVEN, keep=level_encoder)
    loaded = load(tmp_path)
    assert set(drawn(lines.draw(loaded))) == {"lines-en", "lines-en-scope-encoder"}
    assert set(drawn(pairs.draw(loaded))) == {"pair-en-de", "pair-en-de-scope-encoder"}
    figures = drawn(planes.draw(loaded))
    assert set(figures) == {"plane-pos-en-de"}
    filled = next(
        item for item in figures["plane-pos-en-de"].axes[0].collections if isinstance(item, ContourSet)
    )
    assert filled.zmin == pytest.approx(0.3 / 0.9)


def test_a_plane_puts_each_mean_at_its_uneven_place(results: Results) -> None:
    rows = results.surfaces
    chosen = rows[(rows["cell"].str.contains("pos-en-de")) & (rows["encoder"] == "mbert") & rows["on_plane"]]
    plane = planes.plane_of(chosen[chosen["eval_role"] == "target"])
    np.testing.assert_array_equal(plane.a_src, [float(value) for value in UNEVEN])
    at_src = {value: index for index, value in enumerate(plane.a_src)}
    assert plane.scores[at_src[0.0], at_src[0.0]] == pytest.approx(1.0)
    assert plane.scores[at_src[0.0], at_src[0.4]] == pytest.approx((0.88 - 0.38 * 0.4) / 0.88)
    assert plane.scores[at_src[0.6], at_src[0.4]] == pytest.approx((0.88 - 0.38 * 0.4 + 0.02 * 0.6) / 0.88)


def test_planes_share_one_scale_and_name_the_three_models(results: Results) -> None:
    figures = drawn(planes.draw(results))
    assert set(figures) == {
        f"plane-{task}-en-{target}" for task in ("pos", "parsing") for target in ("de", "zh")
    }
    figure = figures["plane-pos-en-de"]
    maps = [axes for axes in figure.axes if axes.get_label() != "colour bar"]
    assert len(maps) == 4
    scales = set()
    for axes in maps:
        filled = next(item for item in axes.collections if isinstance(item, ContourSet) and item.filled)
        scales.add(tuple(filled.levels))
        marks = {line.get_label(): line.get_xydata()[0].tolist() for line in axes.get_lines()}
        marks.pop("_")
        assert marks == {"bilingual": [0, 0], "source-only": [1, 0], "target-only": [0, 1]}
        assert {text.get_text() for text in axes.texts} == set(marks)
    assert len(scales) == 1


def test_a_hole_in_a_plane_stays_a_hole(tmp_path: Path) -> None:
    def without_a_corner(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[~((rows["a_src"] == 1.5) & (rows["a_tgt"] == 1.5))]

    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 0), plane=UNEVEN, keep=without_a_corner)
    loaded = load(tmp_path)
    plane = planes.plane_of(loaded.surfaces[loaded.surfaces["on_plane"]])
    assert np.isnan(plane.scores[-1, -1])
    assert np.isfinite(plane.scores).sum() == len(UNEVEN) ** 2 - 1
    assert set(drawn(planes.draw(loaded))) == {"plane-pos-en-de"}


def test_geometry_shows_whole_models_only(tmp_path: Path) -> None:
    for seed, angle in enumerate((51.0, 58.0)):
        write_cell(tmp_path, Cell("mbert", "pos", "en", "de", seed), angle=angle, ratio=0.97)
    figure = drawn(geometry.draw(load(tmp_path)))["geometry"]
    marks = line_named(figure, 0, "mbert, pos")
    assert sorted(np.asarray(marks.get_xdata())) == [51.0, 58.0]
    assert set(np.asarray(marks.get_ydata())) == {0.97}


def test_partial_grids_draw_what_is_there_and_name_the_rest(tmp_path: Path) -> None:
    cell = Cell("mbert", "pos", "en", "de", 0)
    write_cell(tmp_path / "lines", cell, angle=None)
    only_lines = load(tmp_path / "lines")
    assert set(drawn(lines.draw(only_lines))) == {"lines-en"}
    assert "no point of a plane" in reasons(planes.draw(only_lines))[0]
    assert "geometry" in reasons(geometry.draw(only_lines))[0]
    write_cell(tmp_path / "plane", cell, alphas=(), plane=UNEVEN)
    only_plane = load(tmp_path / "plane")
    assert "two lines" in reasons(lines.draw(only_plane))[0]
    assert set(drawn(planes.draw(only_plane))) == {"plane-pos-en-de"}
    row = summarise(only_plane).iloc[0]
    assert row["target_rise_mean"] == pytest.approx(0.4)
    assert np.isnan(row["source_drop_mean"])
    assert "shape is unknown" in " ".join(findings.findings(summarise(only_plane), ()))
