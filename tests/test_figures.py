"""Figures hold what the store was made of, and say what they leave out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import made_figures
import matplotlib
import numpy as np
import pandas as pd
import pytest
from made_figures import at, drawn, line_named, reasons
from made_results import UNEVEN, Cell, Truth, write_cell, write_plan
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis import (
    findings,
    geometry,
    layers,
    lines,
    pairs,
    planes,
    ranges,
    scopes,
    style,
    trajectories,
    variances,
)
from analysis.__main__ import main
from analysis.pictures import CAPTIONS
from analysis.read import Results, load
from analysis.statistics import bootstrap_band
from analysis.style import Drawing, Skipped, encoder_colours
from analysis.summary import summarise

matplotlib.use("Agg")

# Fixtures: pytest looks for them in this module.
shared, results = made_figures.shared, made_figures.results


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
    single = {f"plane-{task}-en-{target}" for task in ("pos", "parsing") for target in ("de", "zh")}
    assert set(figures) == {"planes", *single}
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
    assert len(scales) == 1
    legend = {text.get_text() for one in figure.legends for text in one.get_texts()}
    assert legend == {f"{name} model" for name in ("bilingual", "source-only", "target-only")}
    titles = [axes.get_title(loc="left") for axes in maps]
    assert titles == ["mbert, on English", "xlmr, on English", "mbert, on German", "xlmr, on German"]


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
    assert set(drawn(lines.draw(only_lines))) == {"lines", "lines-pos"}
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


# Beyond the lines


def test_variance_is_that_over_seeds_relative_to_the_bilingual_score(results: Results) -> None:
    figure = drawn(variances.draw(results))["variance"]
    on_source, on_target = (line_named(figure, 0, f"mbert, {role}") for role in ("source", "target"))
    # Deviations over seeds: 0.03 and 0.01 at the source-only model, which shrink with its share.
    assert at(on_target, 0.0) == pytest.approx((0.03 / 0.88) ** 2)
    assert at(on_target, 0.5) == pytest.approx((0.015 / 0.88) ** 2)
    assert at(on_source, 0.0) == pytest.approx((0.01 / 0.88) ** 2)
    assert figure.axes[0].get_yscale() == "log"
    assert np.isnan(at(on_target, 1.0)), "bilingual models without any variance have no place on the scale"


def test_variance_needs_two_seeds_and_all_of_them_at_a_point(tmp_path: Path) -> None:
    def without_half(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[rows["a_src"] != 0.5]

    noisy = Truth(noise_target=0.03, noise_source=0.01)
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 0), noisy)
    assert "two seeds" in reasons(variances.draw(load(tmp_path)))[0]
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 2), noisy, keep=without_half)
    line = line_named(drawn(variances.draw(load(tmp_path)))["variance"], 0, "mbert, target")
    assert at(line, 0.25) == pytest.approx(2 * (0.75 * 0.03 / 0.9) ** 2)
    assert not np.isclose(np.asarray(line.get_xdata()), 0.5).any()


def test_layers_hold_changes_per_parameter_and_angles(tmp_path: Path) -> None:
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 0), angle=50.0)
    figure = drawn(layers.draw(load(tmp_path)))["layers"]
    # Made parts: head (angle + 20, ratio 1.3), layer.0 (angle - 10, ratio 0.8); one parameter each.
    src, tgt = (line_named(figure, 0, f"mbert, rms_{side}") for side in ("src", "tgt"))
    assert np.asarray(src.get_xdata()).tolist() == [1, 2]
    assert np.asarray(src.get_ydata()) == pytest.approx([0.8, 1.3])
    assert np.asarray(tgt.get_ydata()) == pytest.approx([1.0, 1.0])
    assert np.asarray(line_named(figure, 1, "mbert, angle").get_ydata()) == pytest.approx([40, 70])
    labels = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert labels == ["emb.", "1", "task"]


def test_third_languages_have_a_path(tmp_path: Path) -> None:
    def with_third(rows: pd.DataFrame) -> pd.DataFrame:
        third = rows[rows["eval_role"] == "target"].assign(eval_role="other", eval_language="fr")
        return pd.concat([rows, third.assign(value=third["value"] / 2 + 0.4)])

    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 1), keep=with_third)
    loaded = load(tmp_path)
    figure = drawn(trajectories.draw(loaded))["trajectory-en-de"]
    target, third = (line_named(figure, 0, language) for language in ("de", "fr"))
    assert np.asarray(target.get_ydata())[[0, -1]] == pytest.approx([0.5 / 0.9, 1.0])
    assert np.asarray(third.get_ydata())[[0, -1]] == pytest.approx([0.65 / 0.85, 1.0])
    assert np.asarray(third.get_xdata()) == pytest.approx(1.0), "the source stays where it is"
    assert target.get_linestyle() == "--"
    assert third.get_linestyle() == ":"
    # They change nothing else.
    assert set(loaded.surfaces["eval_role"]) == {"source", "target"}
    write_cell(tmp_path / "none", Cell("mbert", "pos", "en", "de", 1))
    assert not drawn(trajectories.draw(load(tmp_path / "none")))


# For papers


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
