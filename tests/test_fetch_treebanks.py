"""Treebanks by ``fetch``, by git or from an archive: the sweep's only, whole or not at all."""

from __future__ import annotations

import json

import pytest
from made_fetch import TREEBANKS, World, here, repositories, world
from made_hub_server import Asked
from made_treebanks import archive

from xltray.corpora.base import ReleasedCorpus
from xltray.corpora.ud import UDCorpus
from xltray.data import main

# Fixtures: pytest looks for them in this module.
__all__ = ["here", "repositories", "world"]


def fetch_here(world: World, *overrides: str) -> int:
    path = world.sweep(encoders={"own": {"pretrain": {"languages": ["ur"]}}})
    return main(["fetch", str(path), "tasks=[pos]", *overrides])


def test_an_archive_gives_the_sweeps_treebanks_only(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    packed = archive(TREEBANKS)
    here.hub.plain["ud.tgz"] = packed
    here.hub.cut.add("/files/ud.tgz")
    assert fetch_here(here, f"data.sources.ud.archive={here.hub.url}/files/ud.tgz") == 0
    # The connection broke; the rest was asked for, not all of it again.
    assert [asked.range for asked in here.hub.asked] == [None, f"bytes={len(packed) // 2}-"]
    assert {path.name for path in here.root.iterdir()} == {"SOURCES.json", "UD_Swahili-Made", "UD_Urdu-Made"}
    assert {path.name for path in (here.root / "UD_Urdu-Made").iterdir()} == set(TREEBANKS["UD_Urdu-Made"])
    recorded = json.loads((here.root / "SOURCES.json").read_text())["ud"]["UD_Urdu-Made"]
    assert recorded["archive"] == f"{here.hub.url}/files/ud.tgz"
    assert len(recorded["sha256"]) == 64
    capsys.readouterr()
    # Not again, whatever the sweep file now names; but it says so.
    assert fetch_here(here) == 0
    assert "which is not what data.sources names" in capsys.readouterr().out
    assert len(here.hub.asked) == 2


def test_a_server_that_sends_all_of_it_again(here: World) -> None:
    here.hub.plain["ud.tgz"] = archive(TREEBANKS)
    here.hub.cut.add("/files/ud.tgz")
    here.hub.ranges = False
    assert fetch_here(here, f"data.sources.ud.archive={here.hub.url}/files/ud.tgz") == 0
    assert len(here.hub.asked) == 2


def test_a_treebank_deeper_in_the_data_root(here: World) -> None:
    treebanks = (
        "data.treebanks={sw: {treebank: a/UD_Swahili-Made, train: test}, ur: {treebank: b/UD_Urdu-Made}}"
    )
    assert fetch_here(here, treebanks, "pairs={sw: [ur]}") == 0
    assert sorted(path.name for path in (here.root / "a").iterdir()) == ["UD_Swahili-Made"]
    path = here.folder / "ud.tgz"
    path.write_bytes(archive(TREEBANKS))
    (here.root / "b").rename(here.root / "away")
    assert fetch_here(here, treebanks, f"data.sources.ud.archive={path}") == 0
    assert sorted(path.name for path in (here.root / "b").iterdir()) == ["UD_Urdu-Made"]


def test_an_archive_at_hand_needs_no_network(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert fetch_here(here) == 3
    assert not here.root.exists()
    path = here.folder / "ud.tgz"
    path.write_bytes(archive(TREEBANKS))
    assert fetch_here(here, f"data.sources.ud.archive={path}") == 0


def test_an_interrupted_archive_goes_on(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = archive(TREEBANKS)
    here.hub.plain["ud.tgz"] = packed
    here.hub.cut.add("/files/ud.tgz")
    monkeypatch.setattr("xltray.fetch.transfer.TRIES", 1)
    override = f"data.sources.ud.archive={here.hub.url}/files/ud.tgz"
    assert fetch_here(here, override) == 3
    assert not list(here.root.glob("UD_*"))
    assert fetch_here(here, override) == 0
    assert here.hub.asked[-1] == Asked("GET", "/files/ud.tgz", f"bytes={len(packed) // 2}-")


def test_a_local_archive_without_a_treebank(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    path = here.folder / "ud.tgz"
    path.write_bytes(archive({"UD_Urdu-Made": TREEBANKS["UD_Urdu-Made"]}))
    assert fetch_here(here, f"data.sources.ud.archive={path}") == 3
    out, err = capsys.readouterr()
    assert "ud ur: done" in out
    assert f"{path}: found no folder UD_Swahili-Made; expected" in err
    assert path.is_file()


@pytest.mark.parametrize("broken", ["not an archive", "half", "outside", "changed"])
def test_a_broken_archive_leaves_nothing(
    here: World, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = archive({"UD_Urdu-Made": {"../../../escaped.txt": "x"}} if broken == "outside" else TREEBANKS)
    damaged = bytearray(whole)
    damaged[-8] ^= 1  # of the checksum
    packed = {"not an archive": b"<html>", "half": whole[: len(whole) // 2], "changed": bytes(damaged)}
    here.hub.plain["ud.tgz"] = packed.get(broken, whole)
    assert fetch_here(here, f"data.sources.ud.archive={here.hub.url}/files/ud.tgz") == 3
    assert "expected a whole tar archive. Run again" in capsys.readouterr().err
    assert list(here.root.iterdir()) == []
    assert not (here.folder / "escaped.txt").exists()


def test_no_such_archive_or_tag(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"{here.hub.url}/files/none.tgz"
    assert fetch_here(here, f"data.sources.ud.archive={url}") == 3
    assert f"{url}: found 404 Not Found; expected a file" in capsys.readouterr().err
    assert fetch_here(here, "data.sources.ud.tag=r9.9") == 3
    assert f"{here.git}/UD_Urdu-Made at r9.9: found no tag 'r9.9'" in capsys.readouterr().err
    assert list(here.root.iterdir()) == []


def test_a_treebank_of_ones_own_is_left_alone(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    own = here.root / "UD_Urdu-Made" / "ur_made-ud-dev.conllu"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    assert fetch_here(here) == 3
    out, err = capsys.readouterr()
    assert "ud sw: done" in out
    assert "UD_Urdu-Made: found a folder that lacks files" in err
    assert [path.name for path in own.parent.iterdir()] == [own.name]
    assert own.read_text() == "mine"


def test_a_corpus_that_does_not_say_where_it_is_from(
    here: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(UDCorpus, "download", ReleasedCorpus.download)
    assert fetch_here(here) == 3
    out, err = capsys.readouterr()
    assert out.splitlines() == ["ud sw: FAILED", "ud ur: FAILED"]
    assert "expected the folder UD_Urdu-Made of a UD release" in err


def test_a_broken_record_is_not_written_over(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    here.root.mkdir()
    record = here.root / "SOURCES.json"
    record.write_text("mine")
    assert fetch_here(here) == 3
    assert "SOURCES.json: found no record; expected JSON that xltray wrote" in capsys.readouterr().err
    assert record.read_text() == "mine"


def test_an_interrupted_fetch_leaves_no_treebank(
    here: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("xltray.fetch.release._put", interrupted)
        assert fetch_here(here) == 130
    assert "The same command goes on" in capsys.readouterr().err
    assert list(here.root.iterdir()) == []
    assert fetch_here(here) == 0
