"""Faults at random moments of a running sweep, again and again: ``python tests/chaos.py --rounds 20``.

Each round runs a small sweep with nothing but its encoder in the store, lets one fault befall it at a random
moment, starts it again if it ended, and compares all results with an undisturbed run's.
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
from typing import Any

from made_faults import ONE_CELL, Driver, Machines, check_results, environment, write_sweep
from tiny import Tiny, make_tiny

Fault = Callable[[Driver, Machines, dict[str, Any]], None]

FAULTS: dict[str, Fault] = {
    "process": lambda driver, machines, note: os.kill(note["pid"], signal.SIGKILL),
    "raylet": lambda driver, machines, note: machines.lose(note["node"], whole=False),
    "node": lambda driver, machines, note: machines.lose(note["node"], whole=True),
    "driver": lambda driver, machines, note: driver.process.send_signal(signal.SIGKILL),
    "SIGINT": lambda driver, machines, note: driver.process.send_signal(signal.SIGINT),
    "SIGTERM": lambda driver, machines, note: driver.process.send_signal(signal.SIGTERM),
}


def play(chance: random.Random, machines: Machines, tiny: Tiny, folder: Path) -> str:
    """Play a round; returns what happened. AssertionError if the results are not the undisturbed ones."""
    path = tiny.store.encoder_path(tiny.encoder().id)
    shutil.copytree(tiny.root / path, folder / "store" / path)
    file = write_sweep(folder / "one.yaml", ONE_CELL, folder / "store")
    notes = folder.parent / "notes"
    name, kind = chance.choice(list(FAULTS)), chance.choice(["finetune", "server"])
    driver = Driver(file, machines.address, notes)
    number = chance.randint(1, 5)
    note = driver.wait_for(kind, number)
    time.sleep(chance.uniform(0.0, 0.5))
    try:
        FAULTS[name](driver, machines, note)
    except ProcessLookupError:
        name += " (it had ended)"
    codes = [driver.end()[0]]
    while codes[-1] != 0 and len(codes) < 3:
        codes.append(Driver(file, machines.address, notes).end()[0])
    resumed = check_results(tiny, folder / "store")
    return f"{name} at step {number} of a {kind}: exit codes {codes}, {len(resumed)} resumed"


def main() -> int:
    """Run the command; returns how many rounds ended otherwise than they should."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance, wrong = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / "notes").mkdir()
        os.environ.update(environment(root / "notes"))
        tiny = make_tiny(root / "undisturbed")
        tiny.run([tiny.encoder(), *tiny.cell().endpoints.values(), tiny.cell()])
        machines = Machines()
        try:
            for number in range(options.rounds):
                (root / str(number)).mkdir()
                try:
                    print(number, play(chance, machines, tiny, root / str(number)), flush=True)
                except AssertionError as error:
                    wrong += 1
                    print(number, "WRONG:", error, flush=True)
        finally:
            machines.cluster.shutdown()
    print(f"{wrong} of {options.rounds} rounds ended otherwise than undisturbed")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
