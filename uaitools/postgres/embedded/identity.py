"""As whom the server runs: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from uaitools.postgres.errors import ClusterError

_NOBODY: Final = 65534  # where no user has that name


@dataclass(frozen=True, slots=True)
class Identity:
    """A user of the system, who may have no name."""

    uid: int
    gid: int

    @property
    def own(self) -> bool:
        """Whether this process runs as that user."""
        return self.uid == os.geteuid()

    @property
    def named(self) -> bool:
        """Whether the system has a name for the user. Containers run with any number."""
        try:
            pwd.getpwuid(self.uid)
        except KeyError:
            return False
        return True

    def options(self) -> dict[str, Any]:
        """Arguments of subprocess that start a program as that user."""
        if self.own:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def may(self, found: os.stat_result, bits: int) -> bool:
        """Whether the mode of a file gives the user `bits`: 4 to read it, 1 to execute it."""
        if self.uid == found.st_uid:
            return found.st_mode >> 6 & bits == bits
        if self.gid == found.st_gid:
            return found.st_mode >> 3 & bits == bits
        return found.st_mode & bits == bits

    def reaches(self, path: Path) -> bool:
        """Whether the user may enter every directory on the way to an absolute path."""
        if self.own:
            return all(os.access(above, os.X_OK) for above in path.parents)
        return all(self.may(above.stat(), 1) for above in path.parents)

    def give(self, path: Path) -> None:
        """Make the user the owner of a file or directory that we have made."""
        if not self.own:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def nobody() -> Identity:
    """The user who owns nothing."""
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Identity(_NOBODY, _NOBODY)
    return Identity(entry.pw_uid, entry.pw_gid)


def identity_for(data: Path, above: Path) -> Identity:
    """Who runs the server of a data directory: we, or if we are root its owner, or nobody.

    data: where the cluster is, or will be. above: the directory that we were given, whose owner
    decides while there is no cluster. Raises ClusterError when that has become root's.
    """
    if os.geteuid() != 0:
        return Identity(os.geteuid(), os.getegid())
    if data.exists():
        found = data.stat()
        if found.st_uid == 0:
            raise ClusterError(f"{data} belongs to root, as whom PostgreSQL does not run; chown it")
        return Identity(found.st_uid, found.st_gid)
    found = above.stat()
    return Identity(found.st_uid, found.st_gid) if found.st_uid else nobody()
