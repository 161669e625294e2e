"""Commands of cluster files' headers and of the guides, pasted as they stand: what each would run, and where.

Programs are stubs that note how they were called; what `ray exec`, `ray job submit` or `ssh` would run
elsewhere is then run in the same way. Ray's own command line says whether its options exist.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import yaml
from ray.scripts.scripts import cli as ray_commands

from xltray.sweepfile import load_sweep

REPOSITORY = Path(__file__).parent.parent
FILES = (
    "cluster.yaml",
    "deploy/on-prem.yaml",
    "deploy/rayjob.yaml",
    "deploy/Dockerfile",
    "docs/cluster.md",
    "docs/monitoring.md",
    "README.md",
)
STUBS = (
    "aws",
    "base64",
    "docker",
    "git",
    "jq",
    "kubectl",
    "prometheus",
    "python",
    "ray",
    "sed",
    "ssh",
    "sudo",
    "tensorboard",
)
REAL = ("bash", "cut", "head")
# Asked for its state, a job is not there yet.
STUB = r"""#!{bash}
IFS=$'\x1f'
printf '%s\x1e' "${{0##*/}}$IFS${{HF_HOME-}}$IFS$*" >> {notes}
[ "${{0##*/}} ${{1-}} ${{2-}}" != "ray job status" ]
"""
# How KubeRay submits (BuildJobSubmitCommand in ray-operator/controllers/ray/common/job.go), in short.
KUBERAY = (
    "if ! ray job status --address {address} {job} >/dev/null 2>&1 ; then "
    "ray job submit --address {address} --no-wait --submission-id {job} -- {entrypoint} ; fi ; "
    "ray job logs --address {address} --follow {job}"
)


class Call(NamedTuple):
    """How a program was called."""

    program: str
    hf_home: str
    arguments: tuple[str, ...]

    @property
    def overrides(self) -> dict[str, str]:
        """What of a sweep file is overridden."""
        return dict(argument.split("=", 1) for argument in self.arguments if re.match(r"[a-z_.]+=", argument))


class Desk:
    """A home folder with the project and its environment, and stubs of all programs."""

    def __init__(self, folder: Path) -> None:
        self._notes, self._home = folder / "notes", folder / "home"
        bash = shutil.which("bash")
        assert bash is not None
        self._bash = bash
        self._path, environment = folder / "bin", self._home / "xltray-venv" / "bin"
        for place in (self._path, environment, self._home / "xltray"):
            place.mkdir(parents=True)
        for program in STUBS:
            stub = self._path / program
            stub.write_text(STUB.format(bash=bash, notes=self._notes))
            stub.chmod(0o755)
        for program in REAL:
            (self._path / program).symlink_to(str(shutil.which(program)))
        for program in ("python", "ray"):
            (environment / program).symlink_to(self._path / program)

    def paste(self, text: str) -> list[Call]:
        """Run it in bash, which must understand all of it; returns what was called here."""
        self._notes.write_text("")
        done = subprocess.run(
            [self._bash, "-ce", "--", text],
            env={"PATH": str(self._path), "HOME": str(self._home), "USER": "me"},
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), f"{text}\n{done.stderr}"
        records = [record.split("\x1f") for record in self._notes.read_text().split("\x1e")[:-1]]
        return [Call(program, hf_home, tuple(words)) for program, hf_home, *words in records]

    def everywhere(self, text: str) -> Iterator[Call]:
        """Run it; yields what was called here, and on other machines in its turn."""
        for call in self.paste(text):
            yield call
            if (elsewhere := run_elsewhere(call)) is not None:
                yield from self.everywhere(elsewhere)


def run_elsewhere(call: Call) -> str | None:
    """Return the line that another machine's shell gets; raises if Ray has no such command or option."""
    if call.program == "ssh":
        return call.arguments[-1]
    if call.program != "ray":
        return None
    command: Any = ray_commands
    words = list(call.arguments)
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    given = command.make_context(command.name, words).params
    if command.name == "exec":
        return str(given["cmd"])
    # As Ray's `submit` does: words are quoted again for the shell of the cluster.
    return shlex.join(given["entrypoint"]) if command.name == "submit" else None


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def blocks(name: str) -> list[str]:
    """Return the commands of a file as they are pasted: indented in a guide, behind `#     ` elsewhere."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    if name == "README.md":
        text = text[text.index("\n## On a cluster") : text.index("\n## Results")]
    line = r"    .*\n" if name.endswith(".md") else r" *#     .*\n"
    found = re.findall(rf"(?:^|(?<=\n))((?:{line})+)", text)
    unmarked = [re.sub(r"(?m)^ *#", "", block) for block in found] if line.startswith(" *#") else found
    # An excerpt of a sweep file is no command.
    return [block for block in unmarked if not re.match(r"\s+\w+: ", block)]


def pasted(desk: Desk, name: str) -> list[Call]:
    found = blocks(name)
    assert found
    return [call for block in found for call in desk.everywhere(block)]


def of_module(calls: list[Call], *words: str) -> list[Call]:
    """Those that run one of xltray's commands."""
    return [
        call
        for call in calls
        if call.program == "python" and call.arguments[: 1 + len(words)] == ("-m", *words)
    ]


