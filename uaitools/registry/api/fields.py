"""The types of fields that come: bounds, forms, and how JSON schema tells of them."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from uaitools.fields import WHOLE
from uaitools.registry.address import valid_address
from uaitools.registry.checks.target import PATH, PATH_LIMIT, valid_path
from uaitools.registry.evidence import State
from uaitools.registry.model import NAME

_SECONDS: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,25})?(?:e-[0-9]{1,3})?)(ms|s)?")
_UNITS: Final = {"ms": 0.001, "s": 1.0}
_MOST: Final = 1e9  # more digits than that has no text
_ADDRESSES: Final = ("ipv4", "ipv6", "hostname")

_NOT_NAMES: Final = (".", "..")  # no path leads to them, RFC 3986 5.2.4


def _no_dots(name: str) -> str:
    if name in _NOT_NAMES:
        raise ValueError("a name is neither . nor ..")
    return name


Name = Annotated[
    str,
    Field(pattern=NAME),
    AfterValidator(_no_dots),
    WithJsonSchema({"type": "string", "pattern": NAME, "not": {"enum": _NOT_NAMES}}),
]
Text = Annotated[str, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
Label = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f,]{1,64}$")]
Tags = Annotated[tuple[Label, ...], Field(max_length=64)]
Meta = Annotated[
    dict[Label, Text], Field(max_length=64, json_schema_extra={"additionalProperties": False})
]


Big = Annotated[int, Field(ge=0, lt=1 << 53), WHOLE]
Weight = Annotated[int, Field(ge=0, le=1000), WHOLE]
Port = Annotated[int, Field(ge=1, le=65535), WHOLE]
Repeated = Annotated[int, Field(ge=1, le=100), WHOLE]
Address = Annotated[
    str,
    Field(min_length=1, max_length=255),
    AfterValidator(valid_address),
    WithJsonSchema({"anyOf": [{"type": "string", "format": f} for f in _ADDRESSES]}),
]
Path = Annotated[
    str,
    AfterValidator(valid_path),
    WithJsonSchema({"type": "string", "maxLength": PATH_LIMIT, "pattern": f"^{PATH}$"}),
]


def _seconds(value: object) -> object:
    """`30`, `"30s"` or `"500ms"` as seconds."""
    if not isinstance(value, str):
        return value
    match = _SECONDS.fullmatch(value)
    if match is None:
        raise ValueError('is a time such as "30s" or "500ms"')
    return float(match[1]) * _UNITS[match[2] or "s"]


def _time() -> WithJsonSchema:
    number = {"type": "number", "minimum": 0, "exclusiveMaximum": _MOST}
    text = {"type": "string", "pattern": f"^{_SECONDS.pattern}$"}
    return WithJsonSchema({"anyOf": [number, text]})


Time = Annotated[float, BeforeValidator(_seconds), Field(ge=0, lt=_MOST), _time()]


def _ttl(seconds: float) -> float:
    if 0 < seconds < 1:
        raise ValueError("is 0, for no heartbeats, or at least 1 second")
    return seconds


_LONGEST: Final = 86_400
_TTLS: Final = [{"const": 0}, {"type": "number", "minimum": 1, "maximum": _LONGEST}]
Ttl = Annotated[
    float, Field(ge=0, le=_LONGEST), AfterValidator(_ttl), WithJsonSchema({"anyOf": _TTLS})
]
_STATES: Final = "|".join(State)
States = Annotated[str, Field(pattern=f"^({_STATES})(,({_STATES}))*$", max_length=128)]
