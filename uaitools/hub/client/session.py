"""Stays connected to the hub, and stays subscribed.

There is one connection, and two while the client moves: the old one is closed when everything that
is subscribed is followed on the new one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from uaitools import log
from uaitools.hub.client.backoff import pause
from uaitools.hub.client.connection import Connection, Lost, connect
from uaitools.hub.client.errors import Ended, HubError, Refused, Unreachable, Unsubscribed
from uaitools.hub.client.events import Direct, Presence
from uaitools.hub.client.messages import (
    Complaint,
    Delivered,
    Dismissed,
    Notice,
    Reply,
    Restarted,
    Skipped,
    error_of,
)
from uaitools.hub.client.subscription import Subscription, Token, current_token
from uaitools.hub.client.timing import Timing
from uaitools.hub.closing import DISCONNECTED, MISTAKES, UNAUTHORIZED
from uaitools.hub.place import Place
from uaitools.tasks import spawn

# The notice of a subscription whose token is over; another token mends it.
_EXPIRED: Final = frozenset({"unauthorized", "expired"})
_STATUS: Final = {UNAUTHORIZED.code: 401, DISCONNECTED.code: 403, MISTAKES.code: 400}
_log = log.get_logger(__name__)


class Session:
    """Keeps a connection, and subscriptions on it. direct: called with what is sent to us alone."""

    __slots__ = (
        "_connections",
        "_current",
        "_direct",
        "_ended",
        "_host",
        "_http",
        "_ids",
        "_numbers",
        "_reason",
        "_subscriptions",
        "_tasks",
        "_timing",
        "_token",
        "_up",
        "_url",
    )

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        token: Token,
        timing: Timing,
        direct: Callable[[Direct], None] | None,
    ) -> None:
        self._http = http
        self._url = url
        self._host = urlsplit(url).netloc.rpartition("@")[2]
        self._token = token
        self._timing = timing
        self._direct = direct
        self._ids = itertools.count(1)
        self._numbers = itertools.count(1)
        self._subscriptions: dict[str, Subscription[Any]] = {}
        self._connections: set[Connection] = set()
        self._current: Connection | None = None
        self._up = asyncio.Event()  # there is a connection, or there will be none
        self._reason = "there is no connection yet"
        self._ended: Ended | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        state = "ended" if self._ended else "connected" if self.connected else "away"
        return f"<Session {self._host} {state} subscriptions={len(self._subscriptions)}>"

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._current is not None

    def start(self) -> None:
        """Begin to connect."""
        self._spawn(self._keep_connected(), "stay connected to the hub")

    async def stop(self) -> None:
        """End everything."""
        self._finish(Ended("the client has been closed"), None)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for connection in tuple(self._connections):
            await connection.close()

    def next_id(self) -> int:
        """An id for a command."""
        return next(self._ids)

    async def connection(self) -> Connection:
        """The connection for a command, when there is one. Raises Ended."""
        while (current := self._current) is None or current.over.done():
            if self._ended is not None:
                raise self._ended.again()
            # Of one that is just ending, `_gone` hears in the next turn.
            await (self._up.wait() if current is None else asyncio.sleep(0))
        return current

    def unreachable(self) -> Unreachable:
        """What a command did not wait any longer for."""
        return Unreachable("it is silent" if self.connected else self._reason)

    # -- subscriptions ------------------------------------------------------------------------

    async def join(self, subscription: Subscription[Any]) -> None:
        """Subscribe now, and after each reconnect. Raises HubError, ValueError for a second one."""
        if subscription.channel in self._subscriptions:
            raise ValueError(f"this client is subscribed to {subscription.channel} already")
        if self._ended is not None:
            raise self._ended.again()
        joined = subscription.joined
        assert joined is not None
        self._subscriptions[subscription.channel] = subscription
        if self._current is not None:  # else it is one of those that a new connection begins with
            self._attach_soon(self._current, subscription)
        try:
            async with asyncio.timeout(self._timing.answer):
                error = await joined
        except BaseException as ended:
            await self.leave(subscription)
            if isinstance(ended, TimeoutError):
                raise self.unreachable() from None
            raise
        if error is not None:
            raise error

    async def leave(self, subscription: Subscription[Any]) -> None:
        """Unsubscribe, without an error if that cannot be said to the hub."""
        subscription.end()
        if self._subscriptions.get(subscription.channel) is not subscription:
            return
        del self._subscriptions[subscription.channel]
        if self._current is not None:
            with suppress(Lost, TimeoutError):
                async with asyncio.timeout(self._timing.answer):
                    said = {"type": "unsubscribe", "channel": subscription.channel}
                    await self._current.ask(self.next_id(), said)

    def _attach_soon(
        self, connection: Connection, subscription: Subscription[Any]
    ) -> asyncio.Task[None]:
        name = f"subscribe {subscription.channel}"
        return self._spawn(self._attach(connection, subscription), name)

    async def _attach(self, connection: Connection, subscription: Subscription[Any]) -> None:
        """Subscribe on a connection, as often as that takes, while it is the one to be on."""
        failures = 0
        while connection is self._current and not subscription.ended:
            try:
                await self._subscribe(connection, subscription)
                if subscription.track.follows(connection.number):
                    return
            except Lost:
                return
            except Refused as error:
                if not error.may_mend:
                    self._dismiss(subscription, error)
                    return
            except Exception as error:
                # Its text may hold what the token was made of.
                _log.warning(
                    "no token for a channel",
                    channel=subscription.channel,
                    reason=type(error).__name__,
                )
            await asyncio.sleep(pause(failures))
            failures += 1

    async def _subscribe(self, connection: Connection, subscription: Subscription[Any]) -> None:
        """Ask for it once. Raises Lost, Refused, and what the token function raises."""
        token = await current_token(subscription.token)
        if connection is not self._current or subscription.ended:
            return
        command = _subscribe_command(subscription, subscription.track.ask(connection.number), token)
        then = partial(subscription.subscribed, connection.number)
        raise_refused(await connection.ask(self.next_id(), command, then))

    def _dismiss(self, subscription: Subscription[Any], error: HubError) -> None:
        if self._subscriptions.get(subscription.channel) is subscription:
            del self._subscriptions[subscription.channel]
        subscription.end(error)

    # -- the connection -----------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            try:
                connection = await self._open()
                self._adopt(connection)
                lost = await self._stay(connection)
            except Lost as error:
                lost = error
            if loop.time() - began >= self._timing.steady:
                failures = 0
            if lost is None:
                # It asks to connect elsewhere; all nodes may do so, one after the other.
                if loop.time() - began < self._timing.steady:
                    await asyncio.sleep(pause(failures))
                    failures += 1
                continue
            self._reason = str(lost)
            if lost.final:
                _log.error("hub refuses this client", hub=self._host, reason=self._reason)
                self._finish(_ended(lost), _ended(lost))
                return
            _log.warning("hub is away", hub=self._host, reason=self._reason)
            await asyncio.sleep(lost.pause + pause(failures))
            failures += 1

    async def _open(self) -> Connection:
        """Raises Lost."""
        try:
            token = await current_token(self._token)
        except Exception as error:
            # Its text may hold what the token was made of.
            raise Lost(f"no token can be made: {type(error).__name__}") from error
        socket = await connect(self._http, self._url, token, self._timing)
        return Connection(next(self._numbers), socket, self._receive, self._timing)

    def _adopt(self, connection: Connection) -> None:
        """Use a connection from now on."""
        _log.info("hub connected", hub=self._host)
        self._connections.add(connection)
        connection.over.add_done_callback(partial(self._gone, connection))
        self._current = connection
        self._up.set()
        self._spawn(self._take_over(connection), "take subscriptions over")

    def _gone(self, connection: Connection, _: asyncio.Future[Lost]) -> None:
        self._connections.discard(connection)
        if self._current is connection:
            self._current = None
            if self._ended is None:
                self._up.clear()
        for subscription in self._subscriptions.values():
            subscription.track.lost(connection.number)

    async def _take_over(self, connection: Connection) -> None:
        """Follow everything on a new connection, then close those before it."""
        followed = tuple(self._subscriptions.values())
        attaching = [self._attach_soon(connection, one) for one in followed]
        if attaching:
            await asyncio.wait(attaching)
        if connection is not self._current:
            return  # those before it are left to the one that comes after it
        for before in self._connections - {connection}:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.answer):
                    await before.idle()
            await before.close()

    async def _stay(self, connection: Connection) -> Lost | None:
        """Wait until a connection has ended, or until it is time for another one: None."""
        over, moves = connection.over, connection.moves
        either: set[asyncio.Future[Any]] = {over, moves}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if moves.done():
            await asyncio.wait({over}, timeout=moves.result())
        if not over.done():
            return None
        lost = over.result()
        if lost.code == UNAUTHORIZED.code and connection.welcomed and callable(self._token):
            return Lost(str(lost))  # the credential was good, and there will be a newer one
        return lost

    def _finish(self, ended: Ended, error: HubError | None) -> None:
        """There will be no connection any more; error: for those who read."""
        self._ended = ended
        self._up.set()
        for subscription in self._subscriptions.values():
            subscription.end(error)
        self._subscriptions.clear()

    # -- what the hub says --------------------------------------------------------------------

    def _receive(
        self, connection: Connection, said: Notice | Delivered
    ) -> Coroutine[Any, Any, None] | None:
        """See Connection: what is returned keeps the connection from being read."""
        match said:
            case Delivered() | Skipped() | Restarted() | Presence():
                subscription = self._subscriptions.get(said.channel)
                if subscription is None:
                    return None  # not any more, or everybody gets it
                subscription.take(connection.number, said)
                return subscription.inbox.room() if subscription.inbox.full else None
            case Dismissed():
                self._dismissed(connection, said)
            case Direct():
                self._hand_on(said)
            case Complaint():
                _log.warning("hub complains", code=said.code, message=said.message)
        return None

    def _hand_on(self, said: Direct) -> None:
        try:
            if self._direct is not None:
                self._direct(said)
        except Exception as error:
            _log.error("what was sent directly was not taken", exc_info=error)

    def _dismissed(self, connection: Connection, said: Dismissed) -> None:
        subscription = self._subscriptions.get(said.channel)
        if subscription is None or not subscription.track.follows(connection.number):
            return
        if said.code in _EXPIRED and callable(subscription.token):
            self._attach_soon(connection, subscription)
        else:
            self._dismiss(subscription, Unsubscribed(said.channel, said.code, said.reason))

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = spawn(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _subscribe_command(
    subscription: Subscription[Any], recover: Place | None, token: str | None
) -> dict[str, Any]:
    command: dict[str, Any] = {"type": "subscribe", "channel": subscription.channel}
    if recover is not None:
        command["recover"] = place_document(recover)
    if subscription.filter is not None:
        command["filter"] = subscription.filter
    if token is not None:
        command["token"] = token
    return command


def place_document(place: Place) -> dict[str, Any]:
    """A place as commands have it."""
    return {"epoch": place.epoch, "offset": place.offset}


def raise_refused(reply: Reply) -> None:
    """Raise Refused if a reply is an error."""
    if reply.type == "error":
        raise Refused(*error_of(reply))


def _ended(lost: Lost) -> Ended:
    status = lost.code if 400 <= lost.code < 500 else _STATUS.get(lost.code, 503)
    code = lost.code if lost.code >= 1000 else 0
    return Ended(f"the hub refuses this client: {lost}", code, status=status)
