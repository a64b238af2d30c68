"""The connection by which Redis tells what is published: made again whenever it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import Any, Final, Protocol

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from uaitools.fair_timeout import fair_timeout
from uaitools.hub.broker.retries import Retries
from uaitools.log import get_logger
from uaitools.redis_link import (
    LARGE,
    TIMEOUT,
    Away,
    answer_of,
    away,
    connect,
    connection_to,
    disconnect,
)
from uaitools.tasks import spawn

BATCH: Final = 1000  # names in one command
LOOK: Final = 1.0  # seconds between two looks whether anything was heard
SILENT: Final = 3  # looks without a sound, and a ping each, after which the connection is dead
BURST: Final = 64  # messages after which others have the loop
_log = get_logger(__name__)


class Listener(Protocol):
    """Who is told what comes."""

    def heard(self, name: bytes, text: bytes) -> None:
        """Something was published under a name."""

    def subscribed(self) -> None:
        """All names are subscribed again: what was published meanwhile is lost."""

    def deaf(self, error: Away) -> None:
        """The connection is lost, or cannot be made."""


class Subscriber:
    """Subscribes to names, whatever becomes of the connection. reconnects: how often that was."""

    __slots__ = (
        "_changed",
        "_confirmed",
        "_heard",
        "_listener",
        "_missing",
        "_retries",
        "_surplus",
        "_task",
        "_unconfirmed",
        "_url",
        "_waiting",
        "_wanted",
        "reconnects",
    )

    def __init__(self, url: str, listener: Listener) -> None:
        self.reconnects = 0
        self._url = url
        self._listener = listener
        self._wanted: dict[bytes, None] = {}
        self._missing: dict[bytes, None] = {}  # of these, what this connection does not have
        self._surplus: dict[bytes, None] = {}  # what it has, and nobody wants
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}
        self._unconfirmed = 0
        self._confirmed = asyncio.Event()
        self._changed = asyncio.Event()
        self._heard = False
        self._retries = Retries()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Subscriber names={len(self._wanted)} missing={len(self._missing)}>"

    def start(self) -> None:
        """Connect."""
        self._task = spawn(self._run(), name="hub listens")

    async def stop(self) -> None:
        """Hear nothing more."""
        if self._task is not None:
            await _end([self._task])

    def want(self, name: bytes) -> None:
        """Subscribe, soon."""
        if name in self._surplus:
            del self._surplus[name]
        elif name not in self._wanted:
            self._missing[name] = None
        self._wanted[name] = None
        self._changed.set()

    async def add(self, name: bytes) -> None:
        """Subscribe; returns when Redis has confirmed it, or it was dropped."""
        done = asyncio.get_running_loop().create_future()
        self.want(name)
        self._waiting.setdefault(name, []).append(done)
        await done

    def drop(self, name: bytes) -> None:
        """Subscribe no more."""
        if name not in self._wanted:
            return
        del self._wanted[name]
        if name in self._missing:
            del self._missing[name]
        else:
            self._surplus[name] = None
        for done in self._waiting.pop(name, ()):
            if not done.done():
                done.set_result(None)
        self._changed.set()

    # -- one connection after another -------------------------------------------------------

    async def _run(self) -> None:
        while True:
            connection = connection_to(self._url)
            try:
                async with fair_timeout(TIMEOUT):
                    await connect(connection)
                await self._serve(connection)
            except (RedisError, OSError, TimeoutError, ValueError) as error:
                self._listener.deaf(away(error))
            except Exception:
                # Nothing would be heard any more: better to begin anew.
                _log.exception("listening failed")
                self._listener.deaf(Away("listening failed"))
            finally:
                await disconnect(connection)
            self.reconnects += 1
            await asyncio.sleep(self._retries.failed())

    async def _serve(self, connection: AbstractConnection) -> None:
        self._missing, self._surplus = dict(self._wanted), {}
        parts = [
            spawn(part, name=f"hub listens: {name}")
            for name, part in (
                ("reads", self._read(connection)),
                ("subscribes", self._subscribe(connection)),
                ("watches", self._watch(connection)),
            )
        ]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(parts)
        for part in done:
            part.result()

    async def _read(self, connection: AbstractConnection) -> None:
        count = 0
        while True:
            answer = await answer_of(connection)
            self._heard = True
            match answer:
                case [b"message", bytes(name), bytes(text)]:
                    self._listener.heard(name, text)
                case [b"subscribe" | b"unsubscribe", *_]:
                    self._unconfirmed -= 1
                    if not self._unconfirmed:
                        self._confirmed.set()
            count += 1
            if count % BURST == 0:
                await asyncio.sleep(0)

    async def _subscribe(self, connection: AbstractConnection) -> None:
        whole = False
        while True:
            self._changed.clear()
            # Each command is confirmed before the next: who was dropped and added again in between
            # would else take the first confirmation for the second.
            if names := list(islice(self._surplus, BATCH)):
                for name in names:
                    del self._surplus[name]
                await self._confirm(connection, "UNSUBSCRIBE", names)
            elif names := list(islice(self._missing, BATCH)):
                for name in names:
                    del self._missing[name]
                await self._confirm(connection, "SUBSCRIBE", names)
                self._wake(names)
            elif not whole:
                whole = True
                self._retries.succeeded()
                self._listener.subscribed()
            else:
                self._wake(name for name in list(self._waiting) if name not in self._missing)
                await self._changed.wait()

    async def _confirm(
        self, connection: AbstractConnection, command: str, names: list[bytes]
    ) -> None:
        self._unconfirmed = len(names)
        self._confirmed.clear()
        async with fair_timeout(LARGE):
            await _send(connection, command, *names)
            await self._confirmed.wait()

    def _wake(self, names: Iterable[bytes]) -> None:
        for name in names:
            if name in self._wanted and name not in self._missing:
                for done in self._waiting.pop(name, ()):
                    if not done.done():
                        done.set_result(None)

    async def _watch(self, connection: AbstractConnection) -> None:
        silent = 0
        while True:
            await asyncio.sleep(LOOK)
            if self._heard:
                self._heard, silent = False, 0
                continue
            if silent == SILENT:
                raise TimeoutError
            silent += 1
            async with fair_timeout(TIMEOUT):
                await _send(connection, "PING")


async def _send(connection: AbstractConnection, *words: str | bytes) -> None:
    await connection.send_packed_command(connection.pack_command(*words))


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
