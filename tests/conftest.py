"""Data that tests of several modules share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tiny import Tiny

SHARED_UD = Path(__file__).parents[2] / "shared" / "data" / "ud-2.7"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that need a GPU where torch can use none."""
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU that torch can use")


@pytest.fixture(scope="session")
def ud_root() -> Path:
    """A folder with UD 2.7 treebanks: XLTRAY_UD_ROOT, or shared/data/ud-2.7 beside the repository."""
    root = Path(os.environ.get("XLTRAY_UD_ROOT") or SHARED_UD)
    if not root.is_dir():
        pytest.skip(f"no UD treebanks at {root}; set XLTRAY_UD_ROOT to an unpacked UD 2.7 release")
    return root


@pytest.fixture(scope="module")
def s3_bucket() -> Iterator[str]:
    """The URI of a bucket on an S3-compatible server of this machine, for this process and its children."""
    import pyarrow.fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        files, bucket = pyarrow.fs.FileSystem.from_uri("s3://bucket?allow_bucket_creation=true")
        files.create_dir(bucket)
        yield "s3://bucket"
    server.stop()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A tiny sweep that has been run; its store is for reading only (``tiny.copied`` gives another)."""
    # Here, because torch takes seconds to import and most tests need none of it.
    from tiny import make_tiny

    done = make_tiny(tmp_path_factory.mktemp("tiny") / "store")
    done.run()
    return done


@pytest.fixture(scope="session")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tiny, Path]:
    """A sweep of all tasks that has been run, with its predictions at the corners, and its sweep file."""
    from made_predictions import make_sweep

    from xltray.predict import main

    made, path = make_sweep(tmp_path_factory.mktemp("all"))
    assert main([str(path)]) == 0
    return made, path
