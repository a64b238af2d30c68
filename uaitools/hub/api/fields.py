"""The types of fields that come over HTTP, and how JSON schema tells of them."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from uaitools.fields import WHOLE
from uaitools.hub import commands
from uaitools.hub.place import EPOCH, Place, read_places

_BEARER: Final = r"^[A-Za-z0-9._~+/=-]*$"  # RFC 6750 2.1
_NAMED: Final = rf"[A-Za-z0-9._~%-]+={EPOCH}:[0-9]{{1,15}}"
_LONGEST: Final = 16 * 1024  # 32 channels, whatever their names
_PLACES: Final = rf"^({_NAMED}(,{_NAMED})*)?$"


def _places(text: str) -> str:
    read_places(text)
    return text


Channel = commands.Channel
Name = commands.Name
Connection = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Repository = (
    Annotated[str, Field(min_length=1, max_length=256)]
    | Annotated[int, Field(ge=0, lt=1 << 53), WHOLE]
)
Limit = commands.Limit
Places = Annotated[
    str,
    Field(max_length=_LONGEST),
    AfterValidator(_places),
    WithJsonSchema({"type": "string", "maxLength": _LONGEST, "pattern": _PLACES}),
]
Token = Annotated[str, Field(max_length=8192, pattern=_BEARER)]
Grant = Annotated[str, Field(max_length=1024, pattern=_BEARER)]
Seconds = Annotated[float, Field(ge=0, le=60)]

__all__ = [
    "Channel",
    "Connection",
    "Grant",
    "Limit",
    "Name",
    "Place",
    "Places",
    "Repository",
    "Seconds",
    "Token",
]
