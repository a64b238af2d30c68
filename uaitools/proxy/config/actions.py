"""What a route does with a request beside sending it to one service."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from uaitools.config import Model
from uaitools.proxy.routing.edits import may_edit
from uaitools.proxy.routing.pattern import RESERVED, placeholders
from uaitools.proxy.routing.reply import BODILESS

_BODY_LIMIT: Final = 64 * 1024  # characters of a fixed answer
_VALUE: Final = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")
# A path, or an http URL whose host is written out or the request's: what a request brings stands
# behind them, so that no client can choose where others are sent.
_TARGET: Final = re.compile(
    r"(?:https?://(?:\{host\}|[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)?"
    r"(?:(?:/(?!/)|\{path\})[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~{}]*)?(?:\{query\})?"
)


class Target(Model):
    """A service that takes its share of a route's requests, by weight."""

    service: str
    weight: Annotated[int, Field(ge=0, le=1_000_000)] = 1


class RedirectTo(Model):
    """An answer that sends clients elsewhere.

    to: an http URL or a path, in which {path}, {query} (with its '?'), {host} and the parameters
    of the route's path stand for the request's.
    """

    to: str
    status: Literal[301, 302, 303, 307, 308] = 308

    @field_validator("to")
    @classmethod
    def _to(cls, to: str) -> str:
        if not to or not _TARGET.fullmatch(to):
            raise ValueError("a redirect goes to a path or to http(s)://HOST/PATH, escaped")
        if "/{path}" in to:
            raise ValueError("{path} begins with a slash: leave out the one before it")
        return to

    def unknown(self, names: frozenset[str]) -> list[str]:
        """The placeholders that stand for nothing, where a path has parameters with `names`."""
        known = names | {name.decode() for name in RESERVED}
        return [n for n in map(bytes.decode, placeholders(self.to.encode())) if n not in known]


class FixedResponse(Model):
    """An answer that is always the same."""

    status: Annotated[int, Field(ge=200, le=599)] = 200
    body: Annotated[str, Field(max_length=_BODY_LIMIT)] = ""
    content_type: str = "text/plain; charset=utf-8"

    @field_validator("status")
    @classmethod
    def _known_status(cls, status: int) -> int:
        if status not in {known.value for known in HTTPStatus}:
            raise ValueError("a status is one that HTTP defines, such as 200, 404 or 503")
        return status

    @field_validator("content_type")
    @classmethod
    def _one_line(cls, value: str) -> str:
        return _value(value)

    @model_validator(mode="after")
    def _body_fits(self) -> FixedResponse:
        if self.body and self.status in BODILESS:
            raise ValueError(f"an answer with status {self.status} has no body")
        return self


class FieldEdits(Model):
    """Header fields to replace or to bring in (set), to bring in beside others (add), to drop."""

    set: dict[str, str] = Field(default_factory=dict)
    add: dict[str, str] = Field(default_factory=dict)
    remove: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names(self) -> FieldEdits:
        seen: dict[str, None] = {}
        for name in (*self.set, *self.add, *self.remove):
            editable(name)
            if name.lower() in seen:
                raise ValueError(f"{name} stands here twice; set replaces, add keeps what there is")
            seen[name.lower()] = None
        for value in (*self.set.values(), *self.add.values()):
            _value(value)
        return self


def editable(name: str) -> None:
    """Raise ValueError for a field that is not a route's to look at or to change."""
    if not may_edit(name):
        raise ValueError(
            f"{name!r} is no header of a route's: framing, connection, forwarding and identity "
            "are the gateway's, Host is host_header, and names have no underscore"
        )


def _value(value: str) -> str:
    if not _VALUE.fullmatch(value):
        raise ValueError("a header's value is one line of ASCII without spaces at its ends")
    return value
