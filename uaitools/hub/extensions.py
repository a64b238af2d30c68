"""Which extensions of WebSocket a client gets: RFC 6455 9.1 and RFC 7692 7.1. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from uaitools.errors import ServiceError
from uaitools.hub.deflate import WINDOW
from uaitools.hub.errors import SERVICE

HEADER: Final = "Sec-WebSocket-Extensions"

_DEFLATE: Final = "permessage-deflate"
_AGREED: Final = f"{_DEFLATE}; server_no_context_takeover; client_no_context_takeover"
_WINDOW: Final = re.compile("server_max_window_bits=([0-9]+)")
_BITS: Final = frozenset(map(str, range(8, 16)))

_WORD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_BETWEEN: Final = re.compile(r"[ \t,]*")  # elements of a list may be empty, RFC 9110 5.6.1
_NAME: Final = re.compile(rf"({_WORD})[ \t]*")
_PARAMETER: Final = re.compile(
    rf';[ \t]*({_WORD})[ \t]*(?:=[ \t]*(?:({_WORD})|"((?:[^"\\]|\\.)*)")[ \t]*)?'
)
_ESCAPED: Final = re.compile(r"\\(.)")
_WHOLE: Final = re.compile(_WORD)


@dataclass(frozen=True, slots=True)
class Offer:
    """An extension, its parameters as they came; one without a value has none."""

    name: str
    parameters: tuple[tuple[str, str | None], ...]


def agree(values: Iterable[str], *, allowed: bool) -> str:
    """What the answer says in Sec-WebSocket-Extensions; nothing when nothing is compressed.

    values: of the request's header lines of that name. allowed: whether the operator wants it.

    Raises ServiceError, 400 for what is no such header.
    """
    if not allowed:
        return ""
    answers = list(filter(None, map(_answer, read_offers(values))))
    return next(filter(compresses, answers), answers[0] if answers else "")


def compresses(agreed: str) -> bool:
    """Whether what is sent may be compressed: not for a client whose window is smaller than ours.

    Messages are compressed once for all. A side that may compress need not, RFC 7692 7.2.1; what
    such a client compresses itself is read all the same.
    """
    window = _WINDOW.search(agreed)
    return bool(agreed) and (window is None or int(window[1]) >= WINDOW)


def _answer(offer: Offer) -> str:
    """What is answered to an offer, nothing to one that is declined: RFC 7692 7.1."""
    said = dict(offer.parameters)
    if offer.name != _DEFLATE or len(said) < len(offer.parameters):
        return ""
    answer = _AGREED
    for name, value in said.items():
        match name:
            case "server_no_context_takeover" | "client_no_context_takeover":
                fits = value is None
            case "client_max_window_bits":
                fits = value is None or value in _BITS  # a hint, and any of them can be read
            case "server_max_window_bits":
                fits = value in _BITS
                answer += f"; {name}={min(WINDOW, int(value))}" if fits and value else ""
            case _:
                fits = False
        if not fits:
            return ""
    return answer


def read_offers(values: Iterable[str]) -> list[Offer]:
    """The offers of all header lines, what the client likes best first.

    Raises ServiceError, 400: what is not written by the rules fails the handshake.
    """
    return [offer for value in values for offer in _offers(value)]


def _offers(line: str) -> Iterator[Offer]:
    at = _skipped(line, 0)
    while at < len(line):
        name = _match(_NAME, line, at)
        at, parameters = name.end(), []
        while line.startswith(";", at):
            parameter = _match(_PARAMETER, line, at)
            parameters.append((parameter[1], _value(parameter[2], parameter[3])))
            at = parameter.end()
        if at < len(line) and line[at] != ",":
            raise _malformed()
        yield Offer(name[1], tuple(parameters))
        at = _skipped(line, at)


def _skipped(line: str, at: int) -> int:
    return _match(_BETWEEN, line, at).end()


def _match(pattern: re.Pattern[str], line: str, at: int) -> re.Match[str]:
    match = pattern.match(line, at)
    if match is None:
        raise _malformed()
    return match


def _value(token: str | None, quoted: str | None) -> str | None:
    """A parameter's value; one that is quoted is a token as well, once its quotes are gone."""
    if quoted is None:
        return token
    value = _ESCAPED.sub(r"\1", quoted)
    if _WHOLE.fullmatch(value) is None:
        raise _malformed()
    return value


def _malformed() -> ServiceError:
    text = f"{HEADER} is a list of names with parameters: a; b=1, c"
    return ServiceError(400, text, SERVICE)


def line(agreed: str) -> bytes:
    """What `agree` said as a line of the answer; nothing for nothing."""
    return f"{HEADER}: {agreed}\r\n".encode() if agreed else b""
