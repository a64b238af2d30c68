"""What the processes of one database tell each other: short texts, by LISTEN and NOTIFY.

What was said while nobody listened is lost, so that a subscriber is told when that may have been:
it then knows nothing of what it has heard before. Whether a process hears is tried, and not only
believed: a pooler that hands sessions round (PgBouncer with pool_mode = transaction) takes LISTEN
and delivers nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

import asyncpg

from uaitools.backoff import full_jitter
from uaitools.errors import ServiceError
from uaitools.fair_timeout import fair_timeout
from uaitools.log import get_logger
from uaitools.metrics import Family, Sample
from uaitools.postgres.access import Access
from uaitools.postgres.pool import Pool
from uaitools.tasks import spawn

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

LONGEST: Final = 1000  # bytes of a text
_PAYLOAD: Final = 7900  # bytes of a notice; PostgreSQL takes 7,999
_EVERY: Final = 10.0  # seconds between two trials whether we hear
_PATIENCE: Final = 5.0  # seconds for the answer to one, and for connecting
_LARGEST_PAUSE: Final = 30.0
_FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
_HEARS: Final = Family(
    "postgres_hears", "gauge", "Whether notices of other processes are heard.", "min"
)

_log = get_logger(__name__)


class Subscriber(Protocol):
    """Who is told of one channel. Neither method may wait or raise."""

    def hear(self, texts: Sequence[str]) -> None:
        """Another process has said these."""

    def listen(self, *, hears: bool) -> None:
        """Whether everything that others say is heard from now on; at first it is not.

        When it is again, what was said before may have been missed.
        """


class Notices:
    """Texts to and from the other processes that have a Notices of the same name.

    access: for the connection that listens, which there is while anybody has subscribed. pool: for
    what is said. every, patience: seconds between two trials, and for the answer to one. hears:
    whether what others say is heard; failures: attempts since it was.
    """

    def __init__(
        self,
        access: Access,
        pool: Pool,
        *,
        name: str,
        every: float = _EVERY,
        patience: float = _PATIENCE,
    ) -> None:
        self.hears = False
        self.failures = 0
        self._access = access.told({"application_name": f"uaitools {name} notices"})
        self._pool = pool
        self._name = name
        self._every = every
        self._patience = patience
        self._sender = uuid4().hex[:12]
        self._subscribers: dict[str, Subscriber] = {}
        self._echo = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Notices {self._name} hears={self.hears} channels={len(self._subscribers)}>"

    def subscribe(self, channel: str, subscriber: Subscriber) -> None:
        """Tell somebody what others say; before the start. channel: a short word."""
        self._subscribers[self._named(channel)] = subscriber

    async def start(self) -> None:
        """Listen from soon on, if anybody wants to hear."""
        if self._subscribers:
            self._task = spawn(self._run(), name=f"{self._name} notices")

    async def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def publish(self, channel: str, texts: Iterable[str]) -> None:
        """Say something to the others. Raises ServiceError: then it may not have been said.

        A text has no line breaks, and at most LONGEST bytes. Raises ValueError.
        """
        payloads = list(_packed(self._sender, texts))
        if payloads:
            await self._notify(self._named(channel), payloads)

    def samples(self) -> Iterator[Sample]:
        """Whether others are heard, where anybody wants to."""
        if self._subscribers:
            yield Sample(_HEARS, (("pool", self._name),), float(self.hears))

    def _named(self, channel: str) -> str:
        return _channel(self._name, channel)

    async def _notify(self, channel: str, payloads: Sequence[str]) -> None:
        async with self._pool.acquire() as connection:
            await connection.execute(
                "SELECT pg_notify($1, said) FROM unnest($2::text[]) AS said", channel, payloads
            )

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except _FAILURES as error:
                reason = f"{type(error).__name__}: {error}".rstrip(": ")
                _log.warning("notices of others are not heard", name=self._name, reason=reason)
            finally:
                self._tell(hears=False)
            pause = full_jitter(
                self.failures,
                random.random(),  # noqa: S311 - no secret
                first=0.1,
                largest=_LARGEST_PAUSE,
            )
            self.failures += 1
            await asyncio.sleep(pause)

    async def _listen(self) -> None:
        """Listen on a connection until it ends. Raises what tells of that."""
        async with fair_timeout(self._patience):
            connection = await self._access.connect()
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        try:
            for channel in (*self._subscribers, self._named(self._sender)):
                await connection.add_listener(channel, self._received)
            while not ended.is_set():
                await self._try(ended)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._every):
                        await ended.wait()
        finally:
            connection.terminate()

    async def _try(self, ended: asyncio.Event) -> None:
        """Say something to ourselves. Raises TimeoutError when it is not heard."""
        self._echo.clear()
        try:
            await self._notify(self._named(self._sender), ("",))
        except ServiceError:  # it could not be said, which tells nothing of what can be heard
            return
        async with fair_timeout(self._patience):
            await self._echo.wait()
        if not ended.is_set():
            self.failures = 0
            self._tell(hears=True)

    def _received(self, _: object, __: int, channel: str, payload: object) -> None:
        subscriber = self._subscribers.get(channel)
        if subscriber is None:
            self._echo.set()
            return
        sender, *texts = str(payload).split("\n")
        if sender != self._sender:
            subscriber.hear(texts)

    def _tell(self, *, hears: bool) -> None:
        if hears is not self.hears:
            self.hears = hears
            for subscriber in self._subscribers.values():
                subscriber.listen(hears=hears)


async def say(connection: Connection, name: str, channel: str, text: str) -> None:
    """Have every Notices of a name told, once the transaction of a connection is committed.

    That of this process is told as well. text: as of `Notices.publish`.
    """
    for payload in _packed(uuid4().hex[:12], (text,)):
        await connection.execute("SELECT pg_notify($1, $2)", _channel(name, channel), payload)


def _channel(name: str, channel: str) -> str:
    return f"uaitools_{name}_{channel}"


def _packed(sender: str, texts: Iterable[str]) -> Iterator[str]:
    """As few payloads as hold the texts."""
    lines, size = [sender], len(sender)
    for text in texts:
        length = len(text.encode())
        if length > LONGEST or "\n" in text:
            raise ValueError(f"a notice is one line of at most {LONGEST} bytes")
        if size + 1 + length > _PAYLOAD:
            yield "\n".join(lines)
            lines, size = [sender], len(sender)
        lines.append(text)
        size += 1 + length
    if len(lines) > 1:
        yield "\n".join(lines)