@pytest.mark.parametrize("name", FILES)
def test_what_is_pasted_runs(desk: Desk, name: str) -> None:
    """No line breaks inside a command, options exist, and sweep files take their overrides."""
    calls = pasted(desk, name)
    sweeps = of_module(calls, "xltray.sweep")
    for call in [*sweeps, *of_module(calls, "xltray.data", "fetch"), *of_module(calls, "xltray.status")]:
        (path,) = (word for word in call.arguments if word.endswith(".yaml"))
        load_sweep(REPOSITORY / path, [f"{key}={value}" for key, value in call.overrides.items()])
    if name in ("cluster.yaml", "deploy/on-prem.yaml", "docs/cluster.md", "README.md"):
        assert sweeps
        for call in sweeps:
            assert call.overrides["runtime.device"] == "cuda"
            assert "storage" in call.overrides


def test_prometheus_is_started_on_the_machine_that_sees_ray(desk: Desk) -> None:
    """Not in the container, where there is no systemd; and it can read its options."""
    calls = pasted(desk, "docs/monitoring.md")
    (shell,) = (call for call in calls if call.arguments[:1] == ("exec",))
    assert shell.arguments == ("exec", "--run-env", "host", "cluster.yaml", "bash")
    (started,) = (call.arguments for call in calls if call.arguments[:1] == ("systemd-run",))
    options = dict(word.lstrip("-").split("=", 1) for word in started if word.startswith("--"))
    source = yaml.safe_load((REPOSITORY / "deploy/grafana/datasource.yaml").read_text())["datasources"][0]
    assert source["url"] == f"http://{options['web.listen-address']}"
    # Of the folder that the container shares.
    assert options["config.file"].startswith("/tmp/ray/session_latest/")


@pytest.mark.parametrize("name", ["cluster.yaml", "deploy/on-prem.yaml", "docs/cluster.md", "README.md"])
def test_a_sweep_looks_where_was_fetched(desk: Desk, name: str) -> None:
    calls = pasted(desk, name)
    places = [
        {(call.hf_home, call.overrides.get("data.root")) for call in of_module(calls, *words)}
        for words in (["xltray.data", "fetch"], ["xltray.sweep"])
    ]
    assert places[0] == places[1] != set()


def test_machines_of_your_own_look_for_encoders_where_the_head_does(desk: Desk) -> None:
    (sweep,) = of_module(pasted(desk, "deploy/on-prem.yaml"), "xltray.sweep")
    config = yaml.safe_load((REPOSITORY / "deploy/on-prem.yaml").read_text())
    starts = [
        call
        for kind in ("head", "worker")
        # How many files may be open is up to each machine.
        for line in config[f"{kind}_start_ray_commands"]
        for call in desk.paste(line.replace("ulimit -n 65536;", ""))
        if call.arguments[0] == "start"
    ]
    assert [call.hf_home for call in starts] == [sweep.hf_home] * 2 == ["/shared/huggingface"] * 2


def submitted(desk: Desk, entrypoint: str) -> list[Call]:
    """What runs in the pod that submits a RayJob."""
    line = KUBERAY.format(address="http://head:8265", job="xltray-full-x7k2p", entrypoint=entrypoint.strip())
    return desk.paste(line)


def test_all_of_the_ray_job_runs_on_the_cluster(desk: Desk) -> None:
    entrypoint = yaml.safe_load((REPOSITORY / "deploy/rayjob.yaml").read_text())["spec"]["entrypoint"]
    status, submit, logs = submitted(desk, entrypoint)
    assert [call.arguments[:2] for call in (status, submit, logs)] == [
        ("job", "status"),
        ("job", "submit"),
        ("job", "logs"),
    ]
    line = run_elsewhere(submit)
    assert line is not None
    fetch, sweep = desk.everywhere(line)
    assert of_module([fetch, sweep], "xltray.data", "fetch", "sweeps/full.yaml") == [fetch]
    assert of_module([fetch, sweep], "xltray.sweep", "sweeps/full.yaml") == [sweep]
    assert fetch.overrides["data.root"] == sweep.overrides["data.root"] == "/data/corpora"
    load_sweep(REPOSITORY / "sweeps/full.yaml", [f"{key}={value}" for key, value in sweep.overrides.items()])


def test_without_quotes_the_rest_would_run_in_the_submitter(desk: Desk) -> None:
    """What the test above is there to find."""
    calls = submitted(desk, "python -m xltray.data fetch full.yaml && python -m xltray.sweep full.yaml")
    assert [call.program for call in calls] == ["ray", "ray", "python", "ray"]
