"""`check` of a service: what its endpoints are asked, and which answer is a good one."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from uaitools.config import Model
from uaitools.proxy.config.units import Seconds
from uaitools.proxy.http1.grammar import AUTHORITY, TARGET

REGEX: Final = "re:"  # begins a `body` that is a regular expression
_RANGE: Final = re.compile(r"([2-5][0-9]{2})-([2-5][0-9]{2})")
_OF_HTTP: Final = ("method", "host", "status", "body")


def _statuses(value: object) -> object:
    """`200`, `"200-299"`, or a list of such, as a list of statuses."""
    if not isinstance(value, list | tuple | set | frozenset):
        value = [value]
    found: list[object] = []
    for one in value:
        match = _RANGE.fullmatch(one) if isinstance(one, str) else None
        if match is not None and match[1] <= match[2]:
            found += range(int(match[1]), int(match[2]) + 1)
        elif isinstance(one, int) and not isinstance(one, bool):
            found.append(one)
        else:
            raise ValueError(f'{one!r} is neither a status nor a range of them like "200-299"')
    return found


Statuses = Annotated[
    frozenset[Annotated[int, Field(ge=200, le=599)]],
    Field(min_length=1),
    BeforeValidator(_statuses),
]
Repeated = Annotated[int, Field(ge=1, le=100)]


class Check(Model):
    """An active health check: either `http`, the path to ask for, or `tcp = true`.

    host: the Host header, the endpoint's address unless given. status: those of a good answer.
    body: text that it has to contain in its first 64 KiB, or `re:` and a regular expression.
    interval: seconds between two checks, varied by its part `jitter`. timeout: seconds for one.
    rise, fall: passes in a row until an endpoint comes back, failures until it is taken out.
    """

    http: str | None = None
    tcp: bool = False
    method: Literal["GET", "HEAD", "OPTIONS"] = "GET"
    host: str | None = None
    status: Statuses = frozenset(range(200, 300))
    body: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    interval: Annotated[float, Field(ge=0.25, le=86_400)] = 5
    timeout: Seconds = 2
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.2
    rise: Repeated = 2
    fall: Repeated = 3

    @field_validator("http")
    @classmethod
    def _path(cls, value: str | None) -> str | None:
        if value is not None and not (
            value.startswith("/") and TARGET.fullmatch(value.encode()) is not None
        ):
            raise ValueError("a check's path begins with '/'; spaces and other bytes are escaped")
        return value

    @field_validator("host")
    @classmethod
    def _host(cls, value: str | None) -> str | None:
        if value is not None and AUTHORITY.fullmatch(value.encode()) is None:
            raise ValueError("a host is a name or an address with an optional port")
        return value

    @field_validator("body")
    @classmethod
    def _body(cls, value: str | None) -> str | None:
        if value is not None and value.startswith(REGEX):
            try:
                re.compile(value.removeprefix(REGEX).encode())
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.http is not None) is self.tcp:
            raise ValueError('a check has either a path, http = "/health", or tcp = true')
        if self.tcp and (given := [key for key in _OF_HTTP if key in self.model_fields_set]):
            raise ValueError(f"{given[0]} needs http: a tcp check only opens a connection")
        if self.method == "HEAD" and self.body is not None:
            raise ValueError("an answer to HEAD has no body to look at")
        return self
