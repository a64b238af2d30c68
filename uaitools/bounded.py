"""Bodies of answers from others, which may be as long as those like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiohttp import ClientResponse

_CHUNK: Final = 65_536


async def read_bounded(response: ClientResponse, largest: int) -> bytes:
    """The body of an answer. Raises ValueError as soon as it has more than `largest` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > largest:
            raise ValueError(f"an answer of over {largest} bytes")
    return bytes(body)
