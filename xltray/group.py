"""The processes that fine-tune one model together, all on one machine, a device each.

How they meet and part is here and nowhere else: torch.distributed, gloo between CPUs and NCCL between GPUs,
and the environment from which accelerate learns that there are several. What they compute together is in
``training.py``; who starts them is ``xltray.cluster``'s business, or a test's.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import TCPStore

from xltray.context import Member

HOST = "127.0.0.1"
WAIT = timedelta(minutes=30)
"""How long processes wait for each other, at the most: for the first one's validation, and for a store that
is out of reach while it writes a checkpoint. That one is lost is noticed before, where they are started."""
LOOPBACK = {"linux": "lo", "darwin": "lo0"}


def lead(size: int) -> Member:
    """Return the place of the first of so many processes, which others can reach from now on."""
    # By itself it would listen on all networks of the machine, and obey whoever connects.
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        store = TCPStore(
            HOST,
            port,
            size,
            is_master=True,
            timeout=WAIT,
            wait_for_workers=False,
            master_listen_fd=listener.detach(),
        )
    return Member(0, size, store.port, store)


@contextmanager
def joined(member: Member, device: str) -> Iterator[None]:
    """Be one of a group of processes that train on such a device; nothing happens if there is only one."""
    if member.size == 1:
        yield
        return
    store = member.store or TCPStore(HOST, member.port, member.size, is_master=False, timeout=WAIT)
    with _environment(member):
        backend = "gloo" if device == "cpu" else "nccl"
        dist.init_process_group(backend, store=store, rank=member.rank, world_size=member.size, timeout=WAIT)
        try:
            yield
        finally:
            # On an error, too: it is what tells the others.
            dist.destroy_process_group()


@contextmanager
def _environment(member: Member) -> Iterator[None]:
    """Tell accelerate, and have gloo stay on this machine, whose name may not be known to any resolver."""
    # Each process sees one GPU, its own, so all of them are their machine's first as far as devices go.
    told = {
        "RANK": str(member.rank),
        "WORLD_SIZE": str(member.size),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": str(member.size),
        "MASTER_ADDR": HOST,
        "MASTER_PORT": str(member.port),
        # Else it would set the number of threads by that of cores.
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    if sys.platform in LOOPBACK:
        told["GLOO_SOCKET_IFNAME"] = LOOPBACK[sys.platform]
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
