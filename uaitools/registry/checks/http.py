"""The check by a request: which status comes back."""

from __future__ import annotations

from typing import Final

import aiohttp
from yarl import URL

from uaitools.registry.address import web_scheme
from uaitools.registry.checks.answer import GOOD, WEAK, Answer
from uaitools.registry.checks.target import url
from uaitools.registry.model import Check, Instance

HEADERS: Final = {
    "User-Agent": "uaitools-check",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
# Of what the peer sends, held at once; no byte of the body is looked at.
READ_LIMIT: Final = 64 * 1024


async def ask_http(check: Check, instance: Instance, session: aiohttp.ClientSession) -> Answer:
    """GET the check's path, over TLS where the instance's scheme is https or wss.

    Raises aiohttp.ClientError, OSError, and ValueError for an address or a path that is none.
    """
    response = await get(check, instance, session, HEADERS)
    try:
        return judge(response.status)
    finally:
        end(response)


async def get(
    check: Check, instance: Instance, session: aiohttp.ClientSession, headers: dict[str, str]
) -> aiohttp.ClientResponse:
    """The head of the answer, with the rest still on the connection; `end` it."""
    scheme = web_scheme(instance.scheme)
    return await session.get(
        URL(url(scheme, instance.address, instance.port, check.path), encoded=True),
        headers=headers,
        allow_redirects=False,
        auto_decompress=False,
        read_bufsize=READ_LIMIT,
    )


def judge(status: int) -> Answer:
    """What a status says."""
    if 200 <= status < 300:
        return GOOD
    return WEAK if status == 429 else Answer(f"status {status}")


def end(response: aiohttp.ClientResponse) -> None:
    """Close the connection, whatever the peer is still sending or ought to say."""
    connection = response.connection
    if connection is not None and connection.protocol is not None:
        # Not `close`: over TLS that would wait for the peer's close_notify.
        connection.protocol.abort()
    response.close()
