"""What a sweep would run, without running it."""

from __future__ import annotations

from pathlib import Path

import made_commands
import pytest
from made_commands import ROOT, FakeCluster, alone, cell, store, write

from xltray.sweep import main

SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))

# Fixtures: pytest looks for them in this module.
here, cluster = made_commands.here, made_commands.cluster


def test_the_papers_sweep_in_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(ROOT / "sweeps" / "full.yaml"), "--dry-run"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Sweep full, stored in results/full" in printed
    assert "576 fine-tunings 360 surfaces 465 points per surface" in printed
    assert "334,800 evaluations: 167,400 models, each on two dev sets" in printed
    assert "Disk: about 848 GB (848 GB endpoints, 0 B encoders" in printed
    assert "without" not in printed, "both encoders say how large they are"
    assert "27 inputs are not here" in printed  # XNLI, WikiANN and a treebank for each of 9 languages
    assert "data/xnli/en: no data root data" in printed
    assert printed.count("no data root") == 8
    assert "and 19 more" in printed
    assert not list(Path().iterdir()), "a dry run writes nothing"


def test_a_dry_run_needs_neither_ray_nor_torch_nor_network() -> None:
    done = alone(str(ROOT / "sweeps" / "full.yaml"), "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "576 fine-tunings" in done.stdout


@pytest.mark.parametrize("path", SWEEPS, ids=[path.stem for path in SWEEPS])
def test_every_sweep_here_can_be_counted_without_data(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(path), "--dry-run", "data.root=nowhere"]) == 0
    printed = capsys.readouterr().out
    # Sweeps of scopes use the endpoints of the paper's sweep.
    folder = "full" if path.stem == "scopes" else path.stem
    assert f"Sweep {path.stem}, stored in results/{folder}" in printed
    assert "evaluations" in printed


def test_a_dry_run_says_what_is_left(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write()
    main([sweep, "--dry-run"])
    before = capsys.readouterr().out
    assert "To run: 1 of 1 pretraining, 5 of 5 fine-tunings, 2 of 2 surfaces." in before
    assert main([sweep]) == 0
    store().delete(store().surface_path(cell("qad")))
    capsys.readouterr()
    main([sweep, "--dry-run"])
    assert "To run: 0 of 1 pretraining, 0 of 5 fine-tunings, 1 of 2 surfaces." in capsys.readouterr().out


def test_a_dry_run_counts_scopes_and_names_encoders_of_unknown_size(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = write({"scopes": ["all", "head"], "encoders": {"big": {"checkpoint": "some/model"}}})
    assert main([sweep, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "4 points per surface x 2 scopes" in printed
    assert "32 evaluations: 16 models, each on two dev sets" in printed
    assert "without big: give encoders.<name>.parameters" in printed


@pytest.mark.parametrize(
    ("third", "said"),
    [
        ("[qac]", "24 evaluations: 8 models, each on 3 dev sets"),
        # The target of the second cell.
        ("[qad]", "20 evaluations: 8 models, each on 2 to 3 dev sets"),
    ],
)
def test_a_dry_run_counts_third_languages(third: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(), f"third_languages={third}", "--dry-run"]) == 0
    assert said in capsys.readouterr().out


def test_overrides_change_what_is_planned(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = write()
    assert main([sweep, "seeds=[0,1]", "tasks=[pos, parsing]", "storage=elsewhere", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "stored in elsewhere" in printed
    assert "20 of 20 fine-tunings, 8 of 8 surfaces" in printed
