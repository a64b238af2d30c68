"""The server's log, which is never longer than wanted."""

from __future__ import annotations

import os
from pathlib import Path

from uaitools.postgres.embedded.locks import locks


def bound(log: Path, most: int) -> None:
    """Begin a log of over `most` bytes anew; its last ones stay beside it, as `log.1`.

    Its writers append, wherever the end is by then: nobody has to be told. What they write at that
    very moment may be lost. Raises OSError.
    """
    # The directory may be the server's user's, who has no say in what we write elsewhere.
    descriptor = os.open(log, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        if not locks(descriptor):  # another process does it
            return
        size = os.fstat(descriptor).st_size
        if size <= most:
            return
        file.seek(size - most)
        kept = file.read(most)
        new = log.with_name(".log.1")
        new.unlink(missing_ok=True)
        with new.open("xb") as copy:
            copy.write(kept)
        new.replace(log.with_name("log.1"))
        os.truncate(descriptor, 0)
