"""TensorBoard, MLflow and Weights & Biases are told what they have room for, and end no run."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray.air.integrations.mlflow
import ray.air.integrations.wandb
import yaml
from tensorboardX.proto.event_pb2 import Event
from tiny import make_tiny

import xltray.cluster.trackers
import xltray.trackers
from xltray.cluster.trackers import Trackers
from xltray.jobs import Job
from xltray.sweep import main
from xltray.sweepfile import load_sweep
from xltray.trackers import check_trackers

RESULT = {
    "training_iteration": 3,
    "progress_done": 40,
    "progress_total": 90,
    "progress_first": 0,
    "seconds": 5.5,
    "scores": {"accuracy/qaa": 0.25, "train_loss": 1.5},
    "job": "secret",
    "unit": "steps",
}


def fake_trial(job: Job) -> Any:
    config = {"id": job.id, "kind": job.kind, "job": job.model_dump_json(), "storage": "s3://secret"}
    return SimpleNamespace(config=config, trial_id="t1", experiment_dir_name="jobs")


def job_of(tmp_path: Path, kind: str) -> Job:
    return next(make_tiny(tmp_path / "store").plan.of_kind(kind))


def follow(trackers: Trackers, job: Job) -> None:
    """Have a job start, tell once and end."""
    trial = fake_trial(job)
    trackers.setup()
    trackers.on_trial_start(0, [trial], trial)
    trackers.on_trial_result(1, [trial], trial, dict(RESULT))
    trackers.on_trial_complete(1, [trial], trial)
    trackers.on_experiment_end([trial])


def events(folder: Path) -> Iterator[Event]:
    """Read TensorBoard's files: length, its checksum, an Event, its checksum."""
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, place = path.read_bytes(), 0
        while place < len(content):
            (size,) = struct.unpack_from("<Q", content, place)
            yield Event.FromString(content[place + 12 : place + 12 + size])
            place += 12 + size + 4


def test_tensorboard_gets_a_folder_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job, said = job_of(tmp_path, "finetune"), list[str]()
    follow(Trackers(["tensorboard"], "tiny", said.append), job)
    assert not said
    told = list(events(tmp_path / "runs" / "tiny" / job.id))
    scalars = {
        value.tag: (event.step, round(value.simple_value, 3))
        for event in told
        for value in event.summary.value
    }
    assert scalars["ray/tune/scores/accuracy/qaa"] == (40, 0.25)
    assert scalars["ray/tune/scores/train_loss"] == (40, 1.5)
    assert scalars["ray/tune/progress"] == (40, 40)
    assert all(
        b"secret" not in path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()
    )


def test_mlflow_gets_what_tells_a_job_from_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    class Util:
        def __getattr__(self, name: str) -> Any:
            def call(**options: Any) -> Any:
                calls.append((name, options))
                return SimpleNamespace(info=SimpleNamespace(run_id="r"))

            return call

    monkeypatch.setattr(ray.air.integrations.mlflow, "_MLflowLoggerUtil", Util)
    job, said = job_of(tmp_path, "surface"), list[str]()
    follow(Trackers(["mlflow"], "tiny", said.append), job)
    assert not said
    told = dict(calls)
    assert told["setup_mlflow"]["experiment_name"] == "tiny"
    assert told["start_run"]["run_name"] == job.id
    about = {"job": job.id, "kind": "surface", "task": "pos", "encoder": "small", "seed": 0}
    assert told["log_params"]["params_to_log"] == about | {"source": "qaa", "target": "qab"}
    assert told["log_metrics"]["metrics_to_log"]["scores"] == RESULT["scores"]
    assert told["end_run"]["status"] == "FINISHED"
    assert "secret" not in str(calls)


def test_wandb_gets_what_tells_a_job_from_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, Any]] = []
    callback = ray.air.integrations.wandb.WandbLoggerCallback
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ray.air.integrations.wandb, "wandb", object())
    # It asks for classes of wandb's.
    monkeypatch.setattr(ray.air.integrations.wandb, "_clean_log", lambda config, **_: config)
    monkeypatch.setattr(callback, "setup", lambda *_, **__: None)
    monkeypatch.setattr(
        callback, "_start_logging_actor", lambda _, trial, exclude, **options: started.append(options)
    )
    trackers = Trackers(["wandb"], "tiny", print)
    job = job_of(tmp_path, "pretrain")
    trackers.on_trial_start(0, [], fake_trial(job))
    (options,) = started
    assert (options["project"], options["name"]) == ("tiny", job.id)
    assert options["config"] == {"job": job.id, "kind": "pretrain", "task": "pretrain", "encoder": "small"}
    assert (tmp_path / "runs" / "tiny" / job.id).is_dir(), "wandb's process changes to it"


def test_a_tracker_that_fails_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        started = 0

        def setup(self, *_: Any, **__: Any) -> None:
            """All is well so far."""

        def log_trial_start(self, _: Any) -> None:
            self.started += 1
            raise ConnectionError("no answer from https://me:hunter2@tracker\nTraceback")

    broken, said = Broken(), list[str]()
    monkeypatch.setattr(xltray.cluster.trackers, "make_logger", lambda *_: broken)
    trackers, job = Trackers(["mlflow"], "tiny", said.append), job_of(tmp_path, "finetune")
    follow(trackers, job)
    follow(trackers, job)
    assert broken.started == 1
    assert said == ["mlflow is left out from here on: ConnectionError: no answer from https://***@tracker"]


def test_without_room_for_their_files_those_that_write_some_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Calm:
        def __getattr__(self, method: str) -> Any:
            return lambda *_, **__: told.append(method)

    told, said = list[str](), list[str]()
    monkeypatch.setattr(xltray.cluster.trackers, "make_logger", lambda *_: Calm())
    monkeypatch.chdir(tmp_path)
    Path("runs").write_text("no folder")
    follow(Trackers(["tensorboard", "mlflow", "wandb"], "tiny", said.append), job_of(tmp_path, "finetune"))
    assert len(said) == 2
    for name, line in zip(("tensorboard", "wandb"), said, strict=True):
        assert line.startswith(
            f"{name} is left out from here on: NotADirectoryError: [Errno 20] Not a directory"
        )
    assert told == ["setup"] * 3 + [
        "log_trial_start",
        "log_trial_result",
        "log_trial_end",
        "on_experiment_end",
    ]


def test_a_tracker_that_is_not_installed_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = {
        "tasks": ["pos"],
        "pairs": {"qaa": ["qab"]},
        "data": {"corpora": {"pos": "toy"}},
        "encoders": {"a": {"pretrain": {"corpus": "toy", "languages": ["qaa"]}}},
        "runtime": {"callbacks": ["tensorboard", "wandb"]},
    }
    Path("s.yaml").write_text(yaml.safe_dump(sweep), encoding="utf-8")
    monkeypatch.setattr(xltray.trackers, "find_spec", lambda name: None if name == "wandb" else "found")
    assert main(["s.yaml"]) == 2
    shown = capsys.readouterr().err
    assert "runtime.callbacks[1]" in shown
    assert "'wandb', and no package wandb" in shown
    assert "pip install wandb, or leave wandb out." in shown
    assert "tensorboard'" not in shown
    monkeypatch.setattr(xltray.trackers, "find_spec", lambda name: "found")
    assert not check_trackers(load_sweep(Path("s.yaml")))
