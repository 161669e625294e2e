"""What the README promises of security, as far as it can be read off the code or tried."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from xltray.errors import SweepFileError
from xltray.sweepfile import load_sweep

REPOSITORY = Path(__file__).parent.parent
SOURCES = sorted([*(REPOSITORY / "xltray").rglob("*.py"), *(REPOSITORY / "analysis").rglob("*.py")])

UNPICKLES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
# Tune hands the driver the error of a failed trial as a pickle, in a temporary folder of the driver's own.
KNOWN = {("xltray/cluster/callback.py", "ray.cloudpickle.loads")}


def calls() -> list[tuple[str, str, ast.Call]]:
    """Return (file, what is called, the call) for every call in the sources."""
    return [
        (path.relative_to(REPOSITORY).as_posix(), ast.unparse(node.func), node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]


def test_nothing_is_unpickled() -> None:
    found = {
        (file, name)
        for file, name, _ in calls()
        if name.rpartition(".")[2] in {"load", "loads", "Unpickler", "read_pickle"}
        and (UNPICKLES & set(name.split(".")) or name.endswith(("Unpickler", "read_pickle")))
    }
    assert found == KNOWN
    imported = {
        alias.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[-1] in UNPICKLES
        for alias in node.names
    }
    assert not imported, "by these names it would not be seen above"


def test_weights_are_read_without_code() -> None:
    for file, name, call in calls():
        arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name == "torch.load":
            assert arguments.get("weights_only") == "True", file
        if "allow_pickle" in arguments:
            assert arguments["allow_pickle"] == "False", file
        assert arguments.get("trust_remote_code", "False") == "False", file
        assert name not in {"eval", "exec", "os.system"}, file


@pytest.mark.parametrize("storage", ["s3://key:hunter2@bucket/x", "s3://:hunter2@bucket"])
def test_a_password_in_storage_is_refused_and_not_shown(storage: str) -> None:
    with pytest.raises(SweepFileError) as caught:
        load_sweep(REPOSITORY / "sweeps/full.yaml", [f"storage={storage}"])
    assert "hunter2" not in str(caught.value)
    assert "AWS_ACCESS_KEY_ID" in str(caught.value)


@pytest.mark.parametrize("storage", ["s3://bucket/x", "gs://anonymous@bucket/x", "/shared/a:b@c", "here"])
def test_other_storages_are_taken(storage: str) -> None:
    assert load_sweep(REPOSITORY / "sweeps/full.yaml", [f"storage={storage}"]).storage == storage
