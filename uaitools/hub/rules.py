"""Who may subscribe and publish to which channels, and how each is kept: the rules. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from uaitools.auth.principal import GUEST, Principal
from uaitools.hub.channel import ChannelPolicy
from uaitools.hub.commands import CommandError

PUBLISH: Final = "hub:publish"
ALL: Final = "all"
USER: Final = "user:"
_REMEMBERED: Final = 4096  # channels

Readers = Literal["everyone", "user", "owner", "token", "publisher"]
"""Who subscribes: without a credential, with one, the user that the name ends with, who has a
token for it, who may publish anything."""

Writers = Literal["publisher", "reader"]
"""Who publishes: those with the scope hub:publish, or whoever is subscribed."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for the channels that `match`: a name, or the beginning of names with `*`.

    presence: who is there is kept. joins: and told when it changes.
    """

    match: str
    subscribe: Readers = "user"
    publish: Writers = "publisher"
    policy: ChannelPolicy = field(default_factory=ChannelPolicy)
    presence: bool = True
    joins: bool = False

    def fits(self, channel: str) -> bool:
        """Whether it is for this channel."""
        if self.match.endswith("*"):
            return channel.startswith(self.match[:-1])
        return channel == self.match


USUAL: Final = (
    Rule("public", subscribe="everyone"),
    Rule("public:*", subscribe="everyone"),
    Rule(ALL, presence=False),
    Rule(f"{USER}*", subscribe="owner", presence=False),
    Rule("private:*", subscribe="token"),
    Rule("*"),
)


class Rules:
    """The rules of an operator, and after these the usual ones: the first that fits holds."""

    __slots__ = ("_rules", "find")

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self._rules = (*rules, *USUAL)
        self.find = lru_cache(_REMEMBERED)(self._find)  # asked several times for each subscription

    def __repr__(self) -> str:
        return f"<Rules {' '.join(rule.match for rule in self._rules)}>"

    def _find(self, channel: str) -> Rule:
        """What holds for a channel."""
        return next(rule for rule in self._rules if rule.fits(channel))

    def check_reader(self, channel: str, reader: Principal, *, granted: bool) -> None:
        """Let pass who may subscribe. granted: has a token for the channel. Raises CommandError."""
        rule = self.find(channel)
        if rule.subscribe == "everyone" or reader.has((PUBLISH,)):
            return
        if reader == GUEST:
            raise CommandError("unauthorized", f"{channel} needs a credential")
        if rule.subscribe == "owner" and channel != rule.match[:-1] + reader.id:
            raise CommandError("forbidden", f"{channel} is another user's")
        if rule.subscribe == "token" and not granted:
            raise CommandError("forbidden", f"{channel} needs a token that is made for it")
        if rule.subscribe == "publisher":
            raise CommandError("forbidden", f"{channel} needs the scope {PUBLISH}")

    def check_writer(self, channel: str, writer: Principal, *, subscribed: bool) -> None:
        """Let pass who may publish. Raises CommandError."""
        if writer.has((PUBLISH,)):
            return
        if self.find(channel).publish == "publisher":
            raise CommandError("forbidden", f"to publish to {channel} needs the scope {PUBLISH}")
        if not subscribed:
            raise CommandError("forbidden", f"subscribe to {channel} before you publish to it")
