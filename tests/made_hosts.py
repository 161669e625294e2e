"""Hosts that are reached by SSH, as namespaces of this machine: own network, processes, /tmp and home.

Nothing of this machine's network is touched, and nothing has a name outside: a host is its first process,
which ends with the one that made it, and takes with it the network and all that was started there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Self

import psutil
from made_faults import end_tree

USER = "xltray"
HOME = Path("/mnt/home")
SHARED = Path("/mnt/shared")
"""Where each host has its user's home, and all of them the same folder."""
PROGRAMS = {"ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux", "rsync": "rsync"}
PROGRAMS |= {"sshd": "openssh-server", "ssh": "openssh-client", "ssh-keygen": "openssh-client"}
"""What hosts need, and the Debian packages that it is in."""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Of their own: network, mounts, name, inter-process communication, processes.
NAMESPACES = ("unshare", "-n", "-m", "-u", "-i", "-p", "--fork", "--kill-child", "--mount-proc")
PATIENCE = 30.0

# Python and the files of the test may lie in a folder that is covered.
FIRST_PROCESS = """
set -e
name=$1 files=$2; shift 2
hostname "$name"
mount -t tmpfs shm /dev/shm
number=0
for kept in "$files" "$@"; do
    number=$((number + 1))
    mkdir -p /dev/shm/kept/$number
    mount --rbind "$kept" /dev/shm/kept/$number
done
for folder in /tmp /mnt /run; do mount -t tmpfs -o mode=1777 "$name" $folder; done
number=0
for kept in "$files" "$@"; do
    number=$((number + 1))
    if ! test -e "$kept"; then mkdir -p "$kept"; mount --rbind /dev/shm/kept/$number "$kept"; fi
    umount -l /dev/shm/kept/$number
done
find /dev/shm/kept -depth -type d -delete
mkdir /mnt/home /mnt/shared /run/sshd
mount --bind "$files/$name" /mnt/home
mount --bind "$files/shared" /mnt/shared
mount --bind "$files/passwd" /etc/passwd
ip link set lo up
echo ready
read -r address
ip address add "$address" dev net0
ip link set net0 up
$(command -v sshd) -D -e -f "$files/sshd_config" 2>> "$files/$name.log" &
echo serving
read -r end || true
"""


def why_not() -> str:
    """Why there can be no hosts here; empty if there can."""
    missing = sorted({package for program, package in PROGRAMS.items() if not _which(program)})
    if missing:
        return f"not installed: {', '.join(missing)}"
    probe = "ip link add name a type veth peer name b; ip link add name c type bridge; mount -t tmpfs d /mnt"
    done = subprocess.run([*NAMESPACES, "sh", "-ec", probe], capture_output=True, text=True, check=False)
    return f"no namespaces: {done.stderr.strip()}" if done.returncode else ""


def _which(program: str) -> str | None:
    return shutil.which(program, path=SYSTEM_PATH)


