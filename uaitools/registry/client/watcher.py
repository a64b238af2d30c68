"""Watches services: their lists, and every change of them, for as long as the process runs.

One WebSocket to one registry carries all services. When it ends the next registry is tried, at
once and then with growing pauses; what was known stays in force meanwhile, marked as stale.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp

from uaitools import log
from uaitools.registry.client.backoff import Backoff
from uaitools.registry.client.cache import Cache
from uaitools.registry.client.connection import Connection, Ended, connect
from uaitools.registry.client.messages import Failed, Listed, Message
from uaitools.registry.client.outbox import Outbox
from uaitools.registry.client.registries import Registries, Token
from uaitools.registry.client.subscription import Apply, Subscription, Watched
from uaitools.registry.client.timing import USUAL, Timing
from uaitools.registry.client.view import Replica
from uaitools.registry.observation import Observation
from uaitools.tasks import spawn

GOODBYE: Final = 0.5  # seconds in which the last words must be out
_log = log.get_logger(__name__)


class Watcher:
    """Keeps up with the services that it is told to watch.

        async with Watcher(["http://127.0.0.1:8083"]) as watcher:
            watched = watcher.watch("llm-router", apply)

    urls: of registries that hold the same. name: for drains, by which instances wait for this
    watcher; of its own unless given, and no other process may have it. token: for the registry;
    a callable is asked for each connection. cache: a file for the last known lists, from which a
    start without a registry has them. session: used if given, and not closed.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        name: str = "",
        token: Token = None,
        cache: Path | None = None,
        session: aiohttp.ClientSession | None = None,
        timing: Timing = USUAL,
    ) -> None:
        self.name = name or _made_up()
        self._registries = Registries(urls, token)
        self._timing = timing
        self._cache = None if cache is None else Cache(cache, timing.save)
        self._given = session
        self._session: aiohttp.ClientSession | None = None
        self._subscriptions: dict[str, Subscription] = {}
        self._outbox = Outbox()
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._complaints: set[tuple[str, str]] = set()

    def __repr__(self) -> str:
        state = "connected" if self.connected else "away"
        return f"<Watcher {self.name} {state} services={len(self._subscriptions)}>"

    @property
    def connected(self) -> bool:
        """Whether a registry can be heard now."""
        return self._connection is not None

    async def start(self) -> None:
        """Read the lists on disk, and begin to connect; a registry that is away is no failure."""
        if self._cache is not None:
            await self._cache.load()
            for service, subscription in tuple(self._subscriptions.items()):
                known = self._cache.get(service)
                if known is not None:
                    subscription.replica.restore(known)
                subscription.offer()
        self._session = self._given or aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self._connecting = spawn(self._keep_connected(), name="watch the registry")

    async def stop(self) -> None:
        """Say what is left to say, and end the connection. Views stay as they are."""
        if self._connection is not None:
            # Drains would wait for us if it did not hear that we watch no more.
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await self._connection.flush()
        for subscription in self._subscriptions.values():
            subscription.end()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})
            self._connecting = None
        if self._session is not None and self._given is None:
            await self._session.close()
        if self._cache is not None:
            await self._cache.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def watch(self, service: str, apply: Apply) -> Watched:
        """Have `apply` called with each new view of a service, in the loop.

        It is called as soon as anything is known, which may be before this returns. When it
        returns the view is in force, and the registry is told so; when it raises, that is logged
        and the view is offered again later.
        """
        subscription = self._subscriptions.get(service)
        if subscription is None:
            known = None if self._cache is None else self._cache.get(service)
            subscription = self._subscriptions[service] = Subscription(
                service, Replica(service, known), self._acknowledge
            )
            self._ask(service)
        watched = Watched(service, apply, subscription.replica, self._unwatch)
        subscription.watched.append(watched)
        watched.offer()
        return watched

    def observe(self, observations: Iterable[Observation]) -> None:
        """Report what was seen of instances since the last time; dropped when not connected.

        Every 5 s is often enough.
        """
        if self._connection is not None:
            self._outbox.observed(observations)
            self._connection.wake()

    # -- the connection -----------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        registries, timing = self._registries, self._timing
        backoff = Backoff(timing.cap, immediate=max(1, len(registries.urls) - 1))
        while True:
            began = loop.time()
            try:
                await self._converse()
            except Ended as error:
                self._lost(error)
                if loop.time() - began >= timing.steady:
                    backoff.succeeded()
                pause = backoff.failed()
                if error.refused:
                    pause = max(pause, timing.refused * (1.0 - 0.5 * backoff.uniform()))
                registries.turn()
                await asyncio.sleep(pause)

    async def _converse(self) -> None:
        """Connect and keep up until the connection ends. Raises Ended."""
        assert self._session is not None
        async with connect(self._session, self._registries, self._timing) as opened:
            self._outbox.clear()
            for service in self._subscriptions:
                self._outbox.watch(service)
            connection = Connection(opened, self._outbox, self._timing, self._receive, self._repeat)
            self._connection = connection
            self._complaints.clear()
            _log.info("registry connected", registry=self._registries.host, watcher=self.name)
            try:
                await connection.run(self.name)
            finally:
                self._connection = None

    def _lost(self, error: Ended) -> None:
        """Say so once for each reason, and let all views be stale."""
        complaint = self._registries.host, str(error)
        if complaint not in self._complaints:
            self._complaints.add(complaint)
            tell = _log.error if error.refused else _log.warning
            tell(
                "registry cannot be watched, the last known lists stay",
                registry=complaint[0],
                reason=complaint[1],
            )
        for subscription in tuple(self._subscriptions.values()):
            subscription.replica.disconnected()
            subscription.soon()

    # -- what it says -------------------------------------------------------------------------

    def _receive(self, message: Message) -> None:
        if isinstance(message, Failed):
            _log.warning(
                "the registry refuses a message", code=message.code, reason=message.message
            )
            return
        subscription = self._subscriptions.get(message.service)
        if subscription is None:
            return  # it has been unwatched since
        if isinstance(message, Listed):
            subscription.replica.listed(message)
        elif not subscription.replica.changed(message):
            self._ask(message.service)
        subscription.soon()

    def _acknowledge(self, subscription: Subscription) -> None:
        view, applied = subscription.replica.view, subscription.applied
        if applied is not None and self._connection is not None:
            self._outbox.applied(subscription.service, *applied)
            self._connection.wake()
        if view is not None and self._cache is not None:
            self._cache.keep(view)

    def _ask(self, service: str) -> None:
        if self._connection is not None:
            self._outbox.watch(service)
            self._connection.wake()

    def _repeat(self) -> None:
        """What is said every few seconds: that we live, and what we still want to hear."""
        for service, subscription in tuple(self._subscriptions.items()):
            subscription.soon()
            if not subscription.replica.settled:
                self._ask(service)

    def _unwatch(self, watched: Watched) -> None:
        subscription = self._subscriptions[watched.service]
        subscription.watched.remove(watched)
        if subscription.watched:
            subscription.soon()  # perhaps all who are left have applied it
            return
        subscription.end()
        del self._subscriptions[watched.service]
        if self._connection is not None:
            self._outbox.unwatch(watched.service)
            self._connection.wake()


def _made_up() -> str:
    """A name that no other watcher has, and that tells operators where it runs."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:64]
    return f"{host}:{os.getpid()}:{secrets.token_hex(3)}"
