"""Planes, geometry, variance, layers and paths hold what the store was made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_figures import at, drawn, line_named, reasons, results, shared
from made_results import UNEVEN, Cell, Truth, write_cell
from matplotlib.contour import ContourSet

from analysis import findings, geometry, layers, lines, planes, trajectories, variances
from analysis.read import Results, load
from analysis.summary import summarise

# Fixtures: pytest looks for them in this module.
__all__ = ["results", "shared"]


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


# Variance, layers, paths


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