class Host:
    """A machine with an sshd; its folder ``name`` of the files is the home of its user, an administrator."""

    def __init__(self, files: Path, name: str, address: str) -> None:
        """Start it, with no connection yet."""
        self.name, self.address = name, address
        self.home = files / name
        self.home.mkdir()
        kept = [str(files), sys.prefix, sys.base_prefix]
        command = [*NAMESPACES, "bash", "-c", FIRST_PROCESS, "bash", name, *kept]
        with (files / f"{name}.log").open("w") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={"PATH": SYSTEM_PATH},
            )
        self._await("ready")
        (self.first,) = psutil.Process(self.process.pid).children()

    def serve(self) -> None:
        """Let sshd listen; ``net0`` is there by now."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{self.address}/24\n")
        self.process.stdin.flush()
        self._await("serving")

    def _await(self, word: str) -> None:
        assert self.process.stdout is not None
        found = self.process.stdout.readline().strip()
        if found != word:
            self.end()
            log = (self.home.parent / f"{self.name}.log").read_text()
            raise AssertionError(f"host {self.name}: found {found!r}, expected {word!r}\n{log}")

    def command(self, line: str) -> list[str]:
        """Return the command that runs a line of bash in the user's home, with Python on the path."""
        enter = ["nsenter", f"--target={self.first.pid}", "--mount", "--uts", "--ipc", "--net", "--pid"]
        # Nothing of this process's environment: a user's machine would not have it.
        path = f"{Path(sys.executable).parent}:{SYSTEM_PATH}"
        clean = ["env", "-i", f"HOME={HOME}", f"USER={USER}", f"PATH={path}", "LANG=C.UTF-8", "TERM=dumb"]
        return [*enter, *clean, "bash", "-c", f"cd && {line}"]

    def run(self, line: str, *, code: int = 0, timeout: float = 300) -> str:
        """Run a line of bash to its end, which is to be with that exit code; returns what it printed."""
        done = subprocess.run(
            self.command(line),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == code, f"{self.name}: {line}\n{done.stdout}"
        return done.stdout

    @contextmanager
    def meanwhile(self, line: str) -> Iterator[None]:
        """Run a line of bash until the context ends, in which it must not end."""
        with TemporaryFile("w+") as log:
            process = subprocess.Popen(
                self.command(line), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                yield
                log.seek(0)
                assert process.poll() is None, log.read()
            finally:
                end_tree(process)

    def processes(self, name: str | None = None) -> list[psutil.Process]:
        """Return the processes that run there, all but the first or those of a name."""
        found = []
        for process in self.first.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_ZOMBIE and name in (None, process.name()):
                    found.append(process)
        return found

    def end(self) -> None:
        """Take it down, with all that runs there."""
        self.process.kill()
        self.process.communicate()


def ssh(host: Host) -> str:
    """Return how a command line starts that is to run on a host."""
    return f"ssh -i ~/.ssh/xltray_cluster -o StrictHostKeyChecking=no {USER}@{host.address}"


class Hosts:
    """Hosts on one switch, all of which let the key of the first one in: use as a context."""

    def __init__(self, files: Path, addresses: dict[str, str]) -> None:
        """Say their names and addresses, of one /24; files are kept in the folder (a new one)."""
        self._files, self._addresses = files, addresses
        self._hosts: list[Host] = []

    def __enter__(self) -> Self:
        (self._files / "shared").mkdir(parents=True)
        _write_sshd(self._files)
        try:
            for name, address in self._addresses.items():
                self._hosts.append(Host(self._files, name, address))
            self._connect()
            for host in self._hosts:
                host.serve()
            self._let_in()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self._hosts:
            host.end()

    def __getitem__(self, name: str) -> Host:
        return next(host for host in self._hosts if host.name == name)

    @property
    def shared(self) -> Path:
        """The folder that hosts have at ``SHARED``, where it is on this machine."""
        return self._files / "shared"

    def _connect(self) -> None:
        """Give each a ``net0``: the first one's is the switch."""
        first, *others = self._hosts
        _in_network(first, "ip link add net0 type bridge")
        for number, other in enumerate(others):
            port = f"port{number}"
            _in_network(first, f"ip link add {port} type veth peer name net0 netns {other.first.pid}")
            _in_network(first, f"ip link set {port} master net0 up")

    def _let_in(self) -> None:
        first, *others = self._hosts
        key = (self._files / "user_key.pub").read_text()
        for host in self._hosts:
            (host.home / ".ssh").mkdir(mode=0o700)
        for host in others:
            (host.home / ".ssh/authorized_keys").write_text(key)
        shutil.copy(self._files / "user_key", first.home / ".ssh/xltray_cluster")
        for host in others:
            deadline = time.monotonic() + PATIENCE
            while not (found := first.run(f"{ssh(host)} hostname || true")).endswith(f"{host.name}\n"):
                assert time.monotonic() < deadline, f"no way into {host.name}: {found}"
                time.sleep(0.2)


def _in_network(host: Host, command: str) -> None:
    subprocess.run(["nsenter", f"--target={host.first.pid}", "--net", *command.split()], check=True)


def _write_sshd(files: Path) -> None:
    for key in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(files / key)], check=True)
    (files / "sshd_config").write_text(
        f"HostKey {files / 'host_key'}\nPidFile none\nUsePAM no\nPermitRootLogin prohibit-password\n"
        "PasswordAuthentication no\n"
    )
    others = Path("/etc/passwd").read_text().splitlines()
    # Only an administrator sees a Python that may lie in an administrator's home.
    (files / "passwd").write_text("\n".join([f"{USER}:x:0:0::{HOME}:/bin/bash", *others, ""]))
