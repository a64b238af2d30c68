"""Instances of a service: aiohttp servers that do as a test says, and remember who has called."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

from aiohttp import web

from tests.peers.servers import free_port
from uaitools.registry.client.calls.policy import CallPolicy
from uaitools.registry.client.member import Member
from uaitools.registry.client.service_client import ServiceClient
from uaitools.registry.client.view import View
from uaitools.registry.evidence import State
from uaitools.registry.observation import Observation

NAME = "llm-router"
Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


def policy(**changes: Any) -> CallPolicy:
    """In turn, so that a test knows who is asked first."""
    return replace(CallPolicy(balance="round_robin"), **changes)


def member(url: str, name: str = "", **fields: Any) -> Member:
    """The member at `url`."""
    host, port = url.removeprefix("http://").split(":")
    return Member(name or url, NAME, host, int(port), **fields)


def client(*members: Member | str, **options: Any) -> ServiceClient:
    """A client of a fixed list of members."""
    options.setdefault("policy", policy())
    return ServiceClient(NAME, members=members, **options)


def url_of_nobody() -> str:
    """Where connections are refused."""
    return f"http://127.0.0.1:{free_port()}"


class Instance:
    """A running instance. calls: requests so far, with their bodies. busy, peak: at once."""

    def __init__(self, name: str, behaviour: Behaviour | None) -> None:
        self.name = name
        self.behaviour = behaviour or self.hello
        self.calls: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.connections: set[asyncio.Transport] = set()
        self.busy = self.peak = 0
        self.called = asyncio.Event()
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def hello(self, _: web.Request) -> web.StreamResponse:
        return web.Response(text=self.name)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(request)
        assert request.transport is not None
        self.connections.add(request.transport)
        self.bodies.append(await request.read())
        self.called.set()
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        try:
            return await self.behaviour(request)
        finally:
            self.busy -= 1

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._serve)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Refuse connections and end those there are; it can be started again."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()


@contextlib.asynccontextmanager
async def instance(name: str = "a", behaviour: Behaviour | None = None) -> AsyncIterator[Instance]:
    """A running instance."""
    running = Instance(name, behaviour)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


@contextlib.asynccontextmanager
async def instances(names: str) -> AsyncIterator[list[Instance]]:
    """One running instance for each letter."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(instance(name)) for name in names]


def answering(status: int, headers: dict[str, str] | None = None, text: str = "no") -> Behaviour:
    """Answers everything so."""

    async def behave(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers, text=text)

    return behave


async def hanging(_: web.Request) -> web.StreamResponse:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError


class Watching:
    """A watcher whose views a test makes up."""

    def __init__(self) -> None:
        self.apply: Callable[[View], None] | None = None
        self.closed = False
        self.seen: list[Observation] = []

    def observe(self, observations: Iterable[Observation]) -> None:
        self.seen += observations

    def watch(self, service: str, apply: Callable[[View], None]) -> Watching:
        assert service == NAME
        self.apply = apply
        return self

    def close(self) -> None:
        self.closed = True

    def say(self, members: Iterable[Member], *, epoch: str = "e", stale: bool = False) -> None:
        assert self.apply is not None
        self.apply(View(NAME, tuple(members), 1, epoch, stale=stale))


def with_health(one: Member, health: State) -> Member:
    return replace(one, health=health)
