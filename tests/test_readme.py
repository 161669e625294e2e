"""The README's promises: links lead somewhere, commands exist, its examples run."""

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from xltray import errors as error_classes
from xltray.checkpoints import is_commit
from xltray.cluster.run import RunOutcome
from xltray.events import silent
from xltray.inputs import FileInputs, check_names
from xltray.plan import make_plan
from xltray.started import write_plan
from xltray.store import Store
from xltray.sweep import main as run_sweep
from xltray.sweep_report import Commands, Report
from xltray.sweepfile import load_sweep

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text()


def blocks() -> list[str]:
    """Return the indented blocks, without their indentation."""
    found = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", README, flags=re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE).strip() for block in found]


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_lead_somewhere(link):
    assert link.startswith("https://") or (REPOSITORY / link).exists()


def test_commands_exist():
    modules = set(re.findall(r"python -m (\S+)", README))
    assert {"xltray.sweep", "xltray.status", "xltray.data", "analysis"} <= modules
    for module in modules:
        assert importlib.util.find_spec(module) is not None, module
    # mine.yaml is the reader's own.
    for path in set(re.findall(r"\bsweeps/[\w-]+\.(?:yaml|json)", README)) - {"sweeps/mine.yaml"}:
        assert (REPOSITORY / path).is_file(), path
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"(?:`|^ {4})make ([\w-]+)", README, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile, target


def test_every_module_of_the_map_exists():
    (tree,) = (block for block in blocks() if block.startswith("xltray/\n"))
    named = re.findall(r"\b([a-z_]+\.py)\b", tree)
    there = {path.name for path in (REPOSITORY / "xltray").rglob("*.py")}
    assert set(named) <= there
    top = {path.name for path in (REPOSITORY / "xltray").glob("*.py")} - {"__init__.py"}
    assert top <= set(named), "a module is missing from the README's map"


def test_modules_of_the_map_import_only_from_below():
    (tree,) = (block for block in blocks() if block.startswith("xltray/\n"))
    package = REPOSITORY / "xltray"
    rows = {}
    for row, line in enumerate(tree[: tree.index("\nbenchmarks/")].splitlines()[1:]):
        for name in re.findall(r"\b([a-z_]+)(?:\.py|/)", line):
            rows.setdefault(name, row)
    for name, row in rows.items():
        files = (
            [package / f"{name}.py"] if (package / f"{name}.py").exists() else (package / name).glob("*.py")
        )
        for imported in {found for file in files for found in imports(file)} & rows.keys():
            assert rows[imported] >= row, f"{name} imports {imported}, which stands above it"


def imports(file):
    """Names of xltray's modules and packages that a module imports from."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    return [node.module.split(".")[1] for node in nodes if (node.module or "").startswith("xltray.")]


def example_sweep(tmp_path):
    """The README's sweep file, saved."""
    (example,) = (block for block in blocks() if block.startswith("tasks:"))
    path = tmp_path / "mine.yaml"
    path.write_text(example)
    return path


def test_lists_in_docstrings_are_whole():
    cluster = REPOSITORY / "xltray" / "cluster"
    listed = re.findall(r"^    (\w+\.py) ", (cluster / "__init__.py").read_text(), flags=re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in cluster.glob("[!_]*.py"))
    errors, sources = {"XltrayError"}, [path.read_text() for path in (REPOSITORY / "xltray").rglob("*.py")]
    classes = [found for source in sources for found in re.findall(r"^class (\w+)\((\w+)\):", source, re.M)]
    for _ in range(3):
        errors |= {name for name, base in classes if base in errors}
    # What several of them have in common is none itself.
    assert {"LeaseError", "DamagedFileError"} <= errors
    assert errors - {"ProblemsError"} <= set(re.findall(r"\w+Error\b", error_classes.__doc__))


def test_the_example_sweep_file_loads(tmp_path):
    sweep = load_sweep(example_sweep(tmp_path), checks=[check_names])
    assert sweep.encoders["xlmr"].checkpoint == "FacebookAI/xlm-roberta-base"
    assert is_commit(sweep.encoders["xlmr"].revision)
    assert dict(sweep.pairs) == {"en": ("pl",)}


def test_the_example_sweep_lacks_nothing_but_its_data(tmp_path, monkeypatch, capsys):
    path = example_sweep(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run_sweep([str(path), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    promised = re.search(r"mine\.yaml --dry-run +# (\d+) fine-tunings, (\d+) surfaces", README)
    for number, kind in zip(promised.groups(), ("fine-tunings", "surfaces"), strict=True):
        assert f" {number} {kind}\n" in printed
    absent = re.findall(r"^  - (.*)$", printed, flags=re.MULTILINE)
    assert absent == [
        "ud-2.14/UD_English-EWT: no data root ud-2.14",
        "ud-2.14/UD_Polish-PDB: no data root ud-2.14",
    ]


def test_an_archive_is_named_as_the_readme_says(tmp_path):
    (archive,) = re.findall(r"`sources: (\{ud: \{archive: .*?\}\})`", README)
    sweep = load_sweep(example_sweep(tmp_path), [f"data.sources={archive}"])
    assert sweep.data.sources.ud.archive == "ud-treebanks-v2.14.tgz"


def test_files_are_merged_as_the_readme_says(tmp_path):
    (pairs,) = re.findall(r"`(pairs: \{.*?null\})`", README)
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: {REPOSITORY / 'sweeps/full.yaml'}\n{pairs}\n")
    assert dict(load_sweep(path).pairs) == {"en": ("de",)}


def test_the_quickstart_ends_as_shown(tmp_path, capsys, monkeypatch):
    # As the Makefile calls it.
    monkeypatch.setattr(sys, "orig_argv", [".venv/bin/python"])
    (shown,) = (block for block in blocks() if block.startswith("Done:"))
    sweep = load_sweep(REPOSITORY / "sweeps/quickstart.yaml")
    plan = make_plan(sweep, FileInputs(sweep.data))
    console, none = Console(soft_wrap=True), Commands("", "", "")
    report = Report(plan, Store(str(tmp_path)), plan.jobs, plan.jobs, none, console, silent)
    assert report.end(RunOutcome(done=tuple(plan.jobs))) == 0
    assert capsys.readouterr().out.strip() == shown


def test_the_pandas_example_runs(tiny, capsys):
    (example,) = (block for block in blocks() if block.startswith("import pandas"))
    exec(example.replace("results/ud-small", tiny.store.uri), {})  # our own README
    assert "accuracy" not in capsys.readouterr().out.splitlines()[0]


def test_the_example_of_a_cell_runs(tiny, tmp_path, capsys):
    own = tiny.copied(tmp_path / "store")
    write_plan(own.plan, own.store)
    (example,) = (block for block in blocks() if block.startswith("from xltray.cells"))
    names = {}
    exec(example.replace("results/quickstart", own.store.uri), names)  # our own README
    job = own.cell()
    assert names["cell"].job == job
    assert names["frame"]["a_src"].tolist() == [0, 0, 0.5, 0.5, 1 / 3, 1 / 3]
    printed = capsys.readouterr().out
    assert job.id[:15] in printed
    assert [line.split()[0] for line in printed.splitlines()[-4:]] == [
        "a_src",
        "0.000000",
        "0.333333",
        "0.500000",
    ]


def test_commands_on_treebanks_say_where_these_are():
    commands = re.findall(r"^ {4}(python -m xltray.* sweeps/ud-small\.yaml.*)$", README, re.MULTILINE)
    assert len(commands) >= 6
    # Without it, data.root is `data`, where a reader of this page has nothing.
    assert [command for command in commands if "data.root=ud-2.7" not in command] == []
