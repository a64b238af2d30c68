"""The channel between the parent and a worker: its messages, and its two ends.

A message is a fixed head (length of the body, kind, number) and a JSON body, on a stream socket
pair. The parent's end belongs to a loop around a selector and never blocks; the worker's is a
protocol on its event loop. Nothing that one side does can make the other wait or grow: there is
one report and one question under way at a time, and a reader that falls too far behind is given
up by who writes.
"""

from __future__ import annotations

import asyncio
import enum
import signal
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

import orjson

from uaitools.errors import ServiceError
from uaitools.log import get_logger
from uaitools.proxy.ejection import Ejection
from uaitools.proxy.orders import Order
from uaitools.proxy.report import Report
from uaitools.tasks import spawn
from uaitools.traffic.breaker import Cause

LIMIT: Final = 64 << 20  # bytes of a body, and of what may wait for a reader; a report has 10 KB
_HEAD: Final = struct.Struct("!IHI")
_READ: Final = 256 * 1024
# Seconds that an order to drain waits. Service managers signal parent and workers at the same
# time, and a worker that takes the order for a second signal would not drain but stop.
_DRAIN_DELAY: Final = 0.2
_SURVEYS: Final = 16  # questions of one worker under way at most
_SURVEY_SECONDS: Final = 1.0

_log = get_logger(__name__)


class Kind(enum.IntEnum):
    """What a message is about, and who sends it."""

    PULL = 1  # parent: send your report, under this number
    REPORT = 2  # worker: the report that was pulled under this number
    ASK = 3  # worker: tell me the report of all workers
    WHOLE = 4  # parent: the report of all workers
    EJECT = 5  # worker, and from there the parent: an endpoint was taken out
    RELOAD = 6  # parent: this is the configuration from now on
    DRAIN = 7  # parent: finish what runs and end
    ORDER = 8  # worker, and from there the parent: an operator's order (proxy.orders)
    QUERY = 9  # worker, and from there the parent: say something of yourself
    PART = 10  # worker, and from there the parent: one worker's answer to that


@dataclass(frozen=True, slots=True)
class Message:
    """body: a JSON document, or nothing; a configuration in it has its secrets."""

    kind: Kind
    number: int = 0
    body: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """The bytes of the message. Raises ValueError when it is over the limit."""
        if len(self.body) > LIMIT:
            raise ValueError(f"a message of {len(self.body)} bytes is over the limit")
        return _HEAD.pack(len(self.body), self.kind, self.number) + self.body


class Messages:
    """Cuts a stream of bytes into messages; what is incomplete waits for the rest."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def __repr__(self) -> str:
        return f"<Messages held={len(self._held)}>"

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes. Raises ValueError for what cannot be one."""
        self._held += data
        return list(self._complete())

    def _complete(self) -> Iterator[Message]:
        while len(self._held) >= _HEAD.size:
            length, kind, number = _HEAD.unpack_from(self._held)
            if length > LIMIT:
                raise ValueError(f"a message of {length} bytes is over the limit")
            end = _HEAD.size + length
            if len(self._held) < end:
                return
            body = bytes(self._held[_HEAD.size : end])
            del self._held[:end]
            yield Message(Kind(kind), number, body)


class Overflow(Exception):
    """The other side reads nothing, and more waits for it than may."""


