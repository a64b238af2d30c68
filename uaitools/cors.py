"""Which pages of other origins may use a service from a browser (Fetch standard, CORS protocol).

The settings are those of proxied routes (`uaitools.proxy.routing.cors`) and of aiohttp applications
alike; for the latter `enable` hands them to aiohttp-cors.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from aiohttp import hdrs, web
from pydantic import Field, field_validator, model_validator

from uaitools.config import Model

ANY: Final = "*"
_ORIGIN: Final = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9.\-]+)(?::([0-9]{1,5}))?")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class CorsSettings(Model):
    """What browsers let pages of other origins do.

    origins: as browsers send them, "null" among them, or "*" for every one. methods: those that a
    preflight allows, all of the route's when empty. headers: request fields that it allows, "*" for
    whatever is asked for. expose: response fields that scripts may read. credentials: cookies and
    HTTP authentication are sent along. max_age: seconds that a preflight's answer is remembered.
    """

    origins: Annotated[tuple[str, ...], Field(min_length=1, max_length=256)]
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age: Annotated[int, Field(ge=0, le=86_400)] = 600

    @field_validator("origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin in (ANY, "null"):
                continue
            match = _ORIGIN.fullmatch(origin)
            if match is None or match[3] == _DEFAULT_PORTS[match[1]]:
                raise ValueError(
                    f"{origin!r} is no origin: write it as browsers send it, in lower case and "
                    'without path or default port, "https://app.example.org", or "*"'
                )
        return origins

    @field_validator("methods", "headers", "expose")
    @classmethod
    def _tokens(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if _TOKEN.fullmatch(name) is None:
                raise ValueError(f"{name!r} is not the name of a method or a header")
        return names

    @model_validator(mode="after")
    def _no_wildcard_with_credentials(self) -> Self:
        if self.credentials and (ANY in self.origins or ANY in self.expose):
            raise ValueError('"*" cannot be had with credentials: list what you trust')
        return self


PREFLIGHTS: Final = web.AppKey[set[web.AbstractRoute]]("preflights", set)
"""The routes of an application that answer preflights, and nothing else."""


def enable(app: web.Application, settings: CorsSettings) -> None:
    """Answer preflights of `app`, and add to its answers what browsers want, for all its routes.

    Call it before the application starts; routes may be added until then.
    """
    import aiohttp_cors  # noqa: PLC0415 - only where it is configured

    options = aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call]
        allow_credentials=settings.credentials,
        expose_headers=settings.expose,
        allow_headers=ANY if ANY in settings.headers else settings.headers,
        max_age=settings.max_age,
        allow_methods=list(settings.methods) or None,
    )
    cors = aiohttp_cors.setup(app, defaults=dict.fromkeys(settings.origins, options))
    preflights: set[web.AbstractRoute] = set()
    app[PREFLIGHTS] = preflights

    async def add_routes(app: web.Application) -> None:
        before = set(app.router.routes())
        for resource in list(app.router.resources()):
            for route in list(resource):
                if route.method not in (hdrs.METH_OPTIONS, hdrs.METH_ANY):
                    cors.add(route)
        preflights.update(set(app.router.routes()) - before)

    async def vary(_request: web.Request, response: web.StreamResponse) -> None:
        # aiohttp-cors repeats the origin even for "*", and leaves this out: a cache would give one
        # origin's answer to another.
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)

    app.on_startup.append(add_routes)
    app.on_response_prepare.append(vary)
