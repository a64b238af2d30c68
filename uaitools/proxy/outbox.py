"""Writes of one turn of the event loop, sent together at its end.

Under load a turn reads from dozens of connections. A peer that was written to in the midst of it
wakes at once, finds one message, and sleeps again before the next: each write pays for waking a
processor. Sent together they cost a third less CPU in all (docs/measurements.md).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from uaitools.log import get_logger

_MESSAGES: Final = 64  # queued at most; then the peers that wait have waited long enough
_LARGE: Final = 16 * 1024  # bytes of a message that is worth a write of its own

_log = get_logger(__name__)


class Sender(Protocol):
    """A connection. transmit: writes to its transport at once, or discards when that is gone."""

    transmit: Callable[[bytes], None]


class Outbox:
    """What the connections of one event loop are about to write, in order.

    Before a transport is closed or told that no more comes, `flush`. turn: counts flushes. While
    it is the same as when a message was given, the message is not out yet. Of the loop's turns it
    could not tell: uvloop may read between a task's `call_soon` and its call.
    """

    __slots__ = ("_due", "_messages", "_senders", "turn")

    def __init__(self) -> None:
        # In step with each other: a queue of pairs would make a tuple for each message.
        self._senders: deque[Sender] = deque()
        self._messages: deque[bytes] = deque()
        self._due = False  # the end of this turn is scheduled
        self.turn = 0

    def __repr__(self) -> str:
        return f"<Outbox messages={len(self._messages)} turn={self.turn}>"

    def send(self, sender: Sender, data: bytes) -> None:
        """Have `sender` transmit `data`, after all that was given before."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self.end_turn)
        if len(data) > _LARGE:
            self.flush()
            sender.transmit(data)
            return
        senders = self._senders
        senders.append(sender)
        self._messages.append(data)
        if len(senders) >= _MESSAGES:
            self.flush()

    def flush(self) -> None:
        """Transmit everything now."""
        self.turn += 1
        senders, messages = self._senders, self._messages
        while senders:
            # Taken off one by one: a transmit can end up here again.
            sender = senders.popleft()
            data = messages.popleft()
            try:
                sender.transmit(data)
            except Exception:
                _log.exception("a write failed")  # the others' messages must go out

    def end_turn(self) -> None:
        """Transmit everything; called by the loop after all that was ready has been read."""
        self._due = False
        self.flush()
