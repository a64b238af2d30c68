"""Locked files: who uses a cluster, who starts it, and whether it runs.

A lock of flock's belongs to an open file and to whoever inherits it, and the kernel lets go of it
when the last of those ends, however it ends: there is no number of a process to be mistaken for
another's, and no zombie that looks alive. It holds between containers that share a volume, too.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from uaitools.postgres.embedded.identity import Identity
from uaitools.postgres.errors import ClusterError

_EVERY: Final = 0.005  # seconds
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


def opened(path: Path, identity: Identity) -> int:
    """A descriptor of a lock file, which is made if it is not there."""
    try:
        found = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, _FLAGS)
    if not identity.own:
        os.fchown(found, identity.uid, identity.gid)
    return found


def locks(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file unless somebody else has; whether it is locked now."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_free(path: Path) -> bool:
    """Whether nobody has locked a file, which need not be there."""
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        return True
    try:
        return locks(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def alone(path: Path, identity: Identity, patience: float) -> Iterator[None]:
    """Be the only one in the block. Raises ClusterError after `patience` seconds of waiting."""
    descriptor = opened(path, identity)
    try:
        deadline = time.monotonic() + patience
        while not locks(descriptor):
            if time.monotonic() > deadline:
                raise ClusterError(f"another program has held {path} for {patience:.0f} s")
            time.sleep(_EVERY)
        yield
    finally:
        os.close(descriptor)
