"""The hub itself: what applications embed, and what the server serves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from secrets import token_urlsafe
from time import monotonic, time
from typing import Any, Final

from aiohttp import web

from uaitools import log
from uaitools.auth.authenticator import Authenticator
from uaitools.auth.principal import Principal
from uaitools.command import warn_of_everyone
from uaitools.hub.actions import Actions
from uaitools.hub.broker.local import LocalBroker
from uaitools.hub.broker.port import Broker
from uaitools.hub.budget import Budget
from uaitools.hub.channel import Channel
from uaitools.hub.channels import Channels
from uaitools.hub.closing import DISCONNECTED, Closing
from uaitools.hub.commands import Command
from uaitools.hub.config import HubConfig
from uaitools.hub.drain import end_all, send_elsewhere
from uaitools.hub.errors import Draining, Short
from uaitools.hub.fanout import Fanout
from uaitools.hub.history import Page, read_page
from uaitools.hub.membership import Membership
from uaitools.hub.message import Message, encode_data, frame_text, timestamp
from uaitools.hub.pace import Pace
from uaitools.hub.place import Place
from uaitools.hub.rules import ALL, USER
from uaitools.hub.session import Session
from uaitools.hub.sessions import Sessions
from uaitools.hub.slices import in_slices
from uaitools.hub.sweep import Sweep
from uaitools.tasks import spawn

Handler = Callable[[Session, Any], Awaitable[Any]]
_MEBIBYTE: Final = 1 << 20

_log = log.get_logger(__name__)


class Hub:
    """Channels, and the connections that subscribe to them.

        hub = Hub(HubConfig())
        hub.mount(app)
        ...
        await hub.publish("builds", {"build": 7}, type="finished")

    authenticator: whose credentials are good, started and stopped by the caller; without one
    everybody may do everything. broker: what shares messages with other nodes; without one there
    are none.
    """

    def __init__(
        self,
        config: HubConfig | None = None,
        *,
        authenticator: Authenticator | None = None,
        broker: Broker | None = None,
    ) -> None:
        self.config = config or HubConfig()
        self.broker: Broker = broker or LocalBroker()
        self.rules = self.config.rules
        self.fanout = Fanout()
        self.channels = Channels(
            self.broker,
            self.rules,
            self.fanout,
            self.config.open_channels,
            told=self._tell_presence,
            ordered=self._obey,
            omit=self._omit,
        )
        self.members = Membership(
            self.config, self.rules, self.channels, self.broker, authenticator
        )
        self.budget = Budget(self.config.memory and self.config.memory * _MEBIBYTE)
        self.pace = Pace(self.config.rate, self.config.burst)
        self.added: dict[str, Handler] = {}
        self.draining = False
        self.published = 0
        self.closed: Counter[int] = Counter()  # connections that were ended, by code
        self.authenticator = authenticator
        self.on_leaving: list[Callable[[], object]] = []  # called when it begins to stop
        self._actions = Actions(self)
        self.sweep = Sweep(self)
        self._sweeping: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Hub connections={len(self.sessions)} channels={len(self.channels)}>"

    # -- life ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin. Raises Unavailable when there is no use in waiting for the broker."""
        await self.broker.start(self.channels)
        self._sweeping = spawn(self.sweep.run(), name="sweep connections")

    async def drain(self, deadline: float) -> None:
        """Send everybody elsewhere, `config.reconnects` a second from all workers.

        deadline: on the clock of the running loop, by which the last one is told to go.
        """
        self._leave()
        await send_elsewhere(self.sessions, self.config.reconnects / self.config.workers, deadline)

    async def stop(self) -> None:
        """Disconnect everybody and release everything."""
        self._leave()
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait({self._sweeping})
        await end_all(self.sessions)
        self.fanout.stop()
        await self.broker.stop()

    def mount(self, app: web.Application, prefix: str = "/hub") -> None:
        """Serve this hub within an application, below `prefix`; it starts and stops with it.

        The application's own middlewares see its requests first. Without an authenticator everybody
        who reaches the application may do everything.
        """
        from uaitools.hub.application import application  # noqa: PLC0415 - it stands on this module

        async def start(_app: web.Application) -> None:
            await self.start()

        async def stop(_app: web.Application) -> None:
            await self.stop()

        if self.authenticator is None:
            warn_of_everyone()
        app.add_subapp(prefix, application(self))
        app.on_startup.append(start)
        # Before aiohttp waits for handlers to end: those of streams end with their connections.
        app.on_shutdown.append(stop)

    def _leave(self) -> None:
        self.draining = True
        for call in self.on_leaving:
            call()

    # -- for applications ---------------------------------------------------------------------

    async def publish(
        self,
        channel: str,
        data: object,
        *,
        type: str = "message",  # noqa: A002 - the protocol's word
        repository_id: str | int | None = None,
        user_id: str | None = None,
        exclude: str | None = None,
    ) -> Place:
        """Send a message to all who subscribe to a channel; its place.

        data: what orjson can write. type: the message's. user_id: who says it. exclude: the id of
        a connection that does not get it. Raises BadData, and Unavailable; then it may have been
        sent or not.
        """
        text = encode_data(data)
        return await self.send(
            channel, Message(type, text, time(), repository_id, user_id, exclude)
        )

    async def broadcast(self, data: object, *, type: str = "message") -> Place:  # noqa: A002
        """Send a message to everybody with a credential. Raises Unavailable."""
        return await self.publish(ALL, data, type=type)

    async def send_to_user(self, user: str, data: object, *, type: str = "message") -> Place:  # noqa: A002
        """Send a message to all connections of a user. Raises Unavailable."""
        return await self.publish(USER + user, data, type=type)

    async def send_to_connection(self, connection: str, data: object, *, event: str) -> bool:
        """Send a notice to one connection; whether it is here and reads.

        Where it is not here, other nodes are told. Raises Unavailable.
        """
        session = self.sessions.get(connection)
        if session is None:
            order = {"do": "direct", "connection": connection, "event": event, "data": data}
            await self.broker.order(order)
            return False
        return _send_directly(session, event, data)

    async def disconnect(self, *, user: str = "", connection: str = "") -> int:
        """End the connections of a user, or one, on all nodes; how many were here.

        Raises Unavailable when other nodes could not be told.
        """
        order = {"do": "disconnect", "user": user, "connection": connection}
        ended = self._disconnect(user, connection)
        await self.broker.order(order)
        return ended

    def command(self, name: str) -> Callable[[Handler], Handler]:
        """Add a command that clients may send: its handler gets the session and `data`.

            @hub.command("translate")
            async def translate(session, data): ...

        What it returns is the reply's `data`; a CommandError becomes an error reply.
        """

        def add(handler: Handler) -> Handler:
            self.added[name] = handler
            return handler

        return add

    # -- for what stands on it ----------------------------------------------------------------

    @property
    def sessions(self) -> Sessions:
        """Everybody who is connected."""
        return self.members.sessions

    @property
    def largest(self) -> int:
        """Bytes of a command."""
        return self.config.largest

    @property
    def generation(self) -> int:
        """Changes when credentials have to be judged again."""
        return 0 if self.authenticator is None else self.authenticator.generation

    async def admit(self, principal: Principal, address: str) -> Session:
        """A session for a connection that is about to begin; it counts until `left`.

        It is to be given a socket at once. Raises ServiceError when there may be no more, or not
        now.
        """
        judged = self.generation
        await self.members.prepare(principal)
        self.check_room()
        self.sessions.check_address(address)
        session = Session(self, token_urlsafe(12), principal, address, monotonic())
        session.judged = judged
        self.sessions.add(session)
        return session

    def check_room(self) -> None:
        """Let pass who is new. Raises Draining and Short."""
        if self.draining:
            raise Draining
        if self.budget.full:
            raise Short

    async def send(self, channel: str, message: Message) -> Place:
        """Publish a message to whoever subscribes. Raises ServiceError."""
        if not self.broker.keeps:
            opened = await self.channels.open(channel)
            await self.fanout.room(opened)
        place = await self.broker.publish(channel, self.rules.find(channel).policy, message)
        self.published += 1
        return place

    async def history(
        self, channel: str, since: Place | None, limit: int, *, guest: bool = False
    ) -> Page:
        """A page of what was said in a channel. guest: see Channels.open. Raises ServiceError."""
        return read_page((await self.channels.open(channel, guest=guest)).ring, since, limit)

    async def attendance(self, channel: str, after: str | None, limit: int) -> dict[str, Any]:
        """Who is in a channel, as clients get it. Raises ServiceError."""
        found = await self.broker.attendance(channel, after, limit + 1)
        page = list(found.page.items())[:limit]
        return {
            "channel": channel,
            "users": found.users,
            "connections": found.connections,
            "page": [{"user": user, "connections": count} for user, count in page],
            "next": page[-1][0] if len(found.page) > limit else None,
        }

    # -- see session.Host ---------------------------------------------------------------------

    def perform(self, session: Session, command: Command) -> Awaitable[dict[str, Any]]:
        """Do what a command says."""
        return self._actions.perform(session, command)

    def entered(self, session: Session) -> None:
        """A connection has begun."""
        self.members.enter(session)

    def resume(self, session: Session) -> None:
        """A session can be written to again."""
        self.fanout.resume(session.subscriptions.values())

    def ended(self, closing: Closing) -> None:
        """A connection is ended by the hub."""
        self.closed[closing.code] += 1

    def left(self, session: Session) -> None:
        """A connection has ended."""
        self.members.leave(session)

    # -- what is told by the broker -----------------------------------------------------------

    def _omit(self, connection: str, channel: Channel, offset: int) -> None:
        session = self.sessions.get(connection)
        subscription = session and session.subscriptions.get(channel.name)
        if subscription:
            subscription.omit(offset)

    def _tell_presence(
        self, channel: Channel, joined: Sequence[str], left: Sequence[str], users: int
    ) -> None:
        notice = {"type": "presence", "channel": channel.name, "joined": joined, "left": left}
        frame = frame_text({**notice, "users": users})
        sinks = [one.sink for one in channel]
        spawn(in_slices(sinks, lambda sink: sink.notice(frame)), name="tell presence")

    def _obey(self, order: Mapping[str, Any]) -> None:
        match order:
            case {"do": "disconnect", "user": str(user), "connection": str(connection)}:
                self._disconnect(user, connection)
            case {"do": "direct", "connection": str(connection), "event": str(event), "data": data}:
                session = self.sessions.get(connection)
                if session is not None:
                    _send_directly(session, event, data)
            case _:
                _log.warning("another node orders what is not known here", order=order.get("do"))

    def _disconnect(self, user: str, connection: str) -> int:
        one = self.sessions.get(connection)
        ended = {*(self.sessions.of(user) if user else ()), *((one,) if one else ())}
        for session in ended:
            session.end(DISCONNECTED)
        return len(ended)


def _send_directly(session: Session, event: str, data: object) -> bool:
    """It would wait where nobody reads: there is no place from which to catch up."""
    if session.paused:
        return False
    session.say({"type": "direct", "event": event, "timestamp": timestamp(time()), "data": data})
    return True
