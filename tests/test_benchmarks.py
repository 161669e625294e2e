"""The benchmark: its peers compute the same, its statistics are right, and a run tells all of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.examples import MAX_LENGTH, make_split
from benchmarks.lengths import TREEBANK, Lengths, as_json, checked_in, counted, evenly
from benchmarks.measure import PeersDisagreeError, Settings, check_equal, contestants, measure
from benchmarks.python_counts import (
    label_counts,
    label_counts_of_arrays,
    span_counts,
    span_counts_of_arrays,
)
from benchmarks.python_trees import best_tree
from benchmarks.rows import ROWS, TASKS, Goal, Sense, measured
from benchmarks.statistics import ratio_of_medians
from benchmarks.timing import ProcessClock, take_turns
from xltray.nn.device import set_threads
from xltray.nn.trees import decode
from xltray.tasks.base import Counts

TINY = Settings(size="tiny", sentences=40, parsed=24, trained=64, rounds=1, steps=6)


@pytest.fixture(scope="module")
def lengths() -> Lengths:
    set_threads(1)
    return checked_in()


@pytest.mark.parametrize("task", TASKS)
def test_peers_count_the_same(task, lengths, tmp_path):
    found = contestants(task, lengths, TINY, tmp_path)
    scores = {name: contestant.score() for name, contestant in found.items()}
    check_equal(task, scores)
    assert set(scores) == {"ours", "naive", "strong", "trainer"}
    assert all(counts.gold > 0 for peer in scores.values() for counts in peer.values())
    assert len({frozenset(peer) - {"las_paper"} for peer in scores.values()}) == 1


def test_what_does_not_count_the_same_stops_the_run():
    scores = {"ours": {"f1": Counts(3, 5, 6)}, "naive": {"f1": Counts(3, 5, 7)}}
    with pytest.raises(PeersDisagreeError, match=r"naive counts \(3, 5, 7\) for f1; ours are \(3, 5, 6\)"):
        check_equal("ner", scores)


def test_a_run_that_disagrees_ends_with_1(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("benchmarks.peers.label_counts", lambda predicted, gold: Counts(0, 1, 1))
    out = tmp_path / "benchmark.json"
    small = ["--size", "tiny", "--sentences", "8", "--rounds", "1", "--steps", "3"]
    assert main([*small, "--device", "cpu", "--groups", "pos", "--out", str(out)]) == 1
    assert "pos: naive counts (0, 1, 1)" in capsys.readouterr().err
    assert not out.exists()


def test_training_peers_start_from_the_same_loss(lengths, monkeypatch):
    assert set(measure("training", lengths, TINY)) == {"trainer", "ours"}
    monkeypatch.setattr("benchmarks.trainer.TrainerTraining.first_loss", lambda self, batch: 0.0)
    with pytest.raises(PeersDisagreeError, match="first loss"):
        measure("training", lengths, TINY)


def test_the_ratio_is_of_medians_and_its_interval_of_rounds():
    ratio = ratio_of_medians([2.0, 4.0, 100.0], [1.0, 2.0, 3.0])
    assert ratio.value == 2.0
    assert (ratio.low, ratio.high) == (2.0, pytest.approx(100 / 3))
    # Rounds are resampled in pairs: a machine that slows both down leaves the ratio alone.
    slower = [1.0, 1.0, 3.0, 9.0, 2.0]
    assert ratio_of_medians([3 * seconds for seconds in slower], slower) == pytest.approx((3.0, 3.0, 3.0))
    with pytest.raises(ValueError, match="found 1 and 2 rounds"):
        ratio_of_medians([1.0], [1.0, 2.0])


def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        above, below = 2 * generator.lognormal(0, 0.1, 15), generator.lognormal(0, 0.1, 15)
        ratio = ratio_of_medians(above.tolist(), below.tolist(), draws=500, seed=seed)
        held += ratio.low <= 2.0 <= ratio.high
    assert 0.88 <= held / 200 <= 0.99


def test_contestants_take_turns_and_another_begins_each_round():
    called: list[str] = []
    turns = {name: (lambda name=name: called.append(name)) for name in "abc"}
    times = take_turns(turns, 3, ProcessClock())
    assert "".join(called) == "abcbcacab"
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_goal_tells_its_sides_apart():
    assert Goal(Sense.AT_LEAST, 2.0).is_met_by(2.5)
    assert not Goal(Sense.AT_LEAST, 2.0).is_met_by(1.5)
    assert Goal(Sense.AT_MOST, 2.0).is_met_by(1.5)
    assert not Goal(Sense.AT_MOST, 2.0).is_met_by(2.5)


def test_two_servers_that_take_as_long_as_one_do_twice_the_work():
    (spec,) = (spec for spec in ROWS if spec.group == "servers")
    row = measured(spec, {"one": [1.0, 1.0], "two": [1.25, 1.25]})
    assert (row.ratio.value, row.verdict) == (1.6, "missed")
    assert measured(spec, {"one": [1.0], "two": [1.05]}).verdict == "met"


def test_python_trees_are_the_best_ones():
    generator = np.random.default_rng(0)
    several_roots = 0
    for _ in range(200):
        words = int(generator.integers(1, 9))
        scores_NN = generator.normal(size=(words + 1, words + 1))
        scores_NN[:, 0] += generator.choice([0.0, 2.0])
        several_roots += int((scores_NN[1:].argmax(1) == 0).sum() > 1)
        expected = decode(scores_NN[None], np.array([words]))[0, 1:]
        assert best_tree(scores_NN)[1:].tolist() == expected.tolist()
    assert several_roots > 20


def test_python_counts_are_those_of_arrays():
    gold, predicted = [[1, 2, 0, 3], [2, 2]], [[1, 2, 0, 5], [2, 1]]
    # In gold: a person, an organisation, a person; predicted: the person, a place, two people.
    assert span_counts(predicted, gold) == Counts(1, 4, 3)
    assert label_counts(predicted, gold) == Counts(4, 6, 6)
    generator = np.random.default_rng(0)
    for _ in range(50):
        sizes = generator.integers(1, 7, size=5)
        tags = [[generator.integers(0, 7, size=size).tolist() for size in sizes] for _ in range(2)]
        arrays = [np.concatenate([np.array(row) for row in rows]) for rows in tags]
        sentence_N = np.repeat(np.arange(5), sizes)
        assert span_counts_of_arrays(*arrays, sentence_N) == span_counts(*tags)
        assert label_counts_of_arrays(*arrays, sentence_N) == label_counts(*tags)


def test_splits_have_the_lengths_that_were_asked_for(lengths):
    sentences = [(1, 3, 1), (2,), (1,) * 200]
    split = make_split("pos", sentences, vocabulary=100, seed=0)
    assert [len(one.tokens.ids) for one in split.sequences] == [7, 4, MAX_LENGTH]
    assert list(split.sequences[0].words) == [1, 2, 5]
    again = make_split("pos", sentences, vocabulary=100, seed=0)
    assert again.sequences == split.sequences
    pairs = make_split("xnli", evenly(lengths.dev, 50), vocabulary=100, seed=0)
    assert all(max(one.tokens.types) == 1 for one in pairs.sequences)
    assert evenly([(n,) for n in range(10)], 3) == [(0,), (3,), (6,)]


def test_the_checked_in_lengths_are_the_treebanks(ud_root, lengths, tmp_path):
    if not (ud_root / TREEBANK.format("train")).is_file():
        pytest.skip("no English-EWT")
    found = counted(ud_root)
    assert as_json(found) == as_json(lengths)
    assert len(found.dev) == 2002


def test_a_folder_without_the_treebank_is_named(tmp_path, capsys):
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "x.json")]) == 2
    assert f"{tmp_path}/UD_English-EWT/en_ewt-ud-train.conllu: not found" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_tells_all_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "benchmark.json"
    short = ["--sentences", "120", "--parsed", "24", "--trained", "128", "--steps", "6"]
    assert main([*short, "--device", "cpu", "--out", str(out)]) == 0
    table = capsys.readouterr().out
    stored = json.loads(out.read_text())
    assert {"python", "torch", "transformers", "numpy", "xltray"} <= set(stored["versions"])
    assert stored["machine"]["cores"] >= 1
    assert all(len(rounds) >= 7 for group in stored["seconds"].values() for rounds in group.values())
    assert [row["ratio"] for row in stored["rows"]] == [spec.label for spec in ROWS]
    for spec, row in zip(ROWS, stored["rows"], strict=True):
        assert row["interval"][0] <= row["value"] <= row["interval"][1]
        assert row["above"]["minimum"] <= row["above"]["median"]
        assert spec.label in table
        assert row["verdict"] == (
            {True: "met", False: "missed"}[spec.goal.is_met_by(row["value"])] if spec.goal else None
        )
    assert set(stored["seconds"]["servers"]) == {"one", "two", "one_cpu", "two_cpu"}
