"""report.html in a real browser: on a phone, in the dark and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from made_browser import browser, requests, show
from made_results import PAPER_ALPHAS, STEPS, TRUTH, Cell, write_cell, write_plan
from selenium.webdriver import Chrome

from analysis.__main__ import main

pytestmark = pytest.mark.slow

PHONE, DESKTOP = 360, 1200
PAPER_WIDTH, PAPER_HEIGHT = 673, 1001
"""CSS pixels of A4 within the page's margins of 16 mm: 178 x 265 mm."""
CONTRAST = 4.5
"""WCAG 2.2, level AA, for text of usual size."""

TEXTS = """
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
  found.push([element, getComputedStyle(element).color, walker.currentNode.textContent.trim()]);
}
// Text in figures is outlines: glyphs of a font that are used.
for (const glyph of document.querySelectorAll("svg use")) {
  if (!glyph.getAttribute("xlink:href").includes("STIX")) continue;
  found.push([glyph, getComputedStyle(glyph).fill, glyph.closest("figure").id]);
}
const ground = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (colour !== "rgba(0, 0, 0, 0)") return colour;
  }
  return "none";
};
const unique = new Map();
for (const [element, colour, text] of found)
  unique.set(colour + ground(element), [text, colour, ground(element)]);
return {
  texts: [...unique.values()],
  smallest: Math.min(...found.filter(([e]) => e.tagName !== "use")
    .map(([e]) => parseFloat(getComputedStyle(e).fontSize))),
};
"""
BOXES = """
return [...document.querySelectorAll(arguments[0])].map((box) => {
  box.scrollLeft = 1e6;
  const style = getComputedStyle(box);
  return {inner: box.scrollWidth, outer: box.clientWidth, scrolled: box.scrollLeft, way: style.overflowX,
          left: box.getBoundingClientRect().left, right: box.getBoundingClientRect().right};
});
"""
FIGURES = """
return [...document.querySelectorAll("figure")].map((figure) => {
  const svg = figure.querySelector("svg");
  return {name: figure.id, height: figure.getBoundingClientRect().height,
          inside: getComputedStyle(figure).breakInside, width: svg.getBoundingClientRect().width,
          own: svg.viewBox.baseVal.width * 4 / 3};
});
"""
VISIBLE = "return [...document.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility()).length"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three encoders, three pairs, all scopes and a plane; a word without a place to break it."""
    store = tmp_path_factory.mktemp("store")
    cells = [
        write_cell(
            store,
            Cell(encoder, task, "en", target, seed),
            TRUTH,
            alphas=PAPER_ALPHAS[::3],
            plane=STEPS[::5],
            scopes=("all", "encoder", "head"),
        )
        for encoder in ("xlm-roberta-large-of-a-very-long-name", "mbert", "random-mbert")
        for task in ("pos", "xnli")
        for target in ("de", "qab", "zh")
        for seed in range(2)
    ]
    write_plan(store, "mine", cells, controls=["random-mbert"])
    text = f"name: mine\nnote: {'x' * 300}\ndata: {{corpora: {{pos: toy}}}}\n"
    (store / "sweeps" / "mine" / "sweep.yaml").write_text(text, encoding="utf-8")
    out = tmp_path_factory.mktemp("out")
    assert main([str(store), "--out", str(out)]) == 0
    return out / "report.html"


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


def luminance(colour: str) -> float:
    """Return WCAG's relative luminance of "rgb(r, g, b)"; a colour that lets others through has none."""
    assert colour.startswith("rgb("), colour
    parts = [int(part) / 255 for part in colour[4:-1].split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(colour: str, ground: str) -> float:
    low, high = sorted((luminance(colour), luminance(ground)))
    return (high + 0.05) / (low + 0.05)


def colours(chrome: Chrome, report: Path, **how: Any) -> tuple[float, float]:
    """Return the luminance of the page's text and ground, after checking that all text can be read."""
    show(chrome, report, width=DESKTOP, **how)
    chrome.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    texts = chrome.execute_script(TEXTS)["texts"]
    assert any(text.startswith("figure-") for text, *_ in texts), "figures have text"
    bad = [(text, contrast(*pair)) for text, *pair in texts if contrast(*pair) < CONTRAST]
    assert not bad
    body = "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
    text, ground = chrome.execute_script(body)
    return luminance(text), luminance(ground)


def test_light_and_dark_are_both_readable_and_differ(chrome: Chrome, report: Path) -> None:
    ink, paper = colours(chrome, report, scheme="light")
    assert paper > 0.9
    assert ink < 0.1
    ink, paper = colours(chrome, report, scheme="dark")
    assert paper < 0.05
    assert ink > 0.7
    # Nothing in a dark page is a white sheet: boxes of figures are as dark as the rest.
    cards = "return [...document.querySelectorAll('.card')].map((e) => getComputedStyle(e).backgroundColor)"
    assert all(luminance(card) < 0.05 for card in chrome.execute_script(cards))


def test_a_phone_scrolls_tables_and_figures_but_not_the_page(chrome: Chrome, report: Path) -> None:
    show(chrome, report, width=PHONE)
    chrome.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    page = "const page = document.documentElement; return [page.scrollWidth, innerWidth]"
    assert chrome.execute_script(page) == [PHONE, PHONE]
    for kind in (".scroll", ".card", "pre"):
        boxes = chrome.execute_script(BOXES, kind)
        wider = [box for box in boxes if box["inner"] > box["outer"]]
        assert wider, f"no {kind} is wider than the screen: this test tests nothing"
        assert all(box["scrolled"] > 0 and box["way"] == "auto" for box in wider)
        assert all(box["left"] >= 0 and box["right"] <= PHONE for box in boxes)
    assert chrome.execute_script("window.scrollTo(1e6, 0); return scrollX") == 0
    hints = chrome.execute_script(VISIBLE, ".hint")
    wide = chrome.execute_script(BOXES, ".scroll:has(table.wide), .hint + .card")
    assert hints == len(wide) > 0
    assert all(box["inner"] > box["outer"] for box in wide), "a hint at what does not scroll"
    assert chrome.execute_script(TEXTS)["smallest"] >= 12
    # Figures keep their own size, in which text has 8 points.
    assert all(one["width"] >= one["own"] - 1 for one in chrome.execute_script(FIGURES))
    show(chrome, report, width=DESKTOP)
    assert chrome.execute_script(VISIBLE, ".hint") == 0


def test_paper_is_light_and_cuts_no_figure(chrome: Chrome, report: Path) -> None:
    ink, paper = colours(chrome, report, scheme="dark", medium="print")
    assert (ink, paper) == (0, 1)
    show(chrome, report, width=PAPER_WIDTH, medium="print")
    assert chrome.execute_script("return document.documentElement.scrollWidth") == PAPER_WIDTH
    figures = chrome.execute_script(FIGURES)
    assert {one["inside"] for one in figures} == {"avoid"}
    too_high = {one["name"] for one in figures if one["height"] > PAPER_HEIGHT}
    assert not too_high, "higher than a page, so cut all the same"
    tables = chrome.execute_script(BOXES, "table")
    assert all(table["right"] <= PAPER_WIDTH for table in tables)
    rows = "return [...document.querySelectorAll('tr')].map((e) => getComputedStyle(e).breakInside)"
    assert set(chrome.execute_script(rows)) == {"avoid"}
    # Nothing on paper can be opened or scrolled: verdicts by task are there, hints are not.
    folded = chrome.execute_script(VISIBLE, "details:not(.file) table")
    assert folded == chrome.execute_script("return document.querySelectorAll('details table').length") > 0
    # On small paper too, which is as narrow as a phone.
    show(chrome, report, width=PHONE, medium="print")
    assert chrome.execute_script(VISIBLE, "nav, .hint") == 0


def test_the_page_asks_for_itself_alone_and_has_no_errors(chrome: Chrome, report: Path) -> None:
    chrome.get("about:blank")
    chrome.get_log("browser")
    requests(chrome)
    show(chrome, report, width=DESKTOP)
    assert requests(chrome) == [report.as_uri()]
    assert [entry["message"] for entry in chrome.get_log("browser")] == []
    assert "http" not in " ".join(chrome.execute_script("return performance.getEntries().map((e) => e.name)"))


def test_figures_have_words_links_have_targets_and_headings_an_order(chrome: Chrome, report: Path) -> None:
    show(chrome, report, width=DESKTOP)
    images = """return [...document.querySelectorAll("svg, img")].map((e) =>
      e.tagName === "IMG" ? e.alt : e.closest("[role=img]")?.getAttribute("aria-label") || "")"""
    names = chrome.execute_script(images)
    assert names
    assert all(names)
    assert len(set(names)) == len(names), "two figures of one name"
    links = chrome.execute_script(
        "return [...document.querySelectorAll('a')].map((e) => e.getAttribute('href'))"
    )
    inner = [link for link in links if link.startswith("#")]
    assert len(inner) >= 8
    lost = "return arguments[0].filter((link) => !document.getElementById(link.slice(1)))"
    assert chrome.execute_script(lost, inner) == []
    levels = [
        int(tag[1])
        for tag in chrome.execute_script(
            "return [...document.querySelectorAll('h1, h2, h3, h4')].map((e) => e.tagName)"
        )
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
