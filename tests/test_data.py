from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from made_hub import dev_tsv, entities_table, put, train_tsv, write_table

from xltray.data import main
from xltray.findings import check
from xltray.sweepfile import load_sweep

ROW = "1\tDogs\t_\tNOUN\t_\t_\t0\troot\t_\t_\n2\tbark\t_\tVERB\t_\t_\t1\tacl\t_\t_\n\n"
PUD = {"treebank": "UD_Hindi-PUD", "train": "dev"}


def sweep_file(folder: Path, **changes: object) -> Path:
    content = {
        "name": "trial",
        "tasks": ["pos", "parsing"],
        "pairs": {"hi": ["fi"]},
        "data": {
            "root": str(folder / "data"),
            "treebanks": {"hi": PUD, "fi": {"treebank": "UD_Finnish-TDT", "train": "test"}},
        },
        "encoders": {"small": {"pretrain": {"languages": ["hi"], "text": ["raw.txt", "raw.txt"]}}},
    } | changes
    path = folder / "trial.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep whose data is all there."""
    for folder, splits in (("UD_Hindi-PUD", ("dev",)), ("UD_Finnish-TDT", ("test", "dev"))):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for split in splits:
            (tmp_path / "data" / folder / f"x-ud-{split}.conllu").write_text(ROW * 3)
    (tmp_path / "data" / "UD_Hindi-PUD" / "LICENSE.txt").write_text("CC BY-SA 3.0")
    (tmp_path / "data" / "raw.txt").write_text("one two three\n\nfour\n")
    return sweep_file(tmp_path)


def test_every_split_and_text_once(sweep: Path) -> None:
    found = [
        (f.corpus, f.language, f.role, f.file and f.file.name, f.examples, f.expected, f.words, f.licence)
        for f in check(load_sweep(sweep, []))
    ]
    assert found == [
        ("ud", "fi", "train", "x-ud-test.conllu", 3, None, 6, ""),
        ("ud", "fi", "dev", "x-ud-dev.conllu", 3, None, 6, ""),
        ("ud", "hi", "train", "x-ud-dev.conllu", 3, None, 6, "LICENSE.txt"),
        ("ud", "hi", "dev", "x-ud-dev.conllu", 3, None, 6, "LICENSE.txt"),
        ("text", "", "train", "raw.txt", 2, None, 4, ""),
    ]


def test_text_of_a_language_that_no_task_uses_is_checked(sweep: Path) -> None:
    (sweep.parent / "data" / "UD_Finnish-TDT").rename(sweep.parent / "data" / "UD_Russian-GSD")
    overrides = ["encoders.small.pretrain={languages: [ru]}", "data.treebanks.ru={train: test}"]
    findings = list(check(load_sweep(sweep, overrides)))
    assert [(f.language, f.role, f.examples) for f in findings][-1] == ("ru", "train", 3)


