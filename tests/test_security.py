"""What the README promises of security, as far as it can be read off the code or tried."""

from __future__ import annotations

import ast
import json
import re
import traceback
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_sweeps import MINIMAL
from pydantic import ValidationError

from xltray.credentials import redacted, secret_in
from xltray.errors import Problem, StoreError, SweepFileError
from xltray.inputs import check_names
from xltray.spec import DataSpec
from xltray.store import Store
from xltray.sweep import main
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


SECRET = "hunter2"
# A secret may hold what has a meaning in URLs; whatever part of it is shown, SECRET would be in it.
AROUND = st.text("aZ09/+=@:?&#%'\\\"!$,;.()é ", max_size=6)
SECRETS = st.builds(SECRET.join, st.lists(AROUND, min_size=2, max_size=4))
SCHEMES = st.sampled_from(["s3", "abfs", "gs", "https", "git+ssh"])
HOSTS = st.sampled_from(["c@acct.org", "host"])
KEYS = st.sampled_from(
    ["sig", "client_secret", "access_token", "password", "secret_key", "X-Amz-Signature", "api-key", "%73ig"]
)
URLS = st.one_of(
    st.builds("{}://{}:{}@host.org/x".format, SCHEMES, st.sampled_from(["", "me", "AKIA"]), SECRETS),
    st.builds("{}://{}/x?sv=2020&{}={}".format, SCHEMES, HOSTS, KEYS, SECRETS),
)
TAKE_TEXT = (
    "storage={}",
    "data.root={}",
    "data.sources.ud.repositories={}",
    "data.sources.ud.archive={}",
    "data.sources.xnli.repository={}",
    "data.corpora.pos={}",
    "encoders.a.checkpoint={}",
    "encoders.a.revision={}",
    "encoders.own={{pretrain: {{text: [{}]}}}}",
    "runtime.address={}",
)
DO_NOT = (
    "data.sources={{ud: {}}}",
    "encoders.own={{pretrain: {{text: [x], steps: {}}}}}",
    "finetune_task.pos.keep={}",
    "name={}",
    "seeds={}",
    "tasks=[{}",
)


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sweep") / "s.yaml"
    path.write_text(MINIMAL, encoding="utf-8")
    return path


@example(field="seeds={}", url="s3://me:hunter2 hunter2@host/x")
@example(field="storage={}", url="s3://AKIA:hunter2/hunter2@host/x")
@example(field="storage={}", url="s3://me:hunter2?sig=hunter2@host")
@given(field=st.sampled_from([*TAKE_TEXT, *DO_NOT]), url=URLS)
@settings(deadline=None, max_examples=60)
def test_a_secret_in_any_field_is_refused_and_not_shown(sweep_file: Path, field: str, url: str) -> None:
    override = field.format(json.dumps(url))
    with pytest.raises(SweepFileError) as caught:
        load_sweep(sweep_file, [override], checks=[check_names])
    told = "".join(traceback.format_exception(caught.value))
    assert SECRET not in told
    assert ("AWS_ACCESS_KEY_ID" in told) == (field in TAKE_TEXT)


