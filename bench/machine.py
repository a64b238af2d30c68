"""The machine under the benchmarks: cores, processes pinned to them, and what /proc says of both.

Linux only: pinning is `taskset`, CPU and memory come from /proc.
"""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ROOT: Final = Path(__file__).resolve().parent.parent
_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")  # seconds
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")  # bytes
_START_SECONDS: Final = 15.0
_STOP_SECONDS: Final = 5.0
_CALM: Final = 0.5  # load average of the last minute
# Servers live in sbin, which is not on an ordinary user's path.
_PATH: Final = os.pathsep.join(
    (os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin")
)


class Missing(Exception):
    """A program is not installed; the message says what to do about it."""


class Broken(Exception):
    """A program was started and does not work; the message ends with its output."""


def program(name: str, hint: str = "") -> str:
    """The path of an installed program. Raises Missing."""
    path = shutil.which(name, path=_PATH)
    if path is None:
        raise Missing(f"{name} is not installed{hint and f'; {hint}'}")
    return path


@cache  # as it was before `stay_on_load_core`
def cores() -> tuple[int, int]:
    """The core of the proxies and the core of load and upstreams; the same if there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[1 if len(usable) > 1 else 0]


def stay_on_load_core() -> None:
    """Pin this process to the core of the load, and let SIGTERM end what it has started."""
    os.sched_setaffinity(0, {cores()[1]})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def raise_file_limit() -> int:
    """Make the soft limit of open files the hard one, for us and our children; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def warnings() -> Iterator[str]:
    """What makes figures from this machine, now, doubtful."""
    if cores()[0] == cores()[1]:
        yield "there is one core only: proxies and load disturb each other"
    load = os.getloadavg()[0]
    if load > _CALM:
        yield f"the machine is busy (load {load:.1f}): trust no figure but ratios, and them little"


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def describe() -> dict[str, object]:
    """The machine and the moment, for a results file."""
    cpu = "unknown"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if "model name" in line), cpu)
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit.stdout.strip(),
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "warnings": list(warnings()),
        "python": platform.python_version(),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds of a process and its children: all, and the parts by the kernel's sampling.

    total is the scheduler's own count in nanoseconds (schedstat), where the kernel has it; user
    and system are that same time in ticks of 10 ms (stat), too coarse for short runs. What children
    used that have ended is in ticks in all three.
    """

    total: float
    user: float
    system: float

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(
            self.total - earlier.total, self.user - earlier.user, self.system - earlier.system
        )

    @property
    def system_share(self) -> float:
        """The kernel's part of it, 0 to 1."""
        return self.system / ((self.user + self.system) or 1.0)


def cpu(pid: int) -> Cpu:
    """What a process and its children have used since they began."""
    total = user = system = 0.0
    for process in _family(pid):
        folder = Path("/proc") / str(process)
        try:
            values = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended just now
            if process == pid:
                raise
            continue
        own_user, own_system = int(values[11]) * _TICK, int(values[12]) * _TICK
        ended_user, ended_system = int(values[13]) * _TICK, int(values[14]) * _TICK
        user += own_user + ended_user
        system += own_system + ended_system
        total += ended_user + ended_system
        try:
            threads = [path.read_text().split() for path in folder.glob("task/*/schedstat")]
            total += sum(int(values[0]) for values in threads) / 1e9
        except OSError:
            total += own_user + own_system
    return Cpu(total, user, system)


def waited(pid: int) -> float:
    """Seconds that a process was ready to run and had no core; 0 where the kernel has no count."""
    with contextlib.suppress(OSError):
        threads = (Path("/proc") / str(pid)).glob("task/*/schedstat")
        return sum(int(path.read_text().split()[1]) for path in threads) / 1e9
    return 0.0


def resident(pid: int) -> int:
    """Resident memory of a process and its living children, in bytes."""
    return sum(
        int((Path("/proc") / str(process) / "statm").read_text().split()[1]) * _PAGE
        for process in _family(pid)
    )


def socket_memory() -> int:
    """What the kernel keeps for all TCP connections of the machine, in bytes; 0 if it hides that.

    A socket whose peer does not read takes megabytes of it, which no process is charged for.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/sockstat").read_text().splitlines():
            if line.startswith("TCP:"):
                return int(line.split()[-1]) * _PAGE
    return 0


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in (Path("/proc") / str(pid)).glob("task/*/children"):
        with contextlib.suppress(OSError):  # it has ended just now
            for child in children.read_text().split():
                yield from _family(int(child))


class Process:
    """A program pinned to a core, from `with` to its end.

    port: it is ready when this answers `path` with 200. folder: its working directory, where its
    output goes to NAME.log.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        core: int,
        folder: Path,
        port: int,
        path: str = "/health",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self._path = path
        self._log = folder / f"{name.replace(' ', '-')}.log"
        with self._log.open("wb") as output:
            self._child = subprocess.Popen(
                [program("taskset"), "-c", str(core), *argv],
                cwd=folder,
                env=dict(os.environ if env is None else env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt from the keyboard is ours to handle
            )

    def __repr__(self) -> str:
        return f"<Process {self.name} pid={self._child.pid} port={self.port}>"

    @property
    def pid(self) -> int:
        """The program's own id: taskset becomes what it starts."""
        return self._child.pid

    def __enter__(self) -> Self:
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def wait_until_ready(self, pause: float = 0.02) -> None:
        """Return once it answers; Broken with its output if it ends or takes too long."""
        deadline = time.monotonic() + _START_SECONDS
        while self._child.poll() is None and time.monotonic() < deadline:
            if answers(self.port, self._path):
                return
            time.sleep(pause)
        tail = self._log.read_text(errors="replace")[-800:]
        raise Broken(f"{self.name} does not answer {self._path} on port {self.port}:\n{tail}")

    def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.kill()
        self._child.wait()


def answers(port: int, path: str) -> bool:
    """Whether a GET of `path` is answered with 200, or sent on to https."""
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status in (200, 308)  # a redirect to https is an answer
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