def rows(out: str) -> list[list[str]]:
    """Return the cells of the printed table."""
    lines = [line for line in out.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_all_good(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(sweep)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert rows(out)[-1] == ["text", "-", "train", "raw.txt", "-", "2", "-", "4", "-", "ok"]
    assert f"{Path('UD_Hindi-PUD', 'x-ud-dev.conllu')}" in out
    assert "ud hi dev, UPOS: NOUN 3, VERB 3\nud hi dev, relation: acl 3, root 3\n" in out


def test_missing(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep.parent / "data" / "UD_Finnish-TDT" / "x-ud-dev.conllu").unlink()
    assert main(["check", str(sweep), "encoders.small.pretrain.text=[no/raw.txt]"]) == 3
    out, err = capsys.readouterr()
    assert [row[-1] for row in rows(out)] == ["ok", "missing", "ok", "ok", "missing"]
    assert rows(out)[-1][3] == str(Path("no", "raw.txt"))
    assert "*-ud-dev.conllu: found x-ud-test.conllu" in err
    assert "raw.txt: found nothing" in err


def test_broken(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep.parent / "data" / "UD_Finnish-TDT" / "x-ud-dev.conllu").write_text(ROW.replace("root", "rot"))
    (sweep.parent / "data" / "raw.txt").write_bytes(b"\xff\n")
    assert main(["check", str(sweep)]) == 3
    out, err = capsys.readouterr()
    assert [row[-1] for row in rows(out)] == ["ok", "broken", "ok", "ok", "broken"]
    assert "x-ud-dev.conllu:1: found 'rot'" in err
    assert "raw.txt:1: found byte 0xff" in err


def test_other_counts_than_the_papers(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep.parent / "data" / "UD_Hindi-PUD").rename(sweep.parent / "data" / "UD_Hindi-HDTB")
    assert main(["check", str(sweep), "data.treebanks.hi.treebank=UD_Hindi-HDTB"]) == 3
    out, err = capsys.readouterr()
    assert [row[-1] for row in rows(out)] == ["ok", "ok", "differs", "differs", "ok"]
    assert "found 3 examples; expected 1659 (paper, Table 1)" in err


def test_the_papers_counts(ud_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sweep_file(
        tmp_path, pairs={"vi": ["zh"]}, data={"root": str(ud_root), "treebanks": {"zh": {"train": "dev"}}}
    )
    assert main(["check", str(path), "encoders.small.pretrain={languages: [vi]}"]) == 0
    assert [(*r[1:3], *r[4:7], *r[8:]) for r in rows(capsys.readouterr().out)] == [
        ("vi", "train", "UD release", "1400", "1400", "LICENSE.txt", "ok"),
        ("vi", "dev", "UD release", "800", "800", "LICENSE.txt", "ok"),
        ("zh", "train", "UD release", "500", "500", "LICENSE.txt", "ok"),
        ("zh", "dev", "UD release", "500", "500", "LICENSE.txt", "ok"),
    ]


PAIRS = [("a", "b", "neutral"), ("a", "", "neutral"), ("a", "b", "contradiction"), ("a", "b", "-")]


@pytest.fixture
def hub_sweep(tmp_path: Path) -> Path:
    """A sweep of XNLI and NER in languages that neither the paper nor XNLI has."""
    data = tmp_path / "data"
    for language in ("et", "fi"):
        for split in ("train", "dev"):
            sentences = [(("a", "b"), ("B-LOC", "O"))] * (2 if split == "train" else 1)
            write_table(entities_table(sentences), data / "wikiann" / language, split)
        put(data / "XNLI-MT-1.0" / "multinli" / f"multinli.train.{language}.tsv", train_tsv(PAIRS))
    put(data / "XNLI-1.0" / "xnli.dev.tsv", dev_tsv({"et": PAIRS, "fi": PAIRS[:1]}))
    put(data / "wikiann" / "fi" / "LICENSE", b"terms")
    encoders = {"small": {"pretrain": {"languages": ["fi"], "corpus": "wikiann"}}}
    return sweep_file(
        tmp_path, tasks=["xnli", "ner"], pairs={"et": ["fi"]}, data={"root": str(data)}, encoders=encoders
    )


def test_overrides_may_stand_after_options(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = "sweeps/quickstart.yaml"
    assert main(["show", sweep, "seeds=[0]", "-n", "1", "--task", "pos", "pairs={qaa: [qad]}"]) == 0
    shown = capsys.readouterr().out
    assert "qad" in shown
    assert "qab" not in shown
    with pytest.raises(SystemExit):
        main(["show", sweep, "-n", "1", "--tasks", "pos"])
    assert "unrecognized arguments: --tasks" in capsys.readouterr().err


def test_third_languages_are_shown_by_their_dev_sets(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = sweep.parent / "data" / "UD_Czech-PDT"
    folder.mkdir()
    (folder / "x-ud-dev.conllu").write_text(ROW.replace("Dogs", "Psi"))
    third = ["third_languages=[cs, hi]", "data.treebanks.cs={treebank: UD_Czech-PDT}"]
    assert main(["show", str(sweep), "-n", "1", "--task", "pos", *third]) == 0
    shown = [line.split()[:2] for line in capsys.readouterr().out.splitlines() if line[:1].isalpha()]
    assert shown == [["fi", "Dogs"], ["hi", "Dogs"], ["cs", "Psi"]]


def test_other_counts_than_the_releases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for language in ("en", "sw"):
        put(tmp_path / "XNLI-MT-1.0" / "multinli" / f"multinli.train.{language}.tsv", train_tsv(PAIRS))
    put(tmp_path / "XNLI-1.0" / "xnli.dev.tsv", dev_tsv({"en": PAIRS, "sw": PAIRS}))
    path = sweep_file(tmp_path, tasks=["xnli"], pairs={"en": ["sw"]}, data={"root": str(tmp_path)})
    assert main(["check", str(path)]) == 3
    err = capsys.readouterr().err
    assert "Not the paper's data" in err
    assert "(xnli en dev): found 3 examples; expected 2490 (paper, Table 1)" in err
    assert "Not the release's data" in err
    assert "(xnli sw dev): found 3 examples; expected 2490 (release)" in err


def test_layouts_labels_and_rules(hub_sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(hub_sweep)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [(*r[:3], *r[4:8], r[9]) for r in rows(out) if r[0] in ("xnli", "wikiann")] == [
        ("xnli", "et", "train", "raw", "3", "-", "-", "ok"),
        ("xnli", "et", "dev", "raw", "3", "-", "-", "ok"),
        ("xnli", "fi", "train", "raw", "3", "-", "-", "ok"),
        ("xnli", "fi", "dev", "raw", "1", "-", "-", "ok"),
        ("wikiann", "et", "train", "hub Parquet", "2", "-", "4", "ok"),
        ("wikiann", "et", "dev", "hub Parquet", "1", "-", "2", "ok"),
        ("wikiann", "fi", "train", "hub Parquet", "2", "-", "4", "ok"),
        ("wikiann", "fi", "dev", "hub Parquet", "1", "-", "2", "ok"),
    ]
    assert out[out.index("xnli et train") :].splitlines() == [
        "xnli et train, label: neutral 2, contradiction 1",
        "xnli et train, pairs with an empty text, kept: 1",
        "xnli et train, pairs without a gold label, skipped: 1",
        "xnli et dev, label: neutral 2, contradiction 1",
        "xnli et dev, pairs with an empty text, kept: 1",
        "xnli et dev, pairs without a gold label, skipped: 1",
        "xnli fi train, label: neutral 2, contradiction 1",
        "xnli fi train, pairs with an empty text, kept: 1",
        "xnli fi train, pairs without a gold label, skipped: 1",
        "xnli fi dev, label: neutral 1",
        "wikiann et train, tag: B-LOC 2, O 2",
        "wikiann et dev, tag: B-LOC 1, O 1",
        "wikiann fi train, tag: B-LOC 2, O 2",
        "wikiann fi dev, tag: B-LOC 1, O 1",
        "encoder small: pretrained by the sweep, 1,627,136 parameters",
    ]


def test_terms_are_the_corpus_s_where_no_file_says(hub_sweep: Path) -> None:
    terms = {(found.corpus, found.language): found.licence for found in check(load_sweep(hub_sweep, []))}
    assert terms["wikiann", "fi"] == "LICENSE"
    assert "Wikipedia" in terms["wikiann", "et"]
    assert "CC BY-NC 4.0" in terms["xnli", "et"]


def test_other_counts_of_xnli_and_wikiann(hub_sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = hub_sweep.parent / "data"
    (data / "wikiann" / "et").rename(data / "wikiann" / "hi")
    assert main(["check", str(hub_sweep), "pairs={hi: [fi]}"]) == 3
    out, err = capsys.readouterr()
    assert [(*r[:3], *r[5:7], r[9]) for r in rows(out) if r[1] == "hi"] == [
        ("xnli", "hi", "train", "-", "392702", "missing"),
        ("xnli", "hi", "dev", "-", "2490", "broken"),
        ("wikiann", "hi", "train", "2", "5000", "differs"),
        ("wikiann", "hi", "dev", "1", "1000", "differs"),
    ]
    assert (
        "(wikiann hi train): found 2 examples; expected 5000 (paper, Table 1). Fetch the balanced splits"
        in err
    )
    assert "multinli.train.hi.tsv" in err
    assert "xnli.dev.tsv: found languages et, fi; expected pairs in 'hi'" in err


def test_a_corpus_without_the_tasks_examples(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(sweep), "tasks=[ner]", "data.corpora={ner: ud}"]) == 2
    assert (
        "found corpus 'ud', which has sentences; expected a corpus with entities: " in capsys.readouterr().err
    )


def test_names_with_brackets_are_shown_as_they_are(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep.parent / "data" / "[red]raw.txt").write_text("one\n")
    assert main(["check", str(sweep), "encoders.small.pretrain.text=['[red]raw.txt']"]) == 0
    assert "[red]raw.txt" in capsys.readouterr().out


def test_a_wrong_sweep_file(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(sweep), "tasks=[]"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "tasks" in err


def test_an_unknown_corpus(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(sweep), "data.corpora={pos: udd}"]) == 2
    assert "Did you mean 'ud'?" in capsys.readouterr().err


def test_unknown_names_are_told_with_file_and_key(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep.write_text(sweep.read_text().replace("- parsing", "- psr"))
    assert main(["check", str(sweep)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(rf"{re.escape(str(sweep))}:\d+: tasks\[1\]: found 'psr'; expected a task", err)
    assert main(["check", str(sweep), "tasks=[pos]", "pairs={hi: [qaa]}"]) == 2
    assert "pairs: found 'qaa'; expected a language of the ud corpus" in capsys.readouterr().err
    assert main(["check", str(sweep), "tasks=[psr]"]) == 2
    assert "override 'tasks=[psr]': tasks[0]: found 'psr'; expected a task" in capsys.readouterr().err


def test_it_runs_as_a_module(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["data", "check", str(sweep)])
    monkeypatch.delitem(sys.modules, "xltray.data")
    with pytest.raises(SystemExit) as exit_:
        runpy.run_module("xltray.data", run_name="__main__")
    assert exit_.value.code == 0


def test_a_check_whose_output_is_closed_has_its_code(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["check", str(sweep)]) == 0


def test_show_ends_quietly_when_nobody_reads_on() -> None:
    command = f"{sys.executable} -m xltray.data show sweeps/quickstart.yaml | head -n 1"
    done = subprocess.run(
        command, shell=True, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout == "== xnli: corpus toy\n"
    assert done.stderr == ""
