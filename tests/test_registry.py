"""Names of tasks and corpora: what is known, what is said of others, what is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from xltray.corpora.registry import CORPORA, open_corpus
from xltray.errors import SweepFileError, XltrayError
from xltray.spec import DataSpec
from xltray.tasks.base import Counts, Task
from xltray.tasks.registry import TASKS, corpus_name, get_task


def test_the_papers_tasks_are_known():
    assert TASKS == ("xnli", "ner", "pos", "parsing")


@pytest.mark.parametrize("name", TASKS)
def test_a_task_goes_by_its_name(name):
    task = get_task(name)
    assert isinstance(task, Task)
    assert task.name == name
    assert task.primary == task.metrics[0]
    assert task.corpus == corpus_name(name, DataSpec())


def test_primary_metrics_are_the_papers():
    assert get_task("xnli").metrics == ("accuracy",)
    assert get_task("ner").metrics == ("f1",)
    assert get_task("pos").metrics == ("accuracy",)
    assert get_task("parsing").metrics == ("las", "uas", "las_paper")


@pytest.mark.parametrize("look_up", [get_task, lambda name: corpus_name(name, DataSpec())])
def test_an_unknown_task_gets_a_hint(look_up):
    with pytest.raises(
        XltrayError, match=r"Unknown task 'parsin'.*Did you mean 'parsing'\?.*ner, parsing, pos"
    ):
        look_up("parsin")


def test_the_sweep_file_may_name_another_corpus():
    data = DataSpec(corpora={"pos": "toy"})
    assert corpus_name("pos", data) == "toy"
    assert corpus_name("parsing", data) == "ud"


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_goes_by_its_name(name):
    assert open_corpus(name, DataSpec()).name == name


def test_an_unknown_corpus_gets_a_hint():
    with pytest.raises(SweepFileError, match=r"Did you mean 'toy'\? Known: toy, ud") as caught:
        open_corpus("toys", DataSpec())
    assert caught.value.problems[0].found == "'toys'"


@pytest.mark.parametrize(
    "code",
    [
        "import xltray.tasks.registry as r; r.corpus_name('pos', __import__('xltray.spec').spec.DataSpec())",
        "import xltray.corpora.registry",
    ],
)
def test_looking_up_names_loads_no_torch(code):
    heavy = ("torch", "transformers", "ray", "conllu")
    check = f"{code}\nimport sys\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_counts_make_a_score():
    assert Counts(3, 4, 4).value == 0.75
    assert Counts(2, 3, 5).value == 0.5
    assert Counts(0, 0, 0).value == 0.0