@given(url=URLS)
def test_pydantic_does_not_show_a_secret_either(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DataSpec.model_validate({"root": url, "treebanks": url, "corpora": {url: url}})
    assert SECRET not in str(caught.value)


@given(url=URLS)
@settings(deadline=None, max_examples=50)
def test_a_store_does_not_show_its_secret(url: str) -> None:
    # These two do not look a bucket up when they are opened.
    for uri in (re.sub("^[^:]*", scheme, url) for scheme in ("abfs", "nosuch")):
        try:
            store = Store(uri)
        except StoreError as error:
            told = "".join(traceback.format_exception(error))
        else:
            told = f"{store} {store!r}"
        assert SECRET not in told


# A space ends a word of a message.
@given(url=URLS.map(lambda url: "".join(url.split())), where=st.sampled_from(["{}", "('{}'). So", "{}\n"]))
def test_messages_hide_secrets(url: str, where: str) -> None:
    problem = Problem("s.yaml:3: storage", where.format(url), f"none of {url}", f"Not {url}.")
    assert SECRET not in str(problem)
    assert str(problem).startswith("s.yaml:3: storage: found ")
    assert SECRET not in redacted(where.format(url))


@pytest.mark.parametrize(
    "line",
    [
        "storage: 's3://AKIA:hunter2/hunter2@bucket/x'",
        "storage: 'abfs://c@acct.dfs.core.windows.net/x?sv=2020&sig=hunter2'",
        "data: {sources: {ud: 'https://me:hunter2@x/y'}}",
        "data: {sources: {ud: {archive: 'https://me:hunter2@x.org/a.tgz'}}}",
    ],
)
def test_a_secret_reaches_neither_screen_nor_store(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(f"extends: {REPOSITORY}/sweeps/toy.yaml\n{line}\n", encoding="utf-8")
    for options in (["--dry-run"], [], ["--json"]):
        assert main(["s.yaml", *options]) == 2
        printed = capsys.readouterr()
        assert SECRET not in printed.out + printed.err
        assert "s.yaml:2" in printed.err
    assert [path.name for path in tmp_path.iterdir()] == ["s.yaml"]


def test_only_the_secret_is_hidden() -> None:
    sentence = "cannot open 's3://me:hunter2@bucket/x?region=a': see https://x.org?page=2&sig=hunter2, a:3"
    hidden = "cannot open 's3://***@bucket/x?region=a': see https://x.org?page=2&sig=***, a:3"
    assert redacted(sentence) == hidden


STORAGES = pytest.mark.parametrize(
    "storage",
    [
        "s3://bucket/x",
        "s3://bucket/x?region=eu-west-1&endpoint_override=http://host:9000",
        "gs://anonymous@bucket/x",
        "abfs://container@account.dfs.core.windows.net/x?credential_kind=cli",
        "/shared/a:b@c",
        "file:///shared/a:b@c",
        "here",
    ],
)


@STORAGES
def test_what_holds_no_secret_is_shown(storage: str) -> None:
    assert (
        redacted(f"Start it (sweep storage={storage}), or check")
        == f"Start it (sweep storage={storage}), or check"
    )


@STORAGES
def test_other_storages_are_taken(storage: str) -> None:
    assert load_sweep(REPOSITORY / "sweeps/full.yaml", [f"storage={storage}"]).storage == storage


@pytest.mark.parametrize(
    "url", ["git@github.com:Organisation", "ssh://git@github.com/x", "https://x.org/a.tgz?download=1"]
)
def test_other_sources_are_taken(url: str) -> None:
    sweep = load_sweep(REPOSITORY / "sweeps/full.yaml", [f"data.sources.ud.repositories={url}"])
    assert sweep.data.sources.ud.repositories == url


def test_a_token_as_user_is_refused() -> None:
    with pytest.raises(SweepFileError, match="a user in the URL, which may be a token") as caught:
        load_sweep(
            REPOSITORY / "sweeps/full.yaml", ["data.sources.ud.repositories=https://hunter2@github.com/x"]
        )
    assert SECRET not in str(caught.value)


def test_space_before_a_url_hides_no_secret() -> None:
    url = f"https://x.org/a.tgz?token={SECRET}"
    assert secret_in(f" \n{url}") == secret_in(url) is not None
    with pytest.raises(SweepFileError, match="a secret in the URL's query") as caught:
        load_sweep(REPOSITORY / "sweeps/full.yaml", [f"data.sources.ud.repositories=' {url}'"])
    assert SECRET not in str(caught.value)


def test_a_path_has_no_query() -> None:
    assert load_sweep(REPOSITORY / "sweeps/full.yaml", ["storage=/x?sig=1"]).storage == "/x?sig=1"
