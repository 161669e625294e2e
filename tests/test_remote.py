"""Results at a URI are analysed as those in a folder are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_results import Cell, write_cell, write_plan

from analysis import remote
from analysis.__main__ import main


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A store with a cell, a plan, and much that the analysis has no use for."""
    store = tmp_path / "store"
    write_plan(store, "one", [write_cell(store, Cell("mbert", "pos", "en", "de", 0))])
    for path in (
        "endpoints/e/model.safetensors",
        "endpoints/e/history.parquet",
        "surfaces/encoder=mbert/task=pos/_c.parts/all-0-8.parquet",
        "checkpoints/e/1/state.safetensors",
    ):
        (store / path).parent.mkdir(parents=True, exist_ok=True)
        (store / path).write_bytes(b"of no use")
    constant = {language: {"metric": "accuracy", "value": 0.95} for language in ("en", "de")}
    (store / "endpoints/e/DONE.json").write_text(json.dumps({"baselines": constant}))
    (store / "endpoints/e/spec.json").write_text(json.dumps({"task": "pos"}))
    return store


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_a_uri_gives_what_its_folder_does(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(results)]) == 0
    said = capsys.readouterr().out
    assert "no better than that of one constant answer" in said
    assert main([results.as_uri()]) == 0
    assert capsys.readouterr().out == said.replace(str(results), "results/store")
    assert content(tmp_path / "results/store/figures") == content(results / "figures")


def test_only_what_is_read_is_copied_and_the_copy_goes(results: Path) -> None:
    with remote.at_hand(results.as_uri()) as folder:
        copied = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert all((folder / path).read_bytes() == (results / path).read_bytes() for path in copied)
    assert not folder.exists()
    (surface,) = results.glob("surfaces/*/*/*.parquet")
    (geometry,) = results.glob("geometry/*/*/*.parquet")
    read = {str(path.relative_to(results)) for path in (surface, geometry)}
    assert copied == read | {"sweeps/one/plan.json", "endpoints/e/DONE.json", "endpoints/e/spec.json"}
    with remote.at_hand(str(results)) as folder:
        assert folder == results


def test_errors_name_the_uri_and_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([tmp_path.as_uri()]) == 3
    assert capsys.readouterr().err.startswith(
        f"{tmp_path.as_uri()}: no results of any cell; expected Parquet files"
    )
    for uri in ("nowhere://bucket/full?secret=abc", "nowhere://key:ab/c@bucket/full"):
        assert main([uri]) == 2
        said = capsys.readouterr().err
        assert said.startswith("nowhere://bucket/full: cannot be read (")
        assert "abc" not in said
        assert "ab/c" not in said


def test_where_figures_go() -> None:
    assert remote.default_output("results/a") == Path("results/a/figures")
    assert remote.default_output("s3://bucket/deep/full/?region=x") == Path("results/full/figures")
