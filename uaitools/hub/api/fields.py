"""The types of fields that come over HTTP, and how JSON schema tells of them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from uaitools.auth.principal import valid_id
from uaitools.hub import commands
from uaitools.hub.place import EPOCH, Place, read_places

_ID: Final = r"^[!-~]([ -~]{0,254}[!-~])?$"
_BEARER: Final = r"^[A-Za-z0-9._~+/=-]*$"  # RFC 6750 2.1
_NAMED: Final = rf"[A-Za-z0-9._~%-]+={EPOCH}:[0-9]{{1,15}}"
_LONGEST: Final = 16 * 1024  # 32 channels, whatever their names
_PLACES: Final = rf"^({_NAMED}(,{_NAMED})*)?$"


class Asked(BaseModel):
    """What comes: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _user(text: str) -> str:
    if not valid_id(text):
        raise ValueError("is 1 to 256 printable ASCII characters, without blanks at its ends")
    return text


def _places(text: str) -> str:
    read_places(text)
    return text


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 5.0 is 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Channel = commands.Channel
Name = commands.Name
User = Annotated[
    str,
    AfterValidator(_user),
    WithJsonSchema({"type": "string", "pattern": _ID}),
]
Connection = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Repository = (
    Annotated[str, Field(min_length=1, max_length=256)]
    | Annotated[int, Field(ge=0, lt=1 << 53), BeforeValidator(_whole)]
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
    "Asked",
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
    "User",
]
