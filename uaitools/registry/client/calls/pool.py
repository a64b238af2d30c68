"""The connections to a service's instances: aiohttp's pool, and how far a try has come in it."""

from __future__ import annotations

import ssl
from contextvars import ContextVar
from time import monotonic
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from uaitools.registry.client.calls.failure import Broken, Moved, Progress

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession

    from uaitools.registry.client.calls.policy import CallPolicy

PROGRESS: Final[ContextVar[Progress]] = ContextVar("progress")
"""The try that a request of the session belongs to."""

# aiohttp rounds longer timeouts up to whole seconds, and a deadline is a deadline.
_EXACT: Final = float("inf")


def open_session(policy: CallPolicy, tls: ssl.SSLContext | bool) -> ClientSession:
    """A session with the policy's limits, in the running loop. tls: as aiohttp's `ssl`."""
    connector = aiohttp.TCPConnector(
        limit=policy.connections,
        limit_per_host=policy.connections_per_host,
        keepalive_timeout=policy.idle,
        ssl=tls,
        timeout_ceil_threshold=_EXACT,
    )
    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_start.append(_connecting)
    tracing.on_connection_reuseconn.append(_reused)
    tracing.on_request_headers_sent.append(_sent)
    tracing.on_request_redirect.append(_redirected)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=patience(policy, None),
        middlewares=(_once,),
        trace_configs=[tracing],
    )


def patience(policy: CallPolicy, total: float | None) -> aiohttp.ClientTimeout:
    """Aiohttp's timeouts of a try that has `total` seconds."""
    return aiohttp.ClientTimeout(total=total, sock_connect=policy.connect, ceil_threshold=_EXACT)


async def _once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Keep aiohttp from sending again by itself: breaker and budget would not know."""
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, ConnectionError) as error:
        raise Broken(str(error)) from error


async def _connecting(_: ClientSession, __: SimpleNamespace, ___: Any) -> None:
    progress = PROGRESS.get()
    progress.connecting = monotonic()
    progress.found()


async def _reused(_: ClientSession, __: SimpleNamespace, ___: Any) -> None:
    progress = PROGRESS.get()
    progress.reused = True  # aiohttp would not close it, if Moved were raised here
    progress.found()


async def _redirected(
    _: ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestRedirectParams
) -> None:
    """Follow no redirect of a handshake: it would take X-User-Token to wherever it likes."""
    response = params.response
    response.close()
    raise aiohttp.WSServerHandshakeError(
        response.request_info,
        response.history,
        status=response.status,
        message="Invalid response status",
        headers=response.headers,
    )


async def _sent(_: ClientSession, __: SimpleNamespace, ___: Any) -> None:
    progress = PROGRESS.get()
    if not progress.welcome:  # which has become known while the connection was made
        raise Moved  # before anything is written; aiohttp closes the connection
    progress.sent = monotonic()
