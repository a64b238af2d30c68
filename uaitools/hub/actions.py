"""What is done for a command of a client, and what is said back: one function a command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import time
from typing import TYPE_CHECKING, Any

import orjson

from uaitools.auth.credential import Credential
from uaitools.errors import ServiceError
from uaitools.filters import BadFilter
from uaitools.hub import commands
from uaitools.hub.commands import BadCommand, Command, CommandError
from uaitools.hub.errors import BadData
from uaitools.hub.filters import Filter, compile_filter
from uaitools.hub.history import Page
from uaitools.hub.message import Message, encode_data
from uaitools.hub.session import FILTERS, Session

if TYPE_CHECKING:
    from uaitools.hub.hub import Hub

Reply = dict[str, Any]


class Actions:
    """What the commands of clients do."""

    __slots__ = ("_actions", "_hub")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._actions: dict[str, Callable[[Session, Any], Awaitable[Reply]]] = {
            "connect": self._connect,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "publish": self._publish,
            "presence": self._presence,
            "history": self._history,
            "ping": self._ping,
        }

    def __repr__(self) -> str:
        return f"<Actions {' '.join(self._actions)}>"

    async def perform(self, session: Session, command: Command) -> Reply:
        """Do what a command says. Raises CommandError and ServiceError."""
        action = self._actions.get(command.type)
        if action is not None:
            return await action(session, command)
        assert isinstance(command, commands.Custom)
        data = await self._hub.added[command.type](session, command.data)
        return {"type": command.type, "data": data}

    async def _connect(self, session: Session, command: commands.Connect) -> Reply:
        try:
            await self._hub.members.identify(session, Credential("bearer", command.token.encode()))
        except ServiceError as error:
            if error.code >= 500:
                raise
            code = "limit" if error.code == 429 else "unauthorized"
            raise CommandError(code, error.message) from None
        return {"type": "connected", "user": session.user}

    async def _subscribe(self, session: Session, command: commands.Subscribe) -> Reply:
        hub, name = self._hub, command.channel
        wanted = _compiled(command.filter)
        expires = hub.members.granted(session.principal, name, command.token)
        hub.rules.check_reader(name, session.principal, granted=expires is not None)
        held = session.subscriptions
        if name not in held and len(held) >= hub.config.subscriptions:
            raise CommandError("limit", f"a connection has {hub.config.subscriptions} channels")
        _check_filters(session, name, wanted)
        channel = await hub.channels.open(name, guest=not session.admitted)
        if session not in hub.sessions:
            raise CommandError("unavailable", "the connection has gone")  # nobody would leave again
        recovered, offset = channel.recover(command.recover)
        subscription = hub.members.subscribe(session, channel, wanted, offset)
        if expires is not None:
            session.expiring = {**(session.expiring or {}), name: expires}
        reply = {"type": "subscribed", "channel": name, **subscription.place.document}
        hub.fanout.resume((subscription,))  # which moves its place
        return {**reply, "recovered": recovered}

    async def _unsubscribe(self, session: Session, command: commands.Unsubscribe) -> Reply:
        if command.channel not in session.subscriptions:
            raise CommandError("not_subscribed", f"there is no subscription to {command.channel}")
        self._hub.members.unsubscribe(session, command.channel)
        return {"type": "unsubscribed", "channel": command.channel}

    async def _publish(self, session: Session, command: commands.Publish) -> Reply:
        name = command.channel
        subscribed = name in session.subscriptions
        self._hub.rules.check_writer(name, session.principal, subscribed=subscribed)
        message = Message(
            command.event,
            _encoded(command.data),
            time(),
            user_id=session.user,
            exclude=None if command.echo else session.id,
        )
        place = await self._hub.send(name, message)
        return {"type": "published", "channel": name, **place.document}

    async def _presence(self, session: Session, command: commands.Presence) -> Reply:
        self._check_here(session, command.channel)
        document = await self._hub.attendance(command.channel, command.after, command.limit)
        return {"type": "presence", **document}

    async def _history(self, session: Session, command: commands.History) -> Reply:
        self._check_here(session, command.channel)
        guest = not session.admitted
        page = await self._hub.history(command.channel, command.since, command.limit, guest=guest)
        return {"type": "history", **history_document(command.channel, page)}

    async def _ping(self, _session: Session, _command: commands.Ping) -> Reply:
        return {"type": "pong"}

    def _check_here(self, session: Session, name: str) -> None:
        """Who is subscribed has shown that he may read; others must show it now."""
        subscribed = name in session.subscriptions
        self._hub.rules.check_reader(name, session.principal, granted=subscribed)


def history_document(channel: str, page: Page) -> dict[str, Any]:
    """A page of history as clients get it."""
    return {
        "channel": channel,
        **page.place.document,
        "messages": [orjson.Fragment(one) for one in page.messages],
        "lost": page.lost,
        "more": page.more,
    }


def _encoded(data: object) -> bytes:
    try:
        return encode_data(data)
    except BadData as error:
        raise BadCommand("bad_field", str(error)) from None


def _check_filters(session: Session, name: str, wanted: Filter | None) -> None:
    """Let pass a filter beside those of other channels. Raises CommandError."""
    if wanted is None:
        return
    held = session.subscriptions.get(name)
    others = session.filters - (len(held.group.key) if held is not None else 0)
    if others + len(wanted.key) > FILTERS:
        raise CommandError("limit", f"the filters of a connection have {FILTERS} bytes in all")


def _compiled(document: dict[str, Any] | None) -> Filter | None:
    try:
        return None if document is None else compile_filter(document)
    except BadFilter as error:
        raise BadCommand("bad_field", f"filter: {error}") from None
