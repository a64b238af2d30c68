"""Limits for an aiohttp application: 429 in the one shape of errors, and headers on every answer.

`uaitools.web.application` installs them behind authentication, which says who calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from uaitools.limits.front import Limits
from uaitools.limits.keys import HEADER, call_key
from uaitools.limits.limit import Limit
from uaitools.limits.verdict import Verdict

_VERDICT: Final = web.RequestKey("limits_verdict", Verdict)

Principal = Callable[[web.Request], str | None]


def limiting(
    service: str,
    limits: Limits,
    rules: Sequence[Limit],
    *,
    principal: Principal,
    exempt: Collection[str] = ("/health",),
) -> Middleware:
    """Let `limits` check every request by all of `rules`.

    service: the name in errors. limits: started and stopped by the caller. principal: who calls,
    None for an anonymous call, which then counts for its address. exempt: paths without a limit.
    Add `tell` to the application's on_response_prepare.
    """
    rules = tuple(rules)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in exempt:
            return await handler(request)
        keys = [_key(request, rule.key, principal) for rule in rules]
        verdict = limits.check(rules, keys, time.monotonic())
        if verdict is None:
            verdict = await limits.wait(rules, keys)
        request[_VERDICT] = verdict
        if verdict.refused is not None:
            raise verdict.error(service)
        return await handler(request)

    return check


async def tell(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Add the header lines of the request's verdict, to an error of the handler as well."""
    verdict = request.get(_VERDICT)
    if verdict is None:
        return
    for line in verdict.lines.split(b"\r\n")[:-1]:
        name, _, value = line.decode().partition(": ")
        response.headers.add(name, value)


def _key(request: web.Request, source: str, principal: Principal) -> bytes:
    header = None
    if source.startswith(HEADER):
        values = request.headers.getall(source.removeprefix(HEADER), ())
        header = ",".join(values).encode("utf-8", "surrogateescape") if values else None
    resource = request.match_info.route.resource
    return call_key(
        source,
        address=request.remote or "",
        principal=principal(request) if source == "principal" else None,
        # A path that no route takes would be a new key each time.
        route=resource.canonical if resource is not None else "",
        header=header,
    )
