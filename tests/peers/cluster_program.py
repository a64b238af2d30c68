"""A program that uses an embedded cluster, so that tests can kill it or run it as another user.

    python -m tests.peers.cluster_program DIRECTORY [UID]

Prints a line of JSON when it has entered the cluster, leaves it when its input ends, and prints
whether it was the last. With a UID it becomes that user, after all that it needs was imported: the
environment it runs in may be one that this user cannot read.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uaitools.postgres.embedded.cluster import Cluster
from uaitools.postgres.embedded.install import from_wheel
from uaitools.postgres.errors import ClusterError

SYSTEM_PYTHON = "/usr/bin/python3"


class ClusterProgram:
    """One such program."""

    def __init__(self, directory: Path, uid: int | None = None) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.peers.cluster_program", str(directory)),
                *([] if uid is None else [str(uid)]),
            ],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def entered(self) -> dict[str, Any]:
        """What it says of its server, or its error."""
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said

    def leave(self) -> bool:
        """Have it leave: whether it was the last."""
        said, _ = self._process.communicate()
        return bool(json.loads(said)["last"])

    def interrupt(self) -> None:
        """Press Ctrl-C: every process of its group hears of it."""
        os.killpg(self._process.pid, signal.SIGINT)
        self._process.communicate()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def cluster_program(directory: Path, uid: int | None = None) -> Iterator[ClusterProgram]:
    program = ClusterProgram(directory, uid)
    try:
        yield program
    finally:
        program.kill()


def _main(directory: Path, uid: int | None) -> None:
    if uid is not None:
        from_wheel()  # imports what may be out of reach from here on
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        if not os.access(sys.executable, os.X_OK):
            sys.executable = SYSTEM_PYTHON
    cluster = Cluster(directory)
    try:
        server = cluster.enter()
    except ClusterError as error:
        _say(error=str(error))
        return
    _say(sockets=str(server.sockets), pid=server.pid())
    try:
        sys.stdin.read()
    except KeyboardInterrupt:
        return
    _say(last=cluster.leave())


def _say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)  # noqa: T201 - read by the test


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
