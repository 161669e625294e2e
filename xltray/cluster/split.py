"""On how many EndpointServers the points of a surface are split.

One a cell is best while there are cells for all devices: each server loads the endpoints and checks the
corners for itself. With fewer cells than devices, the devices that would stand idle are shared among the
cells that are still to be started. A job's resources are fixed when it starts, so this is decided for each
surface when it is handed out.

Where nothing is idle, a surface that is split waits until enough devices are free at once, while smaller
jobs take one after the other. So no more than two are waited for, and only at the end of a sweep on a large
cluster: the last cells then take half as long (``benchmarks/schedule.py`` measures what that is worth).

Scores are the same whatever the number: a point's do not depend on which server scores it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from xltray.cluster.jobgraph import State
from xltray.jobs import FinetuneJob, Job, SurfaceJob
from xltray.spec_runtime import RuntimeSpec

CHUNKS_PER_SERVER = 2
"""At least: with one each, all wait for the slowest, and loading and corners weigh more than points."""
LARGE, AT_THE_END = 8, 2
"""So many devices make a cluster large, and so many servers share each of its last cells. On a few devices
the last cells take little of the whole time, and new servers would have to start for them."""


class Room(NamedTuple):
    """What there is for a surface that is about to start."""

    devices: int
    """In all, held or not."""
    idle: int
    """Of these, those that no job takes that runs or goes first."""
    cells: int
    """Surfaces that are still to be started, this one included."""


def share(room: Room) -> int:
    """Return how many servers the next surface gets at most, and at least 1."""
    servers = room.idle // room.cells
    if room.devices >= max(LARGE, room.cells):
        servers = max(servers, AT_THE_END)
    return max(1, servers)


def most_servers(job: SurfaceJob, points_per_chunk: int) -> int:
    """Return on how many servers a surface is split at most."""
    chunks = -(-len(job.grid) // points_per_chunk) * len(job.scopes)
    return max(1, chunks // CHUNKS_PER_SERVER)


def fixed_servers(runtime: RuntimeSpec) -> int | None:
    """Return the number that the sweep file gives; None if it is decided for each surface."""
    return None if runtime.servers_per_surface == "auto" else runtime.servers_per_surface


class Split:
    """Decides for each surface of a run, in the order in which they are handed out."""

    def __init__(self, runtime: RuntimeSpec, devices: Callable[[], int]) -> None:
        """Go by the sweep file's number if it has one, else by how many ``devices`` there are now."""
        self._fixed = fixed_servers(runtime)
        self._processes = runtime.processes_per_finetune
        self._points_per_chunk = runtime.points_per_chunk
        self._devices = devices
        self._given: dict[str, int] = {}

    def servers(self, id_: str, jobs: Mapping[str, Job], states: Mapping[str, State]) -> int:
        """Return on how many servers a job's points are split; 1 for what is no surface.

        Args:
            id_: the job that is about to start.
            jobs: all jobs of the run.
            states: where they stand.
        """
        job = jobs[id_]
        if not isinstance(job, SurfaceJob):
            return 1
        if self._fixed is not None:
            return self._fixed
        room = self._room(id_, jobs, states)
        if id_ in self._given:
            # Perhaps it lost a machine that is still counted: a job for more than there are waits for ever.
            room = room._replace(idle=0)
        servers = share(room)
        if servers > 1:
            # Not always: to lay out the grid takes a hundredth of a second.
            servers = min(servers, most_servers(job, self._points_per_chunk))
        self._given[id_] = servers
        return servers

    def _room(self, id_: str, jobs: Mapping[str, Job], states: Mapping[str, State]) -> Room:
        taken, cells = 0, 1
        for other, state in states.items():
            if other == id_ or state not in (State.WAITING, State.RUNNING):
                continue
            if not isinstance(jobs[other], SurfaceJob):
                # One that waits goes first when it is ready: surfaces have the shortest paths.
                taken += self._processes if isinstance(jobs[other], FinetuneJob) else 1
            elif state is State.RUNNING:
                taken += self._given.get(other, 1)
            else:
                cells += 1
        devices = self._devices()
        return Room(devices, devices - taken, cells)
