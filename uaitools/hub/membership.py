"""Who is connected, and to which channels: how that changes."""

from __future__ import annotations

from time import time
from typing import Final

from uaitools.auth.authenticator import Authenticator
from uaitools.auth.credential import Credential
from uaitools.auth.principal import GUEST, Principal
from uaitools.errors import ServiceError
from uaitools.hub.broker.port import Broker
from uaitools.hub.channel import Channel, Subscription
from uaitools.hub.channels import Channels
from uaitools.hub.commands import CommandError
from uaitools.hub.config import HubConfig
from uaitools.hub.filters import Filter
from uaitools.hub.grants import Grants
from uaitools.hub.rules import ALL, PUBLISH, USER, Rules
from uaitools.hub.session import Session
from uaitools.hub.sessions import Sessions

_KEY: Final = "key"  # the kind of principal whose credential may be revoked


class Membership:
    """The sessions of a hub with their subscriptions. authenticator: None, everyone is admitted."""

    __slots__ = (
        "_authenticator",
        "_broker",
        "_channels",
        "_config",
        "_grants",
        "rules",
        "sessions",
    )

    def __init__(
        self,
        config: HubConfig,
        rules: Rules,
        channels: Channels,
        broker: Broker,
        authenticator: Authenticator | None,
    ) -> None:
        self.rules = rules
        self.sessions = Sessions(config.per_user, config.per_address)
        self._config = config
        self._channels = channels
        self._broker = broker
        self._authenticator = authenticator
        secret = config.token_secret
        self._grants = Grants(secret.get_secret_value().encode()) if secret else None

    def __repr__(self) -> str:
        return f"<Membership {self.sessions!r}>"

    # -- connections --------------------------------------------------------------------------

    async def prepare(self, principal: Principal) -> None:
        """Open what a connection of a principal is subscribed to from its start.

        Raises ServiceError when that is not possible now, or it has too many connections.
        """
        for name in self._usual(principal):
            await self._channels.open(name)
        self.sessions.check_user(principal.user)

    def enter(self, session: Session) -> None:
        """A connection can be written to."""
        if session.admitted:
            self._welcome(session)

    async def identify(self, session: Session, credential: Credential) -> None:
        """Take the credential that a connection brings after it has begun.

        Raises AuthError, and CommandError when it is another user's.
        """
        authenticator = self._authenticator
        if authenticator is None or not authenticator.enabled:
            return
        principal = await authenticator.admit(credential)
        if session.user not in (None, principal.id):
            raise CommandError("forbidden", "the connection is another user's; open another one")
        new = session.user is None
        if new:
            await self.prepare(principal)
        if session not in self.sessions:
            return  # it has gone meanwhile
        session.judged = authenticator.generation
        self._become(session, principal)
        session.credential = credential if principal.kind == _KEY else None
        if new:
            self._welcome(session)

    def judge_again(self, session: Session) -> bool:
        """Whether the credential of a session is still good, keys having changed."""
        if session.credential is None or self._authenticator is None:
            return True
        try:
            principal = self._authenticator.authenticate(session.credential, time())
        except ServiceError as error:
            return error.code >= 500
        session.principal = principal
        session.judged = self._authenticator.generation
        return True

    def expire(self, session: Session, now: float) -> None:
        """End what a session has by tokens that are over. now: unix seconds."""
        over = [name for name, until in (session.expiring or {}).items() if until <= now]
        for name in over:
            self.unsubscribe(session, name)
            said = {"channel": name, "code": "expired", "reason": "the channel's token has expired"}
            session.say({"type": "unsubscribed", **said})

    def leave(self, session: Session) -> None:
        """A connection has ended, or has never come about."""
        self.sessions.remove(session)
        for name in list(session.subscriptions):
            self.unsubscribe(session, name)

    def _become(self, session: Session, principal: Principal) -> None:
        """The session is a known principal's from now on, with the channels that it has."""
        before, session.principal = session.principal, principal
        self.sessions.identify(session)
        if before.id != principal.id:
            for subscription in session.subscriptions.values():
                self._count(subscription.channel, before, -1)
                self._count(subscription.channel, principal, 1)

    def _welcome(self, session: Session) -> None:
        config = self._config
        said = {"connection": session.id, "user": session.user}
        limits = {"largest": config.largest, "rate": config.rate, "burst": config.burst}
        session.say({"type": "welcome", **said, "ping": config.ping, **limits})
        for name in self._usual(session.principal):
            channel = self._channels.get(name)
            if channel is not None and name not in session.subscriptions:
                self.subscribe(session, channel, None, None)

    def _usual(self, principal: Principal) -> tuple[str, ...]:
        if principal == GUEST:
            return ()
        return (ALL,) if principal.user is None else (ALL, USER + principal.user)

    # -- channels -----------------------------------------------------------------------------

    def granted(self, principal: Principal, channel: str, token: str | None) -> float | None:
        """Until when a token for a channel is good, None without one, in unix seconds.

        Raises CommandError for a bad one.
        """
        if token is None or principal.has((PUBLISH,)):
            return None  # or none is needed
        if self._grants is None:
            raise CommandError("forbidden", "there are no channels with tokens here")
        return self._grants.check(token, principal.id, channel, time())

    def subscribe(
        self, session: Session, channel: Channel, wanted: Filter | None, offset: int | None
    ) -> Subscription:
        """Give a session what comes in a channel after an offset, or from now on."""
        before = session.subscriptions.get(channel.name)
        if before is not None:
            before.channel.unsubscribe(before)
        else:
            self._count(channel, session.principal, 1)
        subscription = channel.subscribe(session, wanted, offset, deflate=session.socket.deflate)
        session.subscriptions[channel.name] = subscription
        return subscription

    def unsubscribe(self, session: Session, name: str) -> None:
        """Give it nothing more of a channel that it has."""
        subscription = session.subscriptions.pop(name)
        subscription.channel.unsubscribe(subscription)
        if session.expiring is not None:
            session.expiring.pop(name, None)
        self._count(subscription.channel, session.principal, -1)

    def _count(self, channel: Channel, principal: Principal, step: int) -> None:
        if not self.rules.find(channel.name).presence:
            return
        count = channel.users.get(principal.id, 0) + step
        if count:
            channel.users[principal.id] = count
        else:
            channel.users.pop(principal.id, None)
        self._broker.attend(channel.name, principal.id, count)
