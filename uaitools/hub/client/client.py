"""What an application calls: the hub's channels and commands over one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar, overload
from urllib.parse import urlsplit

import aiohttp

from uaitools.hub.client.backoff import pause
from uaitools.hub.client.connection import Lost
from uaitools.hub.client.errors import Interrupted, Refused
from uaitools.hub.client.events import Attendance, Direct, Page
from uaitools.hub.client.messages import Reply, attendance_of, page_of, place_of
from uaitools.hub.client.session import Session, place_document, raise_refused
from uaitools.hub.client.subscription import Read, Subscription, Token
from uaitools.hub.client.timing import USUAL, Timing
from uaitools.hub.client.typed import typed
from uaitools.hub.place import Place

SIZE: Final = 1024  # events of a subscription that nobody has read yet
_SCHEMES: Final = ("ws", "wss", "http", "https")

T = TypeVar("T")


class HubClient:
    """A client of the hub that stays connected from the begin of its block to the end.

        async with HubClient("wss://hub.example/ws", token=token) as hub:
            async with hub.subscribe("builds") as builds:
                async for event in builds:
                    ...

    token: an API key or a JWT; an async function is asked at each connect. direct: called with what
    is sent to this very connection. session: used if given, and not closed.

    A lost connection is replaced, after random pauses of up to 30 s, and every subscription goes on
    from its place. Commands wait for a connection and for their reply, `timing.answer` seconds in
    all. Every method raises HubError (see errors).
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token = None,
        direct: Callable[[Direct], None] | None = None,
        session: aiohttp.ClientSession | None = None,
        timing: Timing = USUAL,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise ValueError("a hub's url is wss://HOST[:PORT]/ws, or ws://")
        self._url = url
        self._token = token
        self._direct = direct
        self._given = session
        self._http: aiohttp.ClientSession | None = None
        self._timing = timing
        self._session: Session | None = None

    def __repr__(self) -> str:
        return f"<HubClient {self._session!r}>" if self._session else "<HubClient not started>"

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._session is not None and self._session.connected

    async def __aenter__(self) -> Self:
        """Begin to connect; a hub that is away is no failure yet."""
        if self._session is not None:
            raise RuntimeError("a client is entered once; make another one")
        self._http = self._given or aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self._session = Session(self._http, self._url, self._token, self._timing, self._direct)
        self._session.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._opened.stop()
        if self._http is not None and self._given is None:
            await self._http.close()

    @overload
    def subscribe(
        self,
        channel: str,
        *,
        filter: Mapping[str, Any] | None = None,
        recover: Place | None = None,
        token: Token = None,
        size: int = SIZE,
    ) -> Subscription[Any]: ...

    @overload
    def subscribe(
        self,
        channel: str,
        *,
        data: type[T],
        filter: Mapping[str, Any] | None = None,
        recover: Place | None = None,
        token: Token = None,
        size: int = SIZE,
    ) -> Subscription[T]: ...

    def subscribe(
        self,
        channel: str,
        *,
        data: type[Any] | None = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - the protocol's word
        recover: Place | None = None,
        token: Token = None,
        size: int = SIZE,
    ) -> Subscription[Any]:
        """A subscription, for one `async with`; one of a channel at a time.

        data: the type of its messages' data; one that does not fit comes as Invalid. recover: a
        place to go on from. filter, token: see docs/hub-protocol.md; a token may be an async
        function. size: events that wait to be read; beyond it the connection is not read any more,
        for the other subscriptions and commands neither, and the hub does what it does with those
        who are slow.
        """
        read: Read[Any] | None = None if data is None else typed(data)
        return Subscription(
            channel,
            self._opened,
            size=size,
            filter=filter,
            recover=recover,
            token=token,
            read=read,
        )

    async def publish(
        self,
        channel: str,
        data: Any,
        *,
        type: str | None = None,  # noqa: A002 - the protocol's word
        echo: bool = True,
        retry: bool = False,
    ) -> Place:
        """Send a message to a channel; its place there.

        type: the message's, `message` unless given. echo: get it as well, when subscribed. retry:
        publish again when the connection was lost before the answer, so that it is there at least
        once and perhaps twice; Interrupted is raised otherwise.
        """
        command: dict[str, Any] = {"type": "publish", "channel": channel, "data": data}
        if type is not None:
            command["event"] = type
        if not echo:
            command["echo"] = False
        return place_of(await self._command(command, retry=retry))

    async def history(self, channel: str, *, since: Place | None = None, limit: int = 100) -> Page:
        """The newest messages of a channel, or those after a place."""
        command: dict[str, Any] = {"type": "history", "channel": channel, "limit": limit}
        if since is not None:
            command["since"] = place_document(since)
        return page_of(await self._command(command, retry=True))

    async def presence(
        self, channel: str, *, after: str | None = None, limit: int = 100
    ) -> Attendance:
        """Who is in a channel: how many, and those after a user, by name."""
        command: dict[str, Any] = {"type": "presence", "channel": channel, "limit": limit}
        if after is not None:
            command["after"] = after
        return attendance_of(await self._command(command, retry=True))

    async def call(self, command: str, data: Any = None, *, retry: bool = False) -> Any:
        """Have the application's own command done; the reply's data. retry: as of `publish`."""
        reply = await self._command({"type": command, "data": data}, retry=retry)
        return reply.document.get("data")

    async def ping(self) -> None:
        """Wait until the hub answers."""
        await self._command({"type": "ping"}, retry=True)

    @property
    def _opened(self) -> Session:
        if self._session is None:
            raise RuntimeError(
                "a client is used inside its block: async with HubClient(...) as hub"
            )
        return self._session

    async def _command(self, command: Mapping[str, Any], *, retry: bool) -> Reply:
        """The reply, if it is no error; with `retry` after as many attempts as there is time for.

        Raises HubError.
        """
        session, failures = self._opened, 0
        try:
            async with asyncio.timeout(self._timing.answer):
                while True:
                    try:
                        connection = await session.connection()
                        reply = await connection.ask(session.next_id(), command)
                        raise_refused(reply)
                    except Lost as lost:
                        if not retry:
                            raise Interrupted from lost
                    except Refused as refused:
                        if not (retry and refused.may_mend):
                            raise
                        await asyncio.sleep(pause(failures))
                        failures += 1
                    else:
                        return reply
        except TimeoutError:
            raise session.unreachable() from None
