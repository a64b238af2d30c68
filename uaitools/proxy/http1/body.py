"""Message bodies: decoded strictly piece by piece, and encoded again by ourselves.

A decoder is fed whatever the socket gave and returns the payload in it. When `done`, `rest`
holds the bytes behind the body, which belong to the next message. Memory is bounded: payload
is handed on at once, only an unfinished chunk line or trailer section is kept.
"""

from __future__ import annotations

from typing import Final

from uaitools.proxy.http1.fields import Field, parse_trailer
from uaitools.proxy.http1.grammar import (
    CHUNK_LINE,
    FIELD_COUNT_LIMIT,
    HEAD_LIMIT,
    MessageError,
)

# Values of a head's `body` where it is no number of bytes.
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
CHUNK_LINE_LIMIT: Final = 256

_SIZE, _DATA, _DATA_END, _TRAILERS = range(4)


class LengthBody:
    """A body of `remaining` bytes."""

    __slots__ = ("done", "remaining", "rest")

    def __init__(self, remaining: int) -> None:
        self.remaining = remaining
        self.done = remaining == 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """The part of `data` that belongs to the body."""
        size = len(data)
        if size < self.remaining:
            self.remaining -= size
            return data
        payload = data[: self.remaining]
        self.rest = data[self.remaining :]
        self.remaining = 0
        self.done = True
        return payload


class CloseBody:
    """A body that ends with its connection (RFC 9112 6.3 rule 8); `done` is the caller's to set."""

    __slots__ = ("done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        return data


class ChunkedBody:
    """A chunked body (RFC 9112 7.1). code: the status of its MessageErrors, 400 or 502.

    `trailers` holds the trailer fields that may be relayed, once done.
    """

    __slots__ = ("_code", "_extensions", "_left", "_partial", "_state", "done", "rest", "trailers")

    def __init__(self, code: int) -> None:
        self._code = code
        self._state = _SIZE
        self._left = 0
        self._partial = b""
        self._extensions = 0
        self.done = False
        self.rest = b""
        self.trailers: tuple[Field, ...] = ()

    def feed(self, data: bytes) -> bytes:
        """The payload that `data` completes or continues. Raises MessageError."""
        if self._partial:
            data = self._partial + data
            self._partial = b""
        payload: list[bytes] = []
        position = 0
        size = len(data)
        while position < size or self._state == _TRAILERS:
            if self._state == _DATA:
                piece = data[position : position + self._left]
                payload.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if self._left == 0:
                    self._state = _DATA_END
                continue
            if self._state == _DATA_END:
                step = self._data_end(data, position)
            elif self._state == _SIZE:
                step = self._size(data, position)
            else:
                step = self._trailer_section(data, position)
            if step < 0:
                self._partial = data[position:]
                break
            position = step
            if self.done:
                self.rest = data[position:]
                break
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def _size(self, data: bytes, position: int) -> int:
        end = data.find(b"\r\n", position, position + CHUNK_LINE_LIMIT)
        if end < 0:
            if len(data) - position >= CHUNK_LINE_LIMIT:
                raise MessageError(self._code, f"a chunk line is over {CHUNK_LINE_LIMIT} bytes")
            return -1
        match = CHUNK_LINE.fullmatch(data, position, end)
        if match is None:
            raise MessageError(self._code, "malformed chunk size")
        # Tiny chunks with long extensions would cost far more to read than they carry.
        self._extensions += end - match.end(1)
        if self._extensions > HEAD_LIMIT:
            raise MessageError(self._code, f"chunk extensions are over {HEAD_LIMIT} bytes")
        self._left = int(match[1], 16)
        self._state = _DATA if self._left else _TRAILERS
        return end + 2

    def _data_end(self, data: bytes, position: int) -> int:
        end = data[position : position + 2]
        if end == b"\r\n":
            self._state = _SIZE
            return position + 2
        if end == b"\r":
            return -1
        raise MessageError(self._code, "a chunk does not end where its size says")

    def _trailer_section(self, data: bytes, position: int) -> int:
        if data.startswith(b"\r\n", position):
            self.done = True
            return position + 2
        end = data.find(b"\r\n\r\n", position)
        # Up to three bytes of the CR LF CR LF that ends an unfinished section may have come.
        if end - position > HEAD_LIMIT or (end < 0 and len(data) - position > HEAD_LIMIT + 3):
            raise MessageError(self._code, f"the trailer section is over {HEAD_LIMIT} bytes")
        if end < 0:
            return -1
        lines = data[position:end].split(b"\r\n")
        if len(lines) > FIELD_COUNT_LIMIT:
            raise MessageError(self._code, f"more than {FIELD_COUNT_LIMIT} trailer fields")
        parsed = [parse_trailer(line, self._code) for line in lines]
        self.trailers = tuple([field for field in parsed if field is not None])
        self.done = True
        return end + 4


def encode(payload: bytes, *, done: bool, trailers: tuple[Field, ...] = ()) -> bytes:
    """A piece of a chunked body: `payload` as one chunk, and the end of the body when `done`."""
    chunk = b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
    if not done:
        return chunk
    return b"\r\n".join([chunk + b"0", *[field.line for field in trailers], b"", b""])
