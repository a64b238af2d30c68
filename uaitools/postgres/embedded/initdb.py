"""A new cluster, made by initdb."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from uaitools.postgres.embedded import renamed
from uaitools.postgres.embedded.identity import Identity, nobody
from uaitools.postgres.embedded.install import Install
from uaitools.postgres.embedded.server import ENVIRONMENT, place_of
from uaitools.postgres.errors import ClusterError

_PATIENCE: Final = 120.0  # seconds
# The wheel's PostgreSQL knows no ICU, and with libc's C folds no case but ASCII's. The builtin
# locale is the same on every host; 16 and older do not have it, and need the host's.
_BUILTIN: Final = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
_LIBC: Final = ("--locale=C.UTF-8",)
_OPTIONS: Final = (
    "--encoding=UTF8", "--username=postgres", "--auth=trust", "--no-instructions",
)  # fmt: skip


def create(install: Install, data: Path, identity: Identity) -> None:
    """Make the cluster in `data`, which appears when it is complete. Raises ClusterError."""
    new = data.with_name(f".new-{data.name}")
    shutil.rmtree(new, ignore_errors=True)  # of one who was killed
    new.mkdir(mode=0o700)
    # initdb wants its user to have a name, the server does not care: somebody else makes it.
    maker = identity if identity.named or identity.own else nobody()
    maker.give(new)
    command = [str(install.program("initdb")), "-D", place_of(new, maker), *_OPTIONS]
    command += _BUILTIN if install.major >= 17 else _LIBC
    if not maker.named:
        command = _renamed(command)
    _run(command, new, maker)
    if maker != identity:
        for folder, folders, names in os.walk(new):
            for name in (*folders, *names):
                identity.give(Path(folder, name))
        identity.give(new)
    new.rename(data)


def _renamed(command: Sequence[str]) -> list[str]:
    """The same, run in a user namespace in which we have a name."""
    names = [entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid]
    if not names:
        raise ClusterError(_nameless("/etc/passwd has no user at all"))
    return [sys.executable, "-I", renamed.__file__, str(names[-1]), *command]


def _run(command: Sequence[str], new: Path, identity: Identity) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - ours
            command,
            cwd=new,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
            **identity.options(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"initdb cannot be run: {error}") from error
    if done.returncode == renamed.REFUSED:
        raise ClusterError(_nameless(done.stdout.strip()))
    if done.returncode:
        raise ClusterError(f"initdb failed: {done.stdout.strip()[-2000:]}")


def _nameless(reason: str) -> str:
    return (
        f"user {os.geteuid()} has no entry in /etc/passwd, which initdb asks for ({reason}): "
        "add one, start once as root, which makes the cluster for the owner of the data "
        "directory, or set database_url"
    )
