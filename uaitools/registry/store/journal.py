"""A file of events: appended to, and begun anew with a snapshot when it has grown.

    {"format": 1, ...the snapshot}
    {"at": 1700000000.25, "kind": "beat", ...}
    ...

One line each, written whole with one call. A process that is killed loses nothing that was
written; of a line that a power failure has torn, nothing is believed. `sync` is for that.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from uaitools.log import get_logger
from uaitools.registry.store.port import StoreError

FORMAT: Final = 2
GROWTH: Final = 4  # times its snapshot that the file may become, before it begins anew
LEAST: Final = 1 << 20  # bytes up to which it never does
_log = get_logger(__name__)


class Journal:
    """The file at `path`; only one process at a time may hold it.

    snapshot: asked for the document to begin with. earlier: there has been one in this directory,
    whatever became of its file. Raises StoreError when it cannot be had.
    """

    def __init__(self, path: Path, snapshot: Callable[[], Mapping[str, Any]]) -> None:
        self.path = path
        self._snapshot = snapshot
        self._file = -1
        self._size = 0
        self._base = 0  # bytes of the snapshot
        self._unsynced = False
        self._whole = 0  # bytes of it that were read, without what is torn
        lock = path.with_suffix(".lock")
        self.earlier = lock.exists()  # a registry has been here before
        self._lock = _locked(lock)

    def __repr__(self) -> str:
        return f"<Journal {self.path} bytes={self._size}>"

    def read(self) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
        """The snapshot and the events after it; None when there is no file yet."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from error
        lines = text.split(b"\n")
        documents = []
        for number, line in enumerate(lines[:-1], 1):
            try:
                documents.append(orjson.loads(line))
            except orjson.JSONDecodeError as error:
                if number == 1 or any(lines[number:-1]):
                    raise StoreError(
                        f"{self.path} is damaged at line {number}; move it away to begin anew"
                    ) from error
                _log.warning("a torn line ends the journal", line=number)
        if lines[-1]:
            _log.warning("a torn line ends the journal", line=len(lines))
        if not documents or not all(isinstance(one, dict) for one in documents):
            raise StoreError(f"{self.path} is not a journal; move it away to begin anew")
        if documents[0].get("format") != FORMAT:
            raise StoreError(f"{self.path} is not a journal of this version; move it away")
        self._whole = sum(len(line) + 1 for line in lines[: len(documents)])
        return documents[0], documents[1:]

    def go_on(self) -> None:
        """Append to the file that was read, instead of beginning a new one. Raises OSError."""
        file = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(file, self._whole)
            os.lseek(file, 0, os.SEEK_END)
        except OSError:
            os.close(file)
            raise
        self._file, self._size, self._base = file, self._whole, self._whole

    def begin(self) -> None:
        """Write a new file from a snapshot, and take the place of the old one with it.

        Raises OSError, and then the old one goes on.
        """
        text = orjson.dumps({"format": FORMAT, **self._snapshot()}) + b"\n"
        draft = self.path.with_suffix(".new")
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write(file, text)
            os.fsync(file)
            draft.replace(self.path)
        except OSError:
            os.close(file)
            raise
        if self._file >= 0:
            os.close(self._file)
        self._file = file
        self._size = self._base = len(text)

    def append(self, document: Mapping[str, Any]) -> None:
        """Write an event down. Raises OSError, and then nothing is written."""
        line = orjson.dumps(document) + b"\n"
        try:
            _write(self._file, line)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
                os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size += len(line)
        self._unsynced = True

    @property
    def grown(self) -> bool:
        """It is time to begin anew."""
        return self._size > max(LEAST, GROWTH * self._base)

    @property
    def lost(self) -> bool:
        """The file is no longer where it was: what is written goes nowhere."""
        try:
            there = self.path.stat()
        except OSError:
            return True
        return there.st_ino != os.fstat(self._file).st_ino

    def sync(self) -> None:
        """Have what was written reach the disk; for a thread. Raises OSError."""
        if self._unsynced:
            self._unsynced = False
            os.fdatasync(self._file)

    def close(self) -> None:
        """Let the next one have it."""
        if self._file >= 0:
            with suppress(OSError):
                os.fsync(self._file)
            os.close(self._file)
            self._file = -1
        os.close(self._lock)


def _locked(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}; set --data-dir") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreError(
            f"another registry uses {path.parent}; give this one another --data-dir, "
            "or both the same redis_url"
        ) from error
    return lock


def _write(file: int, text: bytes) -> None:
    view = memoryview(text)
    while view:
        view = view[os.write(file, view) :]
