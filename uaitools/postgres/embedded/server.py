"""The server's process: found, started and stopped."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from uaitools.postgres.embedded.identity import Identity
from uaitools.postgres.embedded.install import Install, can_execute
from uaitools.postgres.errors import ClusterError

PORT: Final = 5432  # names the socket in its directory
LONGEST: Final = 107  # bytes of a socket's path, sun_path of Linux less its end
ENVIRONMENT: Final = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
HERE: Final = "/proc/self/cwd"  # a directory that its user cannot name, but is in
_PREFIX: Final = "uaitools-pg-"
EVERY: Final = 0.005  # seconds between two looks at what does not tell


@dataclass(frozen=True, slots=True)
class Server:
    """A server, as its postmaster.pid tells: where its socket is, and whether it takes queries."""

    sockets: Path
    ready: bool

    @property
    def socket(self) -> Path:
        """The socket's path."""
        return self.sockets / f".s.PGSQL.{PORT}"

    def pid(self) -> int:
        """The process behind the socket, as the kernel knows it. Raises OSError without one."""
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(self.socket))
            told = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid = int(struct.unpack("3i", told)[0])
        if not pid:  # to a signal that would be ourselves
            raise ProcessLookupError("the server runs in another container")
        return pid

    def answers(self) -> bool:
        """Whether somebody listens, and somewhere where we can see him."""
        try:
            self.pid()
        except OSError:
            return False
        return True


def told_by(data: Path) -> Server | None:
    """What postmaster.pid says, of a server that may have ended since."""
    try:
        lines = (data / "postmaster.pid").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 5 or not lines[4]:
        return None  # it has just begun
    return Server(Path(lines[4]), ready=len(lines) > 7 and lines[7].strip() == "ready")


def private_directory(identity: Identity, *, executable: bool = False) -> Path:
    """A new directory for the server's socket, short and the server's alone.

    executable: programs will be run from there, too.
    """
    # Not in XDG_RUNTIME_DIR, which is removed when its user logs out.
    first = tempfile.gettempdir() if identity.own else "/run"
    for name in (first, "/tmp", "/var/tmp"):  # noqa: S108 - mkdtemp
        above = Path(name)
        example = above / f"{_PREFIX}12345678" / f".s.PGSQL.{PORT}"
        if not above.is_absolute() or len(os.fsencode(example)) > LONGEST:
            continue
        with suppress(OSError):
            if identity.reaches(above / "_") and not (executable and not can_execute(above)):
                made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above))
                identity.give(made)
                return made
    raise ClusterError("there is no directory for the socket: make /tmp writable")


def emptied(folder: Path, identity: Identity) -> bool:
    """Clear the socket's directory of a server that has ended; whether it can be used again."""
    if not folder.name.startswith(_PREFIX):
        return False
    try:
        if not folder.exists():  # tidied away
            folder.mkdir(mode=0o700)
            identity.give(folder)
        found = folder.lstat()
        if found.st_uid != identity.uid or found.st_mode & 0o77 or not stat.S_ISDIR(found.st_mode):
            return False
        for left in folder.glob(".s.PGSQL.*"):
            left.unlink()
    except OSError:
        return False
    return True


def remove(folder: Path) -> None:
    """Remove the socket's directory."""
    if folder.name.startswith(_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def place_of(data: Path, identity: Identity) -> str:
    """How the server, with `data` as its working directory, is told of it."""
    return str(data) if identity.reaches(data / "_") else HERE


def launch(
    install: Install,
    data: Path,
    identity: Identity,
    settings: Mapping[str, str],
    *,
    log: Path,
    lock: int,
) -> None:
    """Start a server that outlives this process, and that keeps the lock for as long as it lives.

    The shell lets go of it at once, so that it is nobody's child who would have to wait for it.
    """
    options = [f"--{name}={value}" for name, value in settings.items()]
    command = [str(install.program("postgres")), "-D", place_of(data, identity), *options]
    with log.open("ab") as output:
        subprocess.run(  # noqa: S603 - ours
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            cwd=data,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[lock],
            start_new_session=True,  # Ctrl-C is for us; we tell the server
            check=True,
            **identity.options(),
        )


def wait_until(condition: Callable[[], bool], patience: float) -> bool:
    """Whether it came true within `patience` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(EVERY)
    return True


def stop(server: Server, has_ended: Callable[[], bool], patience: float) -> None:
    """Have a server end its sessions, write a checkpoint and stop. Raises ClusterError."""
    for how, seconds in ((signal.SIGINT, patience), (signal.SIGQUIT, 5.0)):
        with suppress(OSError):  # it has ended, or begins to
            os.kill(server.pid(), how)
        if wait_until(has_ended, seconds):
            return
    raise ClusterError("the embedded PostgreSQL does not stop")
