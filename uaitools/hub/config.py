"""The `[hub]` table of uaitools.toml."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, IPvAnyNetwork, model_validator

from uaitools.auth.config import StrongSecret
from uaitools.config import Address, ListenAddress, Model
from uaitools.cors import CorsSettings
from uaitools.hub.channel import ChannelPolicy, Policy
from uaitools.hub.ring import SIZE
from uaitools.hub.rules import Readers, Rule, Rules, Writers

Mode = Literal["auto", "native", "aiohttp"]
Away = Literal["refuse", "hold"]
_PATTERN: Final = re.compile(r"[!-)+-~]{0,127}(\*|[!-)+-~])")


def _matches_names(text: str) -> str:
    if _PATTERN.fullmatch(text) is None:
        raise ValueError('is a channel\'s name, or how names begin with * at the end: "room:*"')
    return text


Pattern = Annotated[str, AfterValidator(_matches_names)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
_MEBIBYTE: Final = 1 << 20


class ChannelRule(Model):
    """An element of `[[hub.channels]]`: what holds for the channels that it matches first.

    match: a name, or how names begin, with `*` at its end. history: messages that are kept; age:
    seconds that they are. slow, backlog: what becomes of who does not read. presence: who is there
    is kept; joins: and told when it changes.
    """

    match: Pattern
    subscribe: Readers = "user"
    publish: Writers = "publisher"
    history: Annotated[int, Field(ge=1, le=65_536)] = SIZE
    age: Seconds = 300
    slow: Policy = Policy.RESUME
    backlog: Annotated[int, Field(ge=1, le=65_536)] = 32
    presence: bool = True
    joins: bool = False

    @model_validator(mode="after")
    def _owned(self) -> Self:
        if self.subscribe == "owner" and not self.match.endswith("*"):
            raise ValueError('subscribe = "owner" needs a match such as "user:*"')
        return self

    @property
    def rule(self) -> Rule:
        """As the hub uses it."""
        policy = ChannelPolicy(self.slow, self.history, self.age, self.backlog)
        return Rule(self.match, self.subscribe, self.publish, policy, self.presence, self.joins)


class HubConfig(Model):
    """The `[hub]` table.

    origins: pages of other origins that may connect, beside those of the hub's own; "*" for all.
    trusted_proxies: networks whose X-Forwarded-For is believed. token_secret: signs the tokens
    of private channels. per_user, per_address: connections at most, none for as many as come.
    subscriptions: of one connection. largest: bytes of a command. rate, burst: commands a second,
    and at once, of one connection. ping, patience: seconds until a silent client is asked whether
    it lives, and then to its end. credential: seconds until a connection must have one.
    open_channels: of this node, those that nobody uses any more included. mode: of sockets; "auto"
    takes the native one where this aiohttp allows it. compression: clients may have messages
    compressed. memory: MiB that the process may take; none for no limit. reconnects: a second, of
    all clients, that a drain may cause. away: whether messages are refused or held while Redis
    cannot be reached. workers: processes that share the port; more than one needs redis_url. cors:
    for the REST resources.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    listen: ListenAddress = Address("127.0.0.1", 8082)
    origins: tuple[str, ...] = ()
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    channels: Annotated[tuple[ChannelRule, ...], Field(max_length=256)] = ()
    token_secret: StrongSecret | None = None
    per_user: Annotated[int, Field(ge=1)] | None = None
    per_address: Annotated[int, Field(ge=1)] | None = None
    subscriptions: Annotated[int, Field(ge=1, le=10_000)] = 128
    largest: Annotated[int, Field(ge=256, le=16 * _MEBIBYTE)] = 65_536
    rate: Annotated[float, Field(gt=0, le=100_000)] = 50
    burst: Annotated[int, Field(ge=1, le=100_000)] = 100
    ping: Seconds = 25
    patience: Seconds = 10
    credential: Seconds = 15
    open_channels: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    mode: Mode = "auto"
    compression: bool = False
    memory: Annotated[int, Field(ge=32)] | None = None
    reconnects: Annotated[float, Field(gt=0, le=1_000_000)] = 500
    away: Away = "refuse"
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    cors: CorsSettings | None = None

    @model_validator(mode="after")
    def _tokens(self) -> Self:
        if self.token_secret is None and any(one.subscribe == "token" for one in self.channels):
            raise ValueError('channels: subscribe = "token" needs hub.token_secret')
        return self

    @property
    def rules(self) -> Rules:
        """The rules of its channels."""
        return Rules([one.rule for one in self.channels])
