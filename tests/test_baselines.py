"""What one constant answer scores is read from endpoints and drawn beside raw scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_figures import drawn
from made_results import Cell, write_cell

from analysis import pairs
from analysis.read import load
from analysis.style import Drawing


def endpoint(store: Path, name: str, task: str, baselines: dict[str, object]) -> None:
    folder = store / "endpoints" / name
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps({"task": task}), encoding="utf-8")
    (folder / "DONE.json").write_text(json.dumps({"baselines": baselines}), encoding="utf-8")


def said(value: float, metric: str = "accuracy") -> dict[str, object]:
    return {"metric": metric, "value": value}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for seed in range(2):
        write_cell(tmp_path, Cell("mbert", "xnli", "en", "de", seed))
        write_cell(tmp_path, Cell("mbert", "pos", "en", "de", seed))
    return tmp_path


def test_only_what_was_scored_and_is_certain_is_a_baseline(store: Path) -> None:
    endpoint(store, "a", "xnli", {"en": said(0.34), "de": said(0.33), "fr": said(0.5)})
    endpoint(store, "b", "xnli", {"en": said(0.34)})
    endpoint(store, "c", "pos", {"en": said(0.2), "de": said(0.1, "f1")})
    # Another dev set of the same name: nobody knows which one the cells were scored on.
    endpoint(store, "d", "pos", {"en": said(0.3)})
    endpoint(store, "older", "pos", {"de": {"score": 1}})
    (store / "endpoints" / "broken").mkdir()
    (store / "endpoints" / "broken" / "DONE.json").write_text("{", encoding="utf-8")
    assert load(store).baselines == {("xnli", "en"): 0.34, ("xnli", "de"): 0.33}


def test_raw_scores_are_drawn_beside_the_baseline(store: Path) -> None:
    endpoint(store, "a", "xnli", {"en": said(0.34), "de": said(0.25)})
    (drawing,) = pairs.draw(load(store))
    assert isinstance(drawing, Drawing)
    inference, tags = drawing.figure.axes[:2], drawing.figure.axes[2:]
    for axes in inference:
        levels = {line.get_label(): line.get_ydata()[0] for line in axes.get_lines()}
        assert levels["one constant answer, source"] == pytest.approx(34)
        assert levels["one constant answer, target"] == pytest.approx(25)
        assert axes.get_ylim()[0] < 25, "in sight, though no score is near"
    lines = [line.get_label() for axes in tags for line in axes.get_lines()]
    assert not any("constant" in str(label) for label in lines)
    legend = [text.get_text() for one in drawing.figure.legends for text in one.get_texts()]
    assert "one constant answer" in legend
    assert "what the best constant answer scores" in drawing.text


def test_without_endpoints_nothing_is_said_of_baselines(store: Path) -> None:
    (drawing,) = pairs.draw(load(store))
    assert isinstance(drawing, Drawing)
    assert "constant" not in drawing.text
    assert set(drawn(iter([drawing]))) == {"pair-en-de"}
    legend = [text.get_text() for one in drawing.figure.legends for text in one.get_texts()]
    assert "one constant answer" not in legend
