from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from made_results import UNEVEN, Cell, Truth, write_cell, write_plan

from analysis import page as page_module
from analysis import provenance
from analysis.__main__ import main
from analysis.pictures import inline
from analysis.tables import AnalysisError

REPOSITORY = Path(__file__).parents[1]
TRUTH = Truth(noise_source=0.01, noise_target=0.03)
VOID = {"meta", "link", "br", "hr", "img", "input"}
PAPER = "https://arxiv.org/abs/2207.05666"

SWEEP = """\
name: mine
data:
  corpora: {pos: toy, ner: wikiann}
encoders:
  mbert: {pretrain: {corpus: ud, steps: 10}}
  hub: {checkpoint: org/model, pretrain: null}
note: '<script>alert("&")</script>'
"""


class Page(HTMLParser):
    """Reads a page strictly: every element is closed, in order; ids are unique."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._seen(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._seen(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def _seen(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def store(folder: Path, *, planned: bool = True, sweep: str = SWEEP) -> Path:
    """Two encoders, one of them a control; two pairs, two seeds; one cell planned and missing."""
    ids = []
    for encoder in ("mbert", "random"):
        for target in ("de", "zh"):
            for seed in range(2):
                cell = Cell(encoder, "pos", "en", target, seed)
                ids.append(write_cell(folder, cell, TRUTH, plane=UNEVEN))
    if planned:
        write_plan(folder, "mine", [*ids, "pos-en-fr-s0-mbert"], controls=["random"])
        (folder / "sweeps" / "mine" / "sweep.yaml").write_text(sweep, encoding="utf-8")
    return folder


def record(folder: Path, said: dict[str, str]) -> None:
    """Put metadata into every file, as a sweep does."""
    for path in folder.rglob("*.parquet"):
        table = pq.ParquetFile(path).read()
        cell = table["cell"][0].as_py()
        meta = {f"xltray.{key}": value for key, value in (said | {"cell": cell}).items()}
        pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **meta}), path)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = store(tmp_path_factory.mktemp("report"))
    record(folder, {"torch": "2.13.0", "device": "cpu", "revision": "<abc>", "endpoint.source": "e-1"})
    assert main([str(folder)]) == 0
    return (folder / "figures" / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_is_sound(text: str, page: Page) -> None:
    assert text.lstrip().startswith("<!DOCTYPE html>")
    assert len(page.ids) == len(set(page.ids))
    names = [tag for tag, _ in page.tags]
    for one in ("html", "head", "title", "body", "main", "h1"):
        assert names.count(one) == 1, one
    viewport = next(attributes for tag, attributes in page.tags if attributes.get("name") == "viewport")
    assert viewport["content"] == "width=device-width, initial-scale=1"


def test_it_needs_nothing_but_itself(text: str, page: Page) -> None:
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "image", "base"}
    targets = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("href", "src", "xlink:href", "data", "action")
    ]
    assert {target for target in targets if not str(target).startswith("#")} == {PAPER}
    inner = {str(target)[1:] for target in targets if str(target).startswith("#")}
    inner |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert inner <= set(page.ids)
    assert not re.search(r"url\((?!#)|@import|\son\w+=", text)


def test_it_fits_a_phone_paper_and_the_dark(text: str, page: Page) -> None:
    assert "@media print" in text
    assert "@media (prefers-color-scheme: dark)" in text
    assert "max-width: 62rem" in text
    svgs = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert all("width" not in one and "viewbox" in one for one in svgs)
    # Every table can be scrolled by itself, and its box be reached with the keyboard.
    boxes = [attributes for tag, attributes in page.tags if attributes.get("class") == "scroll"]
    assert len(boxes) == sum(tag == "table" for tag, _ in page.tags)
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)
    # Figures are drawn on no ground, with the page's colours: each is given for light, dark and paper.
    inks = set(re.findall(r"(?:fill|stroke): var\(--([\w-]+)\)", text))
    assert inks >= {"ink", "quiet", "shade", "rule", "blue", "grey-0"}
    schemes = [set(re.findall(r"--([\w-]+):", block)) for block in re.findall(r":root \{.*?\}", text, re.S)]
    assert len(schemes) == 3
    assert all(inks <= scheme for scheme in schemes)


def test_it_holds_what_was_run_judged_drawn_and_missing(page: Page) -> None:
    said = page.text
    assert "Results of mine" in said
    assert "mbert, up to 1,000 parameters with a task layer; random (control), up to" in said
    assert "English → German, English → Chinese" in said
    assert "8 (one encoder, task, pair and seed each)" in said
    for number in range(1, 7):
        assert any(tag == "li" and attributes.get("value") == str(number) for tag, attributes in page.tags)
    assert "2 language pairs, 6 are needed; so far the interval lies inside the range" in said
    assert "2a target rises, mbert against random (control)" in said
    assert "Many comparisons" in said
    figures = [attributes["id"] for tag, attributes in page.tags if tag == "figure"]
    lines = ["lines", "lines-pos", "lines-by-pair-en", "variance"]
    planes = ["planes", "plane-pos-en-de", "plane-pos-en-zh"]
    names = [*lines, *planes, "geometry", "layers", "pair-en-de", "pair-en-zh"]
    assert figures == [f"figure-{name}" for name in names]
    assert "Every point is a model" in said
    assert "11 × 11 of them are scored" in " ".join(said.split())
    assert "In the paper: Figures 3 and 10." in said
    assert "48.5 ± 2.1" in said
    assert "No surface yet for 1 of 9 planned cells: pos-en-fr-s0-mbert." in said


@pytest.mark.parametrize(
    ("toy", "corpora", "said"),
    [
        ({"evaluate_on": "test"}, {"pos": "toy", "ner": "wikiann"}, True),
        ({"evaluate_on": "dev"}, {"pos": "toy"}, False),
        ({"evaluate_on": "test"}, {"pos": "ud"}, False),
        (None, {"pos": "toy"}, False),
    ],
)
def test_a_test_sample_in_the_place_of_dev_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], toy: object, corpora: dict[str, str], said: bool
) -> None:
    cell = write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 1), Truth())
    write_plan(tmp_path, "mine", [cell])
    content = {"data": {"toy": toy, "corpora": corpora}}
    (tmp_path / "sweeps" / "mine" / "sweep.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert main([str(tmp_path)]) == 0
    assert ("Sweep 'mine': what is called dev is the test sample" in capsys.readouterr().out) == said


def test_provenance_and_licences_are_as_recorded(page: Page) -> None:
    cells = [" ".join(words.split()) for words in page.words]
    assert "What 16 result files say of how they were made" in cells
    for value in ("2.13.0", "cpu", "<abc>", "16 files"):
        assert value in cells
    assert "e-1" not in cells
    assert "made by the software itself from a seed; no licence is needed" in cells
    assert {"toy", "wikiann", "ud"} <= set(cells)
    assert "pretraining of mbert" in cells
    assert sum(cell.startswith("not recorded in these results") for cell in cells) == 2


def test_what_results_hold_is_escaped(text: str, page: Page) -> None:
    assert "<script" not in text
    assert """note: '<script>alert("&")</script>'""" in page.text
    assert "&lt;abc&gt;" in text


def test_without_plan_and_metadata_it_says_what_is_not_recorded(tmp_path: Path) -> None:
    store(tmp_path, planned=False)
    assert main([str(tmp_path)]) == 0
    said = Page((tmp_path / "figures" / "report.html").read_text(encoding="utf-8")).text
    assert "do not record versions, devices or revisions" in said
    assert "their licences are not recorded" in said


def test_half_a_store_has_a_report(tmp_path: Path) -> None:
    write_cell(tmp_path / "made", Cell("mbert", "pos", "en", "de", 0))
    (tmp_path / "made" / "geometry").rename(tmp_path / "geometry")
    assert main([str(tmp_path)]) == 0
    said = Page((tmp_path / "figures" / "report.html").read_text(encoding="utf-8")).text
    assert "No scores yet." in said
    assert "Lines: the results hold no point of the two lines." in said


def test_two_versions_and_another_sweeps_cells(tmp_path: Path) -> None:
    first, second = (Cell("mbert", "pos", "en", "de", seed) for seed in (0, 1))
    write_cell(tmp_path, first)
    record(tmp_path, {"torch": "1"})
    write_cell(tmp_path / "more", second)
    record(tmp_path / "more", {"torch": "2"})
    for path in (tmp_path / "more").rglob("*.parquet"):
        path.rename(tmp_path / path.relative_to(tmp_path / "more"))
    both = provenance.recorded(tmp_path, [first.id, second.id])
    assert both.rows == [["torch", "1", "2 files"], ["torch", "2", "2 files"]]
    assert provenance.recorded(tmp_path, [second.id]).rows == [["torch", "2", "2 files"]]


def test_a_sweep_file_that_is_no_yaml_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(tmp_path, sweep="name: [1")
    with pytest.raises(AnalysisError, match=r"sweep\.yaml: not YAML"):
        provenance.origin(tmp_path, None)
    assert main([str(tmp_path)]) == 2
    assert "not YAML" in capsys.readouterr().err
    (tmp_path / "sweeps" / "mine" / "sweep.yaml").write_text("[]", encoding="utf-8")
    (one,) = provenance.origin(tmp_path, "mine").sweeps
    assert provenance.licences([one]).rows == []


@pytest.mark.slow
def test_the_same_results_give_the_same_page(tmp_path: Path) -> None:
    write_cell(tmp_path, Cell("mbert", "pos", "en", "de", 0), plane=UNEVEN)
    pages = []
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "analysis", str(tmp_path), "--out", str(tmp_path / seed)]
        environment = {"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}
        subprocess.run(command, check=True, env=environment, cwd=REPOSITORY, capture_output=True)
        pages.append((tmp_path / seed / "report.html").read_bytes())
    assert pages[0] == pages[1]
    assert not re.search(rb"<dc:|rdf:", pages[0])


def test_inlined_figures_keep_their_shape_and_share_no_ids() -> None:
    svg = (
        '<?xml version="1.0"?>\n<svg width="10pt" height="5pt" viewBox="0 0 10 5">\n<!-- x -->\n'
        '<defs><path id="a" d="M 1.23456 2\nL 3 4.0001\nz\n"/></defs>'
        '<g id="axes_1"><use xlink:href="#a"/><g clip-path="url(#a)"/></g></svg>\n'
    )
    assert inline(svg, "f7-") == (
        '<svg viewBox="0 0 10 5" style="--width:10" aria-hidden="true">\n'
        '<defs><path id="f7-a" d="M 1.23 2 L 3 4 z"/></defs>'
        '<g><use xlink:href="#f7-a"/><g clip-path="url(#f7-a)"/></g></svg>'
    )


def test_the_template_is_installed_with_the_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    globs = project["tool"]["setuptools"]["package-data"]["analysis"]
    kept = {path.name for pattern in globs for path in (REPOSITORY / "analysis").glob(pattern)}
    assert kept == {page_module.TEMPLATE}
