"""Faults at random moments of a running sweep, again and again: ``python tests/chaos.py --rounds 20``.

Each round runs a small sweep in an empty store, lets one fault befall it at a random moment, starts it again
as long as it ends otherwise than well, and compares all results with an undisturbed run's, by value. Twenty
rounds have every fault; what chance decides in a round depends on the seed and the round's number alone. A
line on each round goes to the log; what stands there is not played again.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from made_faults import ONE_CELL, Driver, Machines, check_results, environment, write_sweep
from tiny import Tiny, make_tiny

MOST_RUNS = 4
STEPS = {"pretrain": 8, "finetune": 6, "server": 5}
"""A fault comes after one of so many steps of a job."""


class Round(NamedTuple):
    """What a fault needs."""

    driver: Driver
    another: Callable[[], Driver]
    machines: Machines
    note: dict[str, Any]
    store: Path
    notes: Path
    chance: random.Random


def _send(number: signal.Signals) -> Callable[[Round], str]:
    def fault(now: Round) -> str:
        now.driver.process.send_signal(number)
        return ""

    return fault


def _kill(now: Round) -> str:
    os.kill(now.note["pid"], signal.SIGKILL)
    return f"process {now.note['pid']}"


def _lose(whole: bool) -> Callable[[Round], str]:
    def fault(now: Round) -> str:
        now.machines.lose(now.note["node"], whole=whole)
        return ""

    return fault


def _start_another(now: Round) -> str:
    code, output = now.another().end()
    assert code == 2, output
    assert "is being run" in output, output
    return "the second was refused"


def _refuse(name: str, shortest: float, longest: float) -> Callable[[Round], str]:
    """Let the store fail for some seconds (``made_slow_jobs.py``)."""

    def fault(now: Round) -> str:
        seconds = now.chance.uniform(shortest, longest)
        (now.notes / name).touch()
        time.sleep(seconds)
        (now.notes / name).unlink()
        return f"for {seconds:.0f} s"

    return fault


def _damage(change: Callable[[bytearray], object]) -> Callable[[Round], str]:
    """Change a file of an encoder or endpoint that is done."""

    def fault(now: Round) -> str:
        done = sorted(path.parent for path in now.store.glob("*/*/DONE.json"))
        folder = now.chance.choice([path for path in done if path.parent.name in ("endpoints", "encoders")])
        data = bytearray((folder / "model.safetensors").read_bytes())
        change(data)
        # Not in place: whoever has the file open keeps what it was.
        (folder / "changed.tmp").write_bytes(data)
        (folder / "changed.tmp").replace(folder / "model.safetensors")
        return f"of {folder.name}"

    return fault


def _flip(data: bytearray) -> None:
    data[len(data) // 2] ^= 1


def _cut(data: bytearray) -> None:
    del data[-7:]


FAULTS: dict[str, Callable[[Round], str]] = {
    "process killed": _kill,
    "raylet killed": _lose(whole=False),
    "node killed": _lose(whole=True),
    "driver killed": _send(signal.SIGKILL),
    "SIGINT": _send(signal.SIGINT),
    "SIGTERM": _send(signal.SIGTERM),
    "second driver": _start_another,
    "disk full": _refuse("full", 2.0, 10.0),
    "store stalled": _refuse("stalled", 10.0, 60.0),
    "file flipped": _damage(_flip),
    "file cut": _damage(_cut),
}
CASES = [
    *[(name, kind) for name in ("process killed", "node killed", "driver killed") for kind in STEPS],
    *[(name, kind) for name in ("SIGINT", "disk full", "store stalled") for kind in ("pretrain", "server")],
    *[(name, "finetune") for name in ("SIGTERM", "second driver", "file flipped", "file cut")],
    ("raylet killed", "server"),
]


def play(
    name: str, kind: str, chance: random.Random, machines: Machines, tiny: Tiny, folder: Path, notes: Path
) -> str:
    """Play a round; returns what happened. AssertionError if the results are not the undisturbed ones."""
    file = write_sweep(folder / "one.yaml", ONE_CELL, folder / "store")

    def another() -> Driver:
        return Driver(file, machines.address, notes)

    driver = another()
    number, pause = chance.randint(1, STEPS[kind]), chance.uniform(0.0, 0.5)
    note = driver.wait_for(kind, number)
    time.sleep(pause)
    try:
        more = FAULTS[name](Round(driver, another, machines, note, folder / "store", notes, chance))
    except ProcessLookupError:
        more = "it had ended"
    codes = [driver.end()[0]]
    output = ""
    while codes[-1] != 0 and len(codes) < MOST_RUNS:
        code, output = another().end()
        codes.append(code)
    assert codes[-1] == 0, output
    exact = [each["exact"] for each in check_results(tiny, folder / "store")]
    assert all(exact)
    moment = f"after step {number} of a {kind} and {pause:.2f} s"
    return f"{moment}\t{more or '-'}\texit codes {codes}, gone on from a checkpoint: {len(exact)}"


def main() -> int:
    """Run the command; returns 1 if a round ended otherwise than it should."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("chaos.tsv"))
    options = parser.parse_args()
    options.log.touch()
    played = {line.split("\t")[1] for line in options.log.read_text().splitlines()}
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / "notes").mkdir()
        os.environ.update(environment(root / "notes"))
        tiny = make_tiny(root / "undisturbed")
        tiny.run([tiny.encoder(), *tiny.cell().endpoints.values(), tiny.cell()])
        machines = Machines()
        try:
            for number in range(options.rounds):
                if f"{options.seed}/{number}" not in played:
                    _play_and_log(number, options.seed, options.log, machines, tiny, root)
        finally:
            machines.cluster.shutdown()
    wrong = sum("\tWRONG" in line for line in options.log.read_text().splitlines())
    print(f"{wrong} rounds ended otherwise than undisturbed", flush=True)
    return min(wrong, 1)


def _play_and_log(number: int, seed: int, log: Path, machines: Machines, tiny: Tiny, root: Path) -> None:
    order = random.Random(seed).sample(CASES, len(CASES))
    name, kind = order[number % len(order)]
    folder = root / str(number)
    folder.mkdir()
    begin = time.monotonic()
    try:
        found = play(name, kind, random.Random(f"{seed}/{number}"), machines, tiny, folder, root / "notes")
        shutil.rmtree(folder)
    except AssertionError as error:
        found = f"WRONG\t{kind}\t{' | '.join(str(error).splitlines()[-30:])}"
    line = f"{time.strftime('%H:%M:%S')}\t{seed}/{number}\t{name}\t{found}\t{time.monotonic() - begin:.0f} s"
    with log.open("a") as file:
        print(line, file=file)
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
