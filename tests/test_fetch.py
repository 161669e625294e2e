"""``python -m xltray.data fetch`` against servers on the loopback: what comes, what does not, and once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import made_models
import pytest
from made_fetch import (
    CHECKPOINT,
    LANGUAGES,
    MODEL,
    TREEBANKS,
    UD,
    WIKIANN,
    XNLI,
    World,
    dataset,
    here,
    repositories,
    world,
)
from made_hub_server import Repository

from xltray.data import main
from xltray.fetch.screen import Screen

# Fixtures: pytest looks for them in this module.
__all__ = ["here", "repositories", "world"]

ALL = [f"{lang}/{split}-00000-of-00001.parquet" for lang in LANGUAGES for split in ("train", "validation")]


def test_everything_once(world: World, repositories: tuple[str, Mapping[str, str]]) -> None:
    saved = made_models.save(world.folder / "saved", made_models.encoder(), made_models.wordpiece(["a", "b"]))
    files = CHECKPOINT | {path.name: path.read_bytes() for path in saved.iterdir()}
    world.hub.repositories["models/made/tiny"] = Repository(files, MODEL)
    own = {"pretrain": {"corpus": "wikiann", "languages": ["ur", "yo"]}}
    encoders = {"tiny": {"checkpoint": "made/tiny", "revision": MODEL}, "own": own}
    first = world.run(encoders=encoders)
    assert (first.code, first.err) == (0, "")
    size = sum(len(content) for content in TREEBANKS["UD_Urdu-Made"].values())
    done = [
        "encoder tiny: done",
        f"ud ur: done, {size} bytes in 3 files",
        *(f"{corpus} {lang}: done" for corpus in ("wikiann", "xnli") for lang in LANGUAGES),
    ]
    assert set(done) < set(first.out)
    assert "xltray.data check" in first.out[-1]

    # Only what the sweep reads: no other language, no test split, one format of the weights.
    loaded = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert world.hub.delivered() == sorted(
        [
            *(f"facebook/xnli/{file}" for file in ALL),
            *(f"unimelb-nlp/wikiann/{file}" for file in (*ALL, "yo/train-00000-of-00001.parquet")),
            *(f"made/tiny/{file}" for file in loaded),
        ]
    )
    assert world.cached() == loaded
    there = {path.name for path in world.root.iterdir()}
    assert there == {"SOURCES.json", "UD_Swahili-Made", "UD_Urdu-Made", "wikiann", "xnli"}
    # As at the tag, not as on the branch, and without what is not released.
    for name in ("UD_Swahili-Made", "UD_Urdu-Made"):
        assert {path.name: path.read_text() for path in (world.root / name).iterdir()} == TREEBANKS[name]

    sources = json.loads((world.root / "SOURCES.json").read_text())
    _, commits = repositories
    expected = {"url": f"{world.git}/UD_Urdu-Made", "tag": "r2.7", "commit": commits["UD_Urdu-Made"]}
    assert sources["ud"]["UD_Urdu-Made"] == expected
    assert sources["xnli"]["sw/dev"] == {"repository": "facebook/xnli", "revision": XNLI, "commit": XNLI}
    assert sorted(sources["wikiann"]) == ["sw/dev", "sw/train", "ur/dev", "ur/train", "yo/train"]

    check = world.run(command="check", offline=True, encoders=encoders)
    # The made tables are smaller than XNLI's, and that is all.
    sizes = [f"(xnli {language} {role}): found" for language in ("sw", "ur") for role in ("train", "dev")]
    errors = check.err.splitlines()
    assert (check.code, errors[::2]) == (3, ["Not the release's data"] * 4)
    assert all(size in error for size, error in zip(sizes, errors[1::2], strict=True))
    assert f"xnli ur, ur/dev fetched from: {XNLI}, facebook/xnli, {XNLI}" in check.out

    # Nothing of it comes again.
    world.hub.asked.clear()
    before = {path: path.stat().st_mtime_ns for path in world.root.rglob("*")}
    again = world.run(encoders=encoders)
    assert again.code == 0
    assert all(line.endswith("already there") for line in again.out[:-1])
    assert world.hub.delivered() == []
    assert {path: path.stat().st_mtime_ns for path in world.root.rglob("*")} == before


def test_without_the_hub_what_is_there_is_there(world: World) -> None:
    nothing = world.run(offline=True)
    assert nothing.code == 3
    assert nothing.err.startswith("HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set: nothing can be fetched.")
    for missing in ("UD_Urdu-Made", "xnli/sw: ", "wikiann/ur: ", "encoder checkpoint 'made/tiny': "):
        assert missing in nothing.err
    assert world.hub.asked == []
    assert not world.root.exists()

    assert world.run().code == 0
    world.hub.asked.clear()
    everything = world.run(offline=True)
    assert (everything.code, everything.err) == (0, "")
    assert world.hub.asked == []
    # A hub that does not answer is no failure where nothing is wanted of it.
    world.hub.repositories.clear()
    unasked = world.run()
    assert unasked.code == 0
    assert any(
        "in the hub's cache; the hub itself could not be asked (no such" in line for line in unasked.out
    )


def test_one_that_fails_does_not_stop_the_others(world: World) -> None:
    del world.hub.repositories["datasets/facebook/xnli"]
    languages = dataset("wikiann", "sw")
    world.hub.repositories["datasets/unimelb-nlp/wikiann"] = Repository(languages, WIKIANN)
    encoders = {
        "one": {"checkpoint": "made/tiny", "revision": "nowhere"},
        "two": {"checkpoint": "made/tiny", "revision": MODEL},
        "three": {"checkpoint": "./no/folder"},
    }
    treebanks = UD | {"sw": {"treebank": "UD_Swahili-Maid"}}
    sources = {"ud": {"repositories": world.git}, "wikiann": {"revision": WIKIANN}}
    data = {"root": str(world.root), "treebanks": treebanks, "sources": sources}
    ran = world.run(encoders=encoders, data=data)
    assert ran.code == 3
    assert {"wikiann sw: done", "encoder two: done"} < set(ran.out)
    assert any(line.startswith("ud ur: done") for line in ran.out)
    failed = {"ud sw", "xnli sw", "xnli ur", "wikiann ur", "encoder one", "encoder three"}
    assert {line.removesuffix(": FAILED") for line in ran.out if line.endswith(": FAILED")} == failed
    problems = re.findall(r"^  - (.*): found (.*); expected", ran.err, flags=re.MULTILINE)
    where, found = problems.pop(3)
    assert where == f"{world.git}/UD_Swahili-Maid at r2.7"
    assert "no such repository" in found
    assert problems == [
        (f"dataset 'facebook/xnli' at revision '{XNLI}'", "no such repository, or a private one"),
        (f"dataset 'unimelb-nlp/wikiann' at revision '{WIKIANN}'", "no ur/train-*.parquet"),
        (f"dataset 'unimelb-nlp/wikiann' at revision '{WIKIANN}'", "no ur/validation-*.parquet"),
        ("encoder checkpoint 'made/tiny' at revision 'nowhere'", "no such revision"),
        ("encoder checkpoint './no/folder'", "no such folder"),
    ]


def test_languages_that_need_no_files(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    encoders = {"own": {"pretrain": {"corpus": "toy", "languages": ["qaa"], "text": ["raw.txt"]}}}
    data = {"root": str(here.root), "corpora": {"pos": "toy"}}
    path = here.sweep(tasks=["pos"], pairs={"qaa": ["qab"]}, data=data, encoders=encoders)
    assert main(["fetch", str(path)]) == 3
    out, err = capsys.readouterr()
    assert out.splitlines() == ["toy: made on the spot, nothing to fetch", "text raw.txt: FAILED"]
    assert "raw.txt: found nothing; expected a plain-text file" in err


def test_what_was_there_before_counts_in_the_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with Screen().under_way("archive") as under_way:
        under_way.expect(2_000_000, have=1_500_000)
        under_way.advance(250_000)
        # The server sends all of it anew.
        under_way.expect(4_000_000)
        under_way.advance(1_000_000)
    assert "1.0/4.0 MB" in capsys.readouterr().out


def test_a_terminal_gets_a_bar_and_the_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    with screen.under_way("encoder [x]") as under_way:
        under_way.expect(2_000_000)
        under_way.advance(1_000_000)
        screen.say("a line [y]")
    out = capsys.readouterr().out
    assert "encoder [x]" in out
    assert "1.0/2.0 MB" in out
    assert "a line [y]" in out
