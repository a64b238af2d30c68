"""A program, run under another number of its user: `renamed.py UID PROGRAM ARGUMENT...`.

In a user namespace of its own, where the user who has no entry in /etc/passwd is one who has. On
disk everything stays the user's. Imports nothing of ours: it is run by its path.
"""

import ctypes
import os
import sys
from pathlib import Path

REFUSED = 77  # the status when the kernel allows no such namespace
_CLONE_NEWUSER = 0x1000_0000


def rename(number: int) -> None:
    """Become `number` in a new namespace. Raises OSError."""
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{number} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{number} {gid} 1")


if __name__ == "__main__":
    try:
        rename(int(sys.argv[1]))
    except OSError as error:
        print(f"no user namespace: {error.strerror}")  # noqa: T201 - to who runs it
        sys.exit(REFUSED)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell
