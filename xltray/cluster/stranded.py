"""Jobs that were given more devices than there are any more.

A job's resources are fixed when it is handed out, and Tune waits for them as long as it takes. If a machine
is lost before a surface that was to be split has started, that is for ever, unless another one comes. So
when nothing else runs, and what waits fits no longer, the run begins again on the machines that are left:
there is nothing to lose, and each surface is split anew.

With no machine left at all there is nothing to begin again on. Tune's requests stand, and with them those
to the autoscaler, so jobs start when a machine joins; meanwhile it is said now and then that they wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ray.tune import Callback, Stopper

from xltray.cluster.capacity import runs_jobs
from xltray.cluster.waiting import WaitingNotes, no_machine

LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 10.0
"""Ray itself has waited long enough before it called the machine lost."""


class Stranded(Callback, Stopper):
    """Asks Tune to stop when all that is left are jobs that fit nowhere; hand it over as both."""

    def __init__(
        self,
        fits: Callable[[Mapping[str, Any]], bool],
        nodes: Callable[[], Iterable[Mapping[str, Any]]],
        device: str,
        say: Callable[[str], None],
    ) -> None:
        """Watch the trials of a run.

        Args:
            fits: tells whether a trial of this configuration has room on the machines at hand.
            nodes: tells which machines those are, as ``ray.nodes()`` does.
            device: what jobs compute on.
            say: is told when jobs wait for a machine.
        """
        self.asked = False
        self._nodes = nodes
        self._device = device
        self._waits = WaitingNotes(say)
        self._fits = fits
        self._looked = float("-inf")
        self._since: float | None = None

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Look now and then; ``asked`` is set once nothing has been able to run for a while."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        live = [trial for trial in trials if trial.status not in ("TERMINATED", "ERROR")]
        stuck = bool(live) and all(
            trial.status == "PENDING" and not self._fits(trial.config) for trial in live
        )
        if not stuck:
            self._since = None
            self._waits.over()
        elif self._since is None:
            self._since = now
        elif now - self._since >= PATIENCE_SECONDS:
            self._judge(now)

    def _judge(self, now: float) -> None:
        if not runs_jobs(self._device, self._nodes()):
            self._waits(no_machine(self._device))
        elif self._waits.under_way:
            # One has joined. What else does may follow in a moment.
            self._since = now
            self._waits.over()
        else:
            self.asked = True

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no single trial."""
        return False

    def stop_all(self) -> bool:
        """Whether the run is to stop, and begin again."""
        return self.asked

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles both into its experiment folder, which is thrown away.
        return {}
