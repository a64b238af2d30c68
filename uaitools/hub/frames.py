"""The frames of a WebSocket, a server's side: RFC 6455. Pure.

What is read is checked in full: a client that breaks a rule gets a Violation, whose code the close
frame has to have. What is written is never masked and never fragmented.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

# Opcodes, RFC 6455 5.2.
CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

COMPRESSED: Final = 0x40  # RSV1, in the first frame of a message: RFC 7692 6

_FIN: Final = 0x80
_RESERVED: Final = 0x70
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80
_CONTROL: Final = 0x8
_SHORT: Final = 125  # bytes of a payload whose length stands in the second byte
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127

# Close codes, RFC 6455 7.4.1.
PROTOCOL_ERROR: Final = 1002
INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009
NO_STATUS: Final = 1005  # there was no code in the frame
# What a peer may send: those that are defined for it, and those of libraries and applications.
_SENT: Final = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))
_PRIVATE: Final = range(3000, 5000)

PING_FRAME: Final = bytes((_FIN | PING, 0))  # one without a payload

_NOTHING: Final = bytearray()  # shared by all readers, and never changed
_new_decoder: Final = codecs.getincrementaldecoder("utf-8")


class Violation(Exception):
    """The peer breaks a rule. code: for the close frame; the text is its reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(slots=True)
class Text:
    """A message of text."""

    text: str


@dataclass(slots=True)
class Binary:
    """A message of bytes."""

    data: bytes


@dataclass(slots=True)
class Ping:
    """To be answered with a pong of the same payload."""

    payload: bytes


@dataclass(slots=True)
class Pong:
    """The peer is there."""

    payload: bytes


@dataclass(slots=True)
class Close:
    """The peer sends no more. code: 1005 when it gave none."""

    code: int
    reason: str


Event = Text | Binary | Ping | Pong | Close
# A compressed message, and how many bytes it has at most -> the message. Raises Violation.
Inflate = Callable[[bytes, int], bytes]


class _Foreseen:
    """What was looked at of a frame of text that has not come whole. before: its message's."""

    __slots__ = ("_decoder", "_size")

    def __init__(self, before: codecs.IncrementalDecoder | None) -> None:
        self._decoder = _new_decoder()
        if before is not None:
            self._decoder.setstate(before.getstate())
        self._size = 0  # bytes of its payload

    def look(self, frame: bytearray, begin: int) -> None:
        """Look at the rest of what there is of it. begin: of its payload. Raises Violation."""
        mask, turned = bytes(frame[begin - 4 : begin]), self._size % 4
        payload = _unmasked(mask[turned:] + mask[:turned], bytes(frame[begin + self._size :]))
        self._size += len(payload)
        try:
            self._decoder.decode(payload)
        except UnicodeDecodeError as error:
            raise Violation(INVALID_DATA, "text is not UTF-8") from error


