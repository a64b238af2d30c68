"""`[[proxy.routes]]`: which requests go where."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field, field_validator

from uaitools.config import Model
from uaitools.cors import CorsSettings
from uaitools.proxy.http1.grammar import MessageError
from uaitools.proxy.http1.target import normalise

_PATH: Final = re.compile(r"/[!$&'()*+,;=:@%A-Za-z0-9\-._~/]*")
_METHOD: Final = re.compile(r"[A-Z]{1,32}")


class RouteSettings(Model):
    """One route: requests whose path begins with `path` go to `service`.

    methods: those allowed, all when empty. rewrite: replaces the prefix. max_body: bytes. cors:
    what pages of other origins may do; left out, that is the upstream's business.
    """

    path: str
    service: str
    methods: tuple[str, ...] = ()
    rewrite: str | None = None
    max_body: Annotated[int, Field(ge=0)] | None = None
    cors: CorsSettings | None = None

    @field_validator("path", "rewrite")
    @classmethod
    def _path(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not _PATH.fullmatch(value):
            raise ValueError("a path begins with '/' and has no query; other bytes are escaped")
        try:
            normal = normalise(value.encode()).decode()
        except MessageError as error:
            raise ValueError(error.message) from error
        if normal != value:
            # Requests are matched in this form: any other spelling would match none of them.
            raise ValueError(f"a path is written in its normal form, {normal}")
        if value.endswith("*"):
            raise ValueError("a path is a prefix already: leave out the '*'")
        return value

    @field_validator("methods")
    @classmethod
    def _methods(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        for method in methods:
            if not _METHOD.fullmatch(method):
                raise ValueError(f"{method!r} is not a method; methods are upper-case: GET")
        return methods


DEFAULT_ROUTES = (
    RouteSettings(path="/api/chat", methods=("POST",), service="llm-router"),
    RouteSettings(path="/api/memory", service="memory", rewrite="/memories"),
)
