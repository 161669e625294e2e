"""The LaTeX tables in a real LaTeX: they compile and are no wider than a page of the ACL's."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from made_results import TRUTH, Cell, write_cell

from analysis import examples, shape, table_files
from analysis.read import load
from analysis.summary import summarise

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("pdflatex") is None,
        reason="no LaTeX: `apt-get install texlive-latex-base texlive-latex-recommended` installs one",
    ),
]

# The ACL's style is A4 with margins of 2.5 cm, in two columns.
PAPER = r"""\documentclass[11pt,twocolumn,a4paper]{article}
\usepackage[margin=2.5cm]{geometry}
\usepackage{booktabs}
\begin{document}
\input{results}
\input{examples}
Tables~\ref{tab:results-pos}, \ref{tab:results-xnli} and \ref{tab:examples}.
\end{document}
"""


def compiled(store: Path, folder: Path) -> str:
    """Write the tables of a store, compile a paper that has them and return LaTeX's log."""
    results = load(store)
    folder.mkdir()
    table_files.write(summarise(results), examples.counts(store, results), shape.measure(results), folder)
    (folder / "paper.tex").write_text(PAPER, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for _ in range(2):  # the second time, references are known
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout
    # Lines are broken at 79 letters.
    return (folder / "paper.log").read_text(encoding="utf-8", errors="replace").replace("\n", " ")


def test_tables_compile_and_fit_a_page(tmp_path: Path) -> None:
    for encoder in ("mbert", "xlmr-large"):
        for task in ("pos", "xnli"):
            for source, target in (("en", "vi"), ("qaa", "qab")):
                for seed in range(2):
                    write_cell(tmp_path / "store", Cell(encoder, task, source, target, seed), TRUTH)
    log = compiled(tmp_path / "store", tmp_path / "paper")
    assert not re.findall(r"Overfull \\hbox \([\d.]+pt too wide\)", log)
    assert "undefined" not in log, "a label is missing"


def test_names_with_letters_that_latex_reads_otherwise_compile(tmp_path: Path) -> None:
    for task in ("pos", "xnli"):
        write_cell(tmp_path / "store", Cell("a_b&50%#{x}~^", task, "en", "zh_tw", 0), TRUTH)
    assert "Output written on paper.pdf" in compiled(tmp_path / "store", tmp_path / "paper")