class FrameReader:
    """Makes messages of the bytes of one client.

    largest: bytes of a message, its fragments together. inflate: for a client who may compress.
    After a Close or a Violation nothing more may be fed.
    """

    __slots__ = (
        "_decoder",
        "_foreseen",
        "_inflate",
        "_largest",
        "_message",
        "_needed",
        "_opcode",
        "_rest",
    )

    def __init__(self, largest: int, inflate: Inflate | None = None) -> None:
        self._largest = largest
        self._inflate = inflate
        self._rest = _NOTHING  # of a frame that is not whole yet
        self._needed = 0  # bytes that it has at least
        self._opcode = CONTINUATION  # of the message whose fragments come, and COMPRESSED
        self._message: bytearray | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        self._foreseen: _Foreseen | None = None

    def __repr__(self) -> str:
        return f"<FrameReader rest={len(self._rest)} fragmented={self._message is not None}>"

    @property
    def kept(self) -> int:
        """Bytes kept of what is not whole yet."""
        return len(self._rest) + len(self._message or b"")

    def feed(self, data: bytes, on_event: Callable[[Event], None]) -> None:
        """Hand on what `data` completes, in its order. Raises Violation, after what came before."""
        buffer = data
        if self._rest:
            # Not joined with each piece: of a large frame there may be thousands.
            self._rest += data
            if len(self._rest) < self._needed:
                self._foresee()
                return
            buffer, self._rest = bytes(self._rest), _NOTHING
        at, end = 0, len(buffer)
        self._needed = 2
        while end - at >= 2:
            first, second = buffer[at], buffer[at + 1]
            length = second & 0x7F
            begin = at + 6  # after two bytes and the mask
            if length > _SHORT:
                begin = at + (8 if length == _LENGTH_16 else 14)
            self._check(first, second, length)
            self._needed = begin - at
            if end < begin:
                break
            if length > _SHORT:
                length = _extended(buffer[at + 2 : begin - 4], length)
            had = len(self._message) if self._message is not None else 0
            if not first & _CONTROL and length > self._largest - had:
                self._check_compressed(first, had + length)
            self._needed += length
            if end - begin < length:
                break
            payload = _unmasked(buffer[begin - 4 : begin], buffer[begin : begin + length])
            at, self._needed = begin + length, 2
            event = self._frame(first, payload)
            if event is not None:
                on_event(event)
        self._rest, self._foreseen = bytearray(buffer[at:]) if at < end else _NOTHING, None
        self._foresee()

    # -- one frame --------------------------------------------------------------------------

    def _check(self, first: int, second: int, length: int) -> None:
        """Refuse a frame by its first two bytes, before its payload has come."""
        opcode = first & _OPCODE
        reserved = first & _RESERVED
        if reserved and not (reserved == COMPRESSED and self._inflate and opcode in (TEXT, BINARY)):
            raise Violation(PROTOCOL_ERROR, "a reserved bit is set")
        if not second & _MASKED:
            raise Violation(PROTOCOL_ERROR, "a client's frames are masked")
        if opcode & _CONTROL:
            if opcode not in (CLOSE, PING, PONG):
                raise Violation(PROTOCOL_ERROR, "an opcode is not known")
            if not first & _FIN or length > _SHORT:
                raise Violation(PROTOCOL_ERROR, "a control frame is fragmented, or too long")
        elif opcode > BINARY:
            raise Violation(PROTOCOL_ERROR, "an opcode is not known")
        elif (opcode == CONTINUATION) is (self._message is None):
            raise Violation(PROTOCOL_ERROR, "fragments of messages do not fit")

    def _foresee(self) -> None:
        """Refuse text at its first bad byte, not when its frame has come: RFC 6455 8.1."""
        rest = self._rest
        if len(rest) <= 6:
            return  # nothing of its payload
        opcode, length = rest[0] & (COMPRESSED | _OPCODE), rest[1] & 0x7F
        if not (opcode == TEXT or (opcode == CONTINUATION and self._decoder is not None)):
            return
        begin = 6 if length <= _SHORT else 8 if length == _LENGTH_16 else 14
        if self._foreseen is None:
            self._foreseen = _Foreseen(self._decoder if opcode == CONTINUATION else None)
        self._foreseen.look(rest, begin)

    def _check_compressed(self, first: int, size: int) -> None:
        """Refuse a message that is longer than `largest`, unless it may be shorter inflated.

        The worst codes of DEFLATE take 9 bits a byte; some room is left for many small blocks.
        """
        compressed = (first | self._opcode) & COMPRESSED
        if not compressed or size > self._largest + self._largest // 4 + 64:
            raise Violation(TOO_BIG, f"a message has at most {self._largest} bytes")

    def _frame(self, first: int, payload: bytes) -> Event | None:
        """What a whole frame completes."""
        opcode = first & _OPCODE
        match opcode:
            case 0x8:
                return _close(payload)
            case 0x9:
                return Ping(payload)
            case 0xA:
                return Pong(payload)
        final = bool(first & _FIN)
        if self._message is None:
            if final:
                if first & COMPRESSED:
                    payload = self._inflated(payload)
                return Text(_text(payload)) if opcode == TEXT else Binary(payload)
            self._opcode, self._message = first & (COMPRESSED | _OPCODE), bytearray()
            self._decoder = _new_decoder() if self._opcode == TEXT else None
        return self._fragment(payload, final=final)

    def _fragment(self, payload: bytes, *, final: bool) -> Event | None:
        message, decoder = self._message, self._decoder
        assert message is not None
        message += payload
        if decoder is not None:
            try:
                decoder.decode(payload, final)  # at the first bad byte, not at the end
            except UnicodeDecodeError as error:
                raise Violation(INVALID_DATA, "text is not UTF-8") from error
        if not final:
            return None
        opcode, self._opcode = self._opcode, CONTINUATION
        self._message = self._decoder = None
        if opcode & COMPRESSED:
            data = self._inflated(bytes(message))
            return Text(_text(data)) if opcode & _OPCODE == TEXT else Binary(data)
        return Text(message.decode()) if opcode == TEXT else Binary(bytes(message))

    def _inflated(self, data: bytes) -> bytes:
        assert self._inflate is not None
        return self._inflate(data, self._largest)


def _extended(length: bytes, kind: int) -> int:
    """A length of 16 or 64 bits, which has to be the shortest form of its value."""
    value = int.from_bytes(length, "big")
    least = _LENGTH_16 if kind == _LENGTH_16 else 1 << 16
    if value < least or value >= 1 << 63:
        raise Violation(PROTOCOL_ERROR, "a length is not in its shortest form")
    return value


def _unmasked(mask: bytes, payload: bytes) -> bytes:
    """RFC 6455 5.3. As one number: a loop over bytes takes a hundred times as long."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(
        size, "little"
    )


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise Violation(INVALID_DATA, "text is not UTF-8") from error


def _close(payload: bytes) -> Close:
    if not payload:
        return Close(NO_STATUS, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (code in _SENT or code in _PRIVATE):
        raise Violation(PROTOCOL_ERROR, "a close code is none that may be sent")
    return Close(code, _text(payload[2:]))


def encode(opcode: int, payload: bytes) -> bytes:
    """A frame as a server sends it: whole, and not masked."""
    size = len(payload)
    if size <= _SHORT:
        return bytes((_FIN | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((_FIN | opcode, _LENGTH_16)) + size.to_bytes(2, "big") + payload
    return bytes((_FIN | opcode, _LENGTH_64)) + size.to_bytes(8, "big") + payload


def payload(frame: bytes) -> bytes:
    """What `encode` was given."""
    second = frame[1]
    return frame[2 if second <= _SHORT else 4 if second == _LENGTH_16 else 10 :]


def split(frames: bytes) -> Iterator[tuple[int, bytes]]:
    """What `encode` was given, one after the other: opcodes and payloads."""
    at, end = 0, len(frames)
    while at < end:
        length, begin = frames[at + 1], at + 2
        if length > _SHORT:
            begin += 2 if length == _LENGTH_16 else 8
            length = int.from_bytes(frames[at + 2 : begin], "big")
        yield frames[at] & _OPCODE, frames[begin : begin + length]
        at = begin + length


def encode_close(code: int, reason: str = "") -> bytes:
    """A close frame; its reason is cut to what fits, at a character."""
    text = reason.encode()[: _SHORT - 2].decode(errors="ignore").encode()
    return encode(CLOSE, code.to_bytes(2, "big") + text)