class ParentEnd:
    """The parent's end: never blocks. Register it with a selector; `pending` asks for writing."""

    __slots__ = ("_messages", "_out", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._messages = Messages()
        self._out = bytearray()

    def __repr__(self) -> str:
        return f"<ParentEnd fd={self._socket.fileno()} pending={len(self._out)}>"

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._socket.fileno()

    @property
    def pending(self) -> bool:
        """Whether something waits until the worker reads."""
        return bool(self._out)

    def send(self, message: Message) -> None:
        """Write as much as can be, keep the rest. Raises Overflow when that is too much."""
        self._out += message.encode()
        self.flush()
        if len(self._out) > LIMIT:
            raise Overflow(f"{len(self._out)} bytes wait for a worker that does not read")

    def flush(self) -> None:
        """Write what waits. That the worker has gone is no error here: `receive` tells it."""
        while self._out:
            try:
                written = self._socket.send(self._out)
            except BlockingIOError:
                return
            except OSError:
                self._out.clear()
                return
            del self._out[:written]

    def receive(self) -> list[Message]:
        """One read of what the worker has sent.

        Raises BlockingIOError when there is nothing, EOFError when the worker has gone and
        ValueError for what cannot be a message.
        """
        try:
            data = self._socket.recv(_READ)
        except ConnectionError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        return self._messages.feed(data)

    def close(self) -> None:
        """Give up the socket; safe to call again."""
        self._socket.close()


class Served(Protocol):
    """What a worker does for its parent."""

    def report(self) -> Report:
        """What this process has to tell of itself."""

    def eject(self, ejection: Ejection) -> None:
        """Take out an endpoint that another worker found bad."""

    def obey(self, order: Order) -> None:
        """Do what an operator has ordered, in this process."""

    def answer(self, question: bytes) -> bytes:
        """Say what another worker wants to know; both are JSON."""

    def reload(self, configuration: bytes) -> None:
        """Put a configuration into force, as the parent packed it."""


class _Survey:
    """The answers of other workers to one question."""

    __slots__ = ("_others", "complete", "parts")

    def __init__(self, others: int) -> None:
        self._others = others
        self.parts: list[bytes] = []
        self.complete = asyncio.Event()

    def add(self, part: bytes) -> None:
        self.parts.append(part)
        if len(self.parts) >= self._others:
            self.complete.set()


class WorkerEnd(asyncio.Protocol):
    """The worker's end, a service of its life: without a parent the worker drains and ends.

    sock: this end of the socket pair. patience: seconds to wait for the report of all workers;
    the parent itself waits at most twice 0.5 for the others. Set `served` before the start.
    """

    __slots__ = (
        "_answer",
        "_draining",
        "_messages",
        "_next",
        "_patience",
        "_socket",
        "_surveys",
        "_transport",
        "served",
    )
    served: Served

    def __init__(self, sock: socket.socket, patience: float = 3.0) -> None:
        self._patience = patience
        self._socket = sock
        self._messages = Messages()
        self._transport: asyncio.WriteTransport | None = None
        self._draining = False
        self._answer: asyncio.Future[Report] | None = None  # to the question that was sent
        self._surveys: dict[int, _Survey] = {}
        self._next: asyncio.Future[Report] | None = None  # to the one after it

    def __repr__(self) -> str:
        return f"<WorkerEnd connected={self._transport is not None} draining={self._draining}>"

    # -- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen to the parent."""
        # A duplicate, so that the parent sees the end of the channel with that of the process.
        sock = self._socket.dup()
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=sock)

    async def drain(self, deadline: float) -> None:  # noqa: ARG002 - nothing to wait for
        """From now on the parent's order and the parent's end are no news."""
        self._draining = True

    async def stop(self) -> None:
        """Let go of the channel."""
        self._draining = True
        if self._transport is not None:
            self._transport.close()

    # -- to the parent ----------------------------------------------------------------------

    async def gather(self) -> Report:
        """The report of all workers, none of it older than the call.

        Raises ServiceError (503) when the parent does not answer.
        """
        asked = self._next
        if asked is None:
            asked = self._next = asyncio.get_running_loop().create_future()
            self._ask()
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(asked)
        except TimeoutError:
            raise ServiceError(
                503, "the parent process does not answer; try again", "proxy", retry_after=1
            ) from None

    def announce(self, ejection: Ejection) -> None:
        """Tell the other workers of an ejection."""
        self._send(Message(Kind.EJECT, body=orjson.dumps(ejection)))

    def order(self, order: Order) -> None:
        """Have the parent and the other workers obey, too."""
        self._send(Message(Kind.ORDER, body=order.to_json()))

    async def survey(self, question: bytes, others: int) -> list[bytes]:
        """Ask the other workers, which are so many; the answers of those that gave one in time."""
        if not others:
            return []
        number = next(free for free in range(_SURVEYS + 1) if free not in self._surveys)
        if number == _SURVEYS:
            raise ServiceError(503, "too many ask the workers; try again", "proxy", retry_after=1)
        survey = self._surveys[number] = _Survey(others)
        self._send(Message(Kind.QUERY, number, question))
        try:
            async with asyncio.timeout(_SURVEY_SECONDS):
                await survey.complete.wait()
        except TimeoutError:
            pass  # a worker is stopped or has died: the others count
        finally:
            del self._surveys[number]
        return survey.parts

    def _ask(self) -> None:
        """Send the next question. Who asks meanwhile waits, for an answer that is not too old."""
        if self._answer is None and self._next is not None:
            self._answer, self._next = self._next, None
            self._send(Message(Kind.ASK))

    def _send(self, message: Message) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(message.encode())

    # -- from the parent --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The channel is open."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Do what the parent says."""
        for message in self._messages.feed(data):
            self._handle(message)

    def connection_lost(self, error: Exception | None) -> None:
        """The parent is no more: nobody could tell this worker to end, so it does by itself."""
        self._transport = None
        if not self._draining:
            _log.warning("the parent process has gone, draining", reason=str(error or "") or None)
            self._end()

    def _handle(self, message: Message) -> None:  # noqa: C901 - a case for each kind
        match message.kind:
            case Kind.PULL:
                body = self.served.report().to_json()
                self._send(Message(Kind.REPORT, message.number, body))
            case Kind.WHOLE:
                answer, self._answer = self._answer, None
                if answer is not None and not answer.done():
                    answer.set_result(Report.from_json(message.body))
                self._ask()
            case Kind.EJECT:
                self.served.eject(read_ejection(message.body))
            case Kind.QUERY:
                self._send(Message(Kind.PART, message.number, self.served.answer(message.body)))
            case Kind.PART:
                survey = self._surveys.get(message.number)
                if survey is not None:  # else it is too late
                    survey.add(message.body)
            case Kind.ORDER:
                self.served.obey(Order.from_json(message.body))
            case Kind.RELOAD:
                self.served.reload(message.body)
            case Kind.DRAIN:
                spawn(self._end_soon(), name="drain ordered")
            case _:
                raise ValueError(f"the parent sent {message.kind.name}")

    async def _end_soon(self) -> None:
        await asyncio.sleep(_DRAIN_DELAY)
        self._end()

    def _end(self) -> None:
        if not self._draining:
            signal.raise_signal(signal.SIGTERM)


def read_ejection(body: bytes) -> Ejection:
    """The ejection in a message. Raises ValueError for what is none."""
    try:
        fields = orjson.loads(body)
        return Ejection(**{**fields, "cause": Cause(fields["cause"])})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not an ejection: {error}") from error
