"""The file of API keys: read when it changes, rewritten as a whole by one process at a time."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from uaitools import log
from uaitools.auth.keys import ApiKeys, KeyRecord, parse, render

_SIZE: Final = 128 << 20  # bytes of a file
_MODE: Final = 0o600

_Signature = tuple[int, int, int, int]  # modification in ns, size, inode, change of status in ns

T = TypeVar("T")
_log = log.get_logger(__name__)


class KeyFileError(Exception):
    """A key file cannot be used. Its text names the file and says why."""


def read(path: Path) -> tuple[KeyRecord, ...]:
    """The records of a file. Raises KeyFileError."""
    return _read(path)[0]


def change(path: Path, edit: Callable[[tuple[KeyRecord, ...]], tuple[Iterable[KeyRecord], T]]) -> T:
    """Rewrite a file: `edit` gets its records and returns the new ones and a result.

    Others that change it wait meanwhile; who reads sees the old file or the new one, never half of
    it, also after a crash. A file that does not exist has no records. Raises KeyFileError, and
    what `edit` raises, the file then being as it was.
    """
    path = path.resolve()  # a rename would replace a link, not what it points to
    try:
        # The file itself cannot be the lock, as each change replaces it by another one; and a file
        # beside it would belong to whoever came first.
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be locked: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        records, result = edit(_read(path)[0] if path.exists() else ())
        _replace(path, render(records))
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        os.close(descriptor)
    return result


def _replace(path: Path, data: bytes) -> None:
    parse(data)  # what could not be read again is not written
    temporary = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        temporary.unlink()  # left by a crash; the lock is ours
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            with suppress(FileNotFoundError, PermissionError):
                owner = path.stat()  # what root adds is still to be read by the service's user
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class KeyFile:
    """The keys of a file as they are now, or were when it was last right."""

    __slots__ = ("_path", "_seen", "keys")

    def __init__(self, path: Path) -> None:
        """Read it. Raises KeyFileError."""
        self._path = path
        self._seen: _Signature | None
        records, self._seen = _read(path)
        self.keys = ApiKeys(records)

    def __repr__(self) -> str:
        return f"<KeyFile {self._path} {self.keys!r}>"

    def poll(self) -> bool:
        """Read the file again if it has changed; whether other keys are in force now.

        One that is wrong or gone is logged, once, and the keys that were right stay.
        """
        seen = _signature(self._path)
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            records, self._seen = _read(self._path)
        except KeyFileError as error:
            _log.error("key file is wrong, the last good keys stay", reason=str(error))
            return False
        self.keys = ApiKeys(records)
        _log.info("key file read again", file=str(self._path), keys=len(records))
        return True


def _signature(path: Path) -> _Signature | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return _signature_of(status)


def _signature_of(status: os.stat_result) -> _Signature:
    # The last one also changes with mode and owner, which may have been what was wrong.
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns


def _read(path: Path) -> tuple[tuple[KeyRecord, ...], _Signature]:
    """The records, and the state of the very file they were in."""
    try:
        # A pipe in its place would stop the process until somebody writes.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileError(f"{path}: not a file")
            if status.st_mode & 0o002:
                raise KeyFileError(f"{path}: everyone can write it; chmod 600 {path}")
            data = file.read(_SIZE + 1)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise KeyFileError(f"{path}: {reason}") from error
    if len(data) > _SIZE:
        raise KeyFileError(f"{path}: over {_SIZE} bytes")
    try:
        return parse(data), _signature_of(status)
    except ValueError as error:
        raise KeyFileError(
            "\n".join(f"{path}: {line}" for line in str(error).splitlines())
        ) from None
