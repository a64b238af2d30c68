"""Limits as they are written: `[limits]`, and one limit in a list of them."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from uaitools.config import Model
from uaitools.limits.keys import HEADER
from uaitools.limits.limit import Limit
from uaitools.traffic.limits import Quota, Rate

_KEY: Final = re.compile(r"principal|address|route|header:[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_NAME: Final = re.compile(r"[!#-\[\]-~]{1,64}")  # what needs no escape in a quoted string
_PERIODS: Final = ("/hour", "/day", "/month")

OnError = Literal["local", "open", "closed"]


class LimitsConfig(Model):
    """The `[limits]` table.

    on_error: while Redis is away, each host counts for itself ("local"), everything passes
    ("open") or nothing ("closed"). timeout: seconds that Redis may take. probe: seconds between
    attempts while it is away. batch: calls leased in advance for one key, at most. slots: how many
    keys of all limits can be counted apart at a time; beyond that some share.
    """

    on_error: OnError = "local"
    timeout: Annotated[float, Field(gt=0, le=10)] = 0.25
    probe: Annotated[float, Field(gt=0, le=300)] = 1
    batch: Annotated[int, Field(ge=0, le=10_000)] = 100
    slots: Annotated[int, Field(ge=8, le=1 << 26)] = 1 << 17


class LimitSettings(Model):
    """One limit: a rate with its burst, or a quota, and whose calls it counts.

    A text is short for a rate ("100/s") or a quota ("10000/day"). key: principal, which is the
    client's address for anonymous calls, address, route, or header:NAME. name: what clients see
    in RateLimit; the rule itself unless given.
    """

    rate: str | None = None
    quota: str | None = None
    burst: Annotated[int, Field(ge=1)] | None = None
    key: str = "principal"
    name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: object) -> object:
        if isinstance(value, str):
            return {"quota" if value.endswith(_PERIODS) else "rate": value}
        return value

    @field_validator("key")
    @classmethod
    def _known_key(cls, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise ValueError(f"a key is principal, address, route or header:NAME, not {key!r}")
        return HEADER + key.removeprefix(HEADER).lower() if key.startswith(HEADER) else key

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str | None) -> str | None:
        if name is not None and not _NAME.fullmatch(name):
            raise ValueError(
                "a name is 1 to 64 printable ASCII characters without spaces, quotes, backslashes"
            )
        return name

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.rate is None) == (self.quota is None):
            raise ValueError("a limit has either a rate, as 100/s, or a quota, as 10000/day")
        if self.burst is not None and self.rate is None:
            raise ValueError("a burst belongs to a rate; a quota has none")
        self.rule()
        return self

    def rule(self) -> Rate | Quota:
        """What the texts say."""
        if self.rate is not None:
            return Rate.parse(self.rate, self.burst)
        assert self.quota is not None
        return Quota.parse(self.quota)

    def limit(self, scope: str = "") -> Limit:
        """The limit that this describes, apart from those of other scopes."""
        return Limit(self.name or self.rate or self.quota or "", self.rule(), self.key, scope)
