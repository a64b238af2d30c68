"""Bodies of requests as they were before their sender compressed them: gzip and deflate.

aiohttp can unpack them as well, but takes a gzip body that was cut short for a whole one, and logs
a broken one as a defect of ours. What it has unpacked already is left as it is.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import hdrs, web

from uaitools.errors import ServiceError

_PIECE: Final = 1 << 18  # bytes that are unpacked at once
_WINDOWS: Final = {"gzip": 31, "deflate": 15}
_RAW: Final = -15  # deflate without the header of RFC 1950, as some send it


async def unpacked(request: web.Request, service: str) -> bytes:
    """The body as a whole. Raises ServiceError (400), and HTTPRequestEntityTooLarge."""
    if _window(request) is None:
        return await request.read()
    most = request.client_max_size
    body = bytearray()
    async for piece in pieces(request, service):
        body += piece
        if most and len(body) > most:
            raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=len(body))
    return bytes(body)


async def pieces(request: web.Request, service: str) -> AsyncIterator[bytes]:
    """The body as it comes. Raises ServiceError (400) where it is broken or ends too soon."""
    window = _window(request)
    if window is None:
        async for data in request.content.iter_any():
            yield data
        return
    stream = None
    async for packed in request.content.iter_any():
        data = packed
        more = bool(data)
        while more:
            if stream is None:
                raw = window == _WINDOWS["deflate"] and data[0] & 15 != zlib.DEFLATED
                stream = zlib.decompressobj(_RAW if raw else window)
            elif stream.eof:  # gzip may have several members
                stream = zlib.decompressobj(window)
            try:
                piece = stream.decompress(data, _PIECE)
            except zlib.error as error:
                message = "the body cannot be read; is it as its headers say?"
                raise ServiceError(400, message, service) from error
            data = stream.unconsumed_tail or stream.unused_data
            # zlib may hold back some of what it has read.
            more = bool(data) or (len(piece) == _PIECE and not stream.eof)
            yield piece
    if stream is not None and not stream.eof:
        raise ServiceError(400, "the body ends before what was compressed does", service)


def _window(request: web.Request) -> int | None:
    """What zlib is to expect; None where nothing is to be unpacked."""
    if not request.body_exists or request.content.total_compressed_bytes is not None:
        return None
    return _WINDOWS.get(request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower())
