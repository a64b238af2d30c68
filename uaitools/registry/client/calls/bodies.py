"""The bodies of calls: which can be sent again, and JSON made once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import hdrs
from multidict import CIMultiDict

_JSON = "application/json"


def repeatable(data: object) -> bool:
    """Whether a body can be sent again: bytes, text, a form of texts; no stream, no file."""
    if isinstance(data, Mapping):
        return all(isinstance(value, str | bytes | int | float) for value in data.values())
    return data is None or isinstance(data, bytes | bytearray | memoryview | str)


def encoded(data: object, json: Any, headers: CIMultiDict[str]) -> object:
    """The body of a call, made once for all tries; JSON says so in `headers`."""
    if json is None:
        return data
    if data is not None:
        raise ValueError("a call has a body by `data` or by `json`, not by both")
    headers.setdefault(hdrs.CONTENT_TYPE, _JSON)
    return orjson.dumps(json)
