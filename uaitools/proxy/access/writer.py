"""Writes the lines of the access log without ever making the event loop wait.

The loop appends lines to a list and hands it over twenty times a second; one thread writes. A pipe
whose reader sleeps, or a disk that is full, stops that thread only: what waits is bounded in
bytes, and what comes beyond is dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import stat
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import Final

from uaitools.log import get_logger

STDOUT: Final = "-"
LINE_LIMIT: Final = 4096  # PIPE_BUF: longer writes of several processes would mix in a pipe
_PIECE: Final = 128  # lines of a write to a file; more at once cost more memory and no less time
_HAND_OVER: Final = 0.05  # seconds that a line waits for others before it is written
_LOOK: Final = 200  # milliseconds between two looks at whether a stalled writer is given up
_COMPLAIN: Final = 60.0  # seconds between two complaints about the same file
_MODE: Final = 0o640  # clients' addresses are nobody else's business

_log = get_logger(__name__)

_Batch = list[bytes] | Callable[[], object] | None


def open_log(file: str) -> int:
    """A descriptor to append to `file`. Raises OSError; a pipe without a reader is ENXIO."""
    if file == STDOUT:
        return 1
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    return os.open(file, flags, _MODE)


class AccessWriter:
    """A thread that appends lines to a file.

    file: its path, or "-". limit: bytes that may wait. written, dropped: lines so far.
    """

    __slots__ = (
        "_abandoned",
        "_complained",
        "_descriptor",
        "_lines",
        "_lost",
        "_pipe",
        "_put",
        "_queue",
        "_refused",
        "_settled",
        "_thread",
        "_torn",
        "file",
        "limit",
        "written",
    )

    def __init__(self, file: str, limit: int) -> None:
        self.file = file
        self.limit = limit
        self._lines: list[bytes] = []  # not handed over yet
        self._queue: SimpleQueue[_Batch] = SimpleQueue()
        self._put = 0  # bytes taken; the loop's
        self._refused = 0  # lines for which there was no room; the loop's
        # The thread's; the loop only reads them.
        self.written = 0
        self._settled = 0  # bytes written or given up
        self._lost = 0  # lines that could not be written
        self._descriptor = -1
        self._pipe = False
        self._torn = False  # the last line in the file is not whole
        self._complained = -_COMPLAIN
        self._abandoned = False
        # A daemon: a reader that never reads must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return (
            f"<AccessWriter {self.file} waiting={self._put - self._settled} "
            f"written={self.written} dropped={self.dropped}>"
        )

    @property
    def dropped(self) -> int:
        """Lines for which there was no room, or that could not be written."""
        return self._refused + self._lost

    # -- the loop's side --------------------------------------------------------------------

    def write(self, line: bytes) -> None:
        """Write a line, ended by its LF and of at most LINE_LIMIT bytes, soon or never."""
        put = self._put + len(line)
        if put - self._settled > self.limit:
            self._refused += 1
            return
        self._put = put
        lines = self._lines
        if not lines:
            asyncio.get_running_loop().call_later(_HAND_OVER, self._hand_over)
        lines.append(line)

    def reopen(self, file: str) -> None:
        """Go on in `file`, opened anew, after the lines so far; for logrotate."""
        self._hand_over()

        def change() -> None:
            self._close()
            self._torn = self._torn and file == self.file
            self.file = file
            self._complained = -_COMPLAIN

        self._queue.put(change)

    async def close(self, patience: float = 1.0) -> None:
        """Write what waits and end the thread; what takes longer than `patience` is dropped."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

        self._hand_over()
        self._queue.put(tell)
        self._queue.put(None)
        try:
            async with asyncio.timeout(patience):
                await ended.wait()
        except TimeoutError:
            self._abandoned = True
            _log.warning("the access log is not read, its last lines are lost", file=self.file)

    def _hand_over(self) -> None:
        lines = self._lines
        if lines:
            self._lines = []
            self._queue.put(lines)

    # -- the thread's side ------------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            if not isinstance(batch, list):
                batch()
                continue
            written = 0
            try:
                for piece, lines in self._pieces(batch):
                    self._append(piece)
                    written += lines
            except OSError as error:
                self._complain(error)
                self._close()  # perhaps it can be opened again
            self.written += written
            self._lost += len(batch) - written
            self._settled += sum(map(len, batch))
        self._close()

    def _pieces(self, batch: list[bytes]) -> list[tuple[bytes, int]]:
        """What is written at once, with its number of lines. Raises OSError: there is no file."""
        if self._descriptor < 0:
            self._open()
        pieces: list[tuple[bytes, int]] = []
        if not self._pipe:
            for start in range(0, len(batch), _PIECE):
                some = batch[start : start + _PIECE]
                pieces.append((b"".join(some), len(some)))
            return pieces
        held: list[bytes] = []
        size = 0
        for line in batch:
            if size + len(line) > LINE_LIMIT:
                pieces.append((b"".join(held), len(held)))
                held, size = [], 0
            held.append(line)
            size += len(line)
        pieces.append((b"".join(held), len(held)))
        return pieces

    def _open(self) -> None:
        self._descriptor = open_log(self.file)
        self._pipe = not stat.S_ISREG(os.fstat(self._descriptor).st_mode)

    def _append(self, data: bytes) -> None:
        """Write all of `data`. Raises OSError when it cannot be, or is given up."""
        if self._torn:
            data = b"\n" + data
        view = memoryview(data)
        while view:
            if self._pipe:
                self._await_room()
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                continue
            self._torn = len(view) > 0
        self._torn = False

    def _await_room(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while not poll.poll(_LOOK):
            if self._abandoned:
                raise TimeoutError("nobody reads it")

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor > 2:  # standard output is not ours to close
            os.close(descriptor)

    def _complain(self, error: OSError) -> None:
        now = monotonic()
        if now - self._complained >= _COMPLAIN:
            self._complained = now
            _log.error(
                "the access log cannot be written, lines are lost",
                file=self.file,
                reason=error.strerror or str(error),
            )
