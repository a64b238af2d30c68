"""What a client says: JSON text, one command a message. Pure but for pydantic.

    {"id": 1, "type": "subscribe", "channel": "repo:12", "recover": {"epoch": "e", "offset": 41}}

`id` is the client's and stands in the reply.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from uaitools.hub.place import EPOCH, Place

CHANNEL: Final = r"^[!-~]{1,128}$"
LIMIT: Final = 1000  # messages or members in one reply
_KEYS: Final = 16  # of an object
_SHOWN: Final = 100  # characters of a field's name in the reply that it is wrong
_IDS: Final = 1 << 53
_EPOCH: Final = re.compile(EPOCH, re.ASCII)


def _possible(place: Place) -> Place:
    if _EPOCH.fullmatch(place.epoch) is None or not 0 <= place.offset < _IDS:
        raise ValueError("a place is an epoch that the hub has named, and an offset")
    return place


Id = Annotated[int, Field(ge=0, lt=_IDS)]
Channel = Annotated[str, Field(pattern=CHANNEL)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Limit = Annotated[int, Field(ge=1, le=LIMIT)]
KnownPlace = Annotated[Place, AfterValidator(_possible)]


class Said(BaseModel):
    """What comes: strict about its keys, and about what is a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Id


class Connect(Said):
    """The credential, where the upgrade had none."""

    type: Literal["connect"]
    token: Annotated[str, Field(min_length=1, max_length=8192)]


class Subscribe(Said):
    """Have the messages of a channel from now on, and what came after `recover`.

    filter: see uaitools.filters. token: for private channels.
    """

    type: Literal["subscribe"]
    channel: Channel
    recover: KnownPlace | None = None
    filter: dict[str, Any] | None = None
    token: Annotated[str, Field(max_length=8192)] | None = None


class Unsubscribe(Said):
    """Have them no more."""

    type: Literal["unsubscribe"]
    channel: Channel


class Publish(Said):
    """Send a message to a channel. event: the message's `type`. echo: get it as well."""

    type: Literal["publish"]
    channel: Channel
    event: Name = "message"
    data: Any
    echo: bool = True


class Presence(Said):
    """Who is in a channel: how many, and a page of them, after the user `after`."""

    type: Literal["presence"]
    channel: Channel
    after: Annotated[str, Field(max_length=256)] | None = None
    limit: Limit = 100


class History(Said):
    """What was said in a channel, after `since` or the newest."""

    type: Literal["history"]
    channel: Channel
    since: KnownPlace | None = None
    limit: Limit = 100


class Ping(Said):
    """Ask whether anybody is there."""

    type: Literal["ping"]


class Custom(Said):
    """A command that the application has added."""

    type: str
    data: Any = None


Known = Connect | Subscribe | Unsubscribe | Publish | Presence | History | Ping
Command = Known | Custom
_COMMAND: Final[TypeAdapter[Known]] = TypeAdapter(Annotated[Known, Field(discriminator="type")])


class CommandError(Exception):
    """It is not done. code: for programs, see docs/hub-protocol.md; the text is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BadCommand(CommandError):
    """It cannot be done, whoever asks: a mistake. id: of the command, if known.

    bad_json       it is no JSON object
    unknown_type   there is no such command
    bad_field      a field is missing, wrong, or not known
    too_long       it has more bytes than a command may have
    too_many       there are more than there may be
    """

    def __init__(self, code: str, message: str, id: int | None = None) -> None:  # noqa: A002 - the protocol's word
        super().__init__(code, message)
        self.id = id


def read_command(text: str | bytes, added: Container[str] = ()) -> Command:
    """The command that a client has sent. added: by the application. Raises BadCommand."""
    try:
        document = orjson.loads(text)  # pydantic lets NaN pass, which is no JSON
    except orjson.JSONDecodeError as error:
        raise BadCommand("bad_json", "a command is a JSON object") from error
    _check_size(document, text)
    try:
        return _COMMAND.validate_json(text)
    except ValidationError as error:
        if error.errors(include_url=False)[0]["type"] != "union_tag_invalid":
            raise _bad(error, text) from error
        return _read_custom(text, added, error)


def _check_size(document: object, text: str | bytes) -> None:
    """Refuse keys by the thousand, of which pydantic would make as many complaints."""
    objects = [document]
    if isinstance(document, dict):
        objects += [document.get("recover"), document.get("since")]
    if any(isinstance(one, dict) and len(one) > _KEYS for one in objects):
        raise BadCommand("bad_field", "there are more keys than any command has", read_id(text))


def _read_custom(text: str | bytes, added: Container[str], unknown: ValidationError) -> Custom:
    try:
        command = Custom.model_validate_json(text)
    except ValidationError as error:
        raise _bad(unknown, text) from error
    if command.type not in added:
        raise _bad(unknown, text)
    return command


def _bad(error: ValidationError, text: str | bytes) -> BadCommand:
    first = error.errors(include_url=False, include_input=False)[0]
    match first["type"]:
        case "json_invalid":
            return BadCommand("bad_json", "a command is a JSON object")
        case "model_attributes_type" | "dict_type":
            return BadCommand("bad_json", "a command is a JSON object")
        case "union_tag_invalid" | "union_tag_not_found":
            known = "connect, subscribe, unsubscribe, publish, presence, history, ping"
            return BadCommand("unknown_type", f"a command's type is one of {known}", read_id(text))
    where = ".".join(str(part) for part in first["loc"][1:])[:_SHOWN]
    what = first["msg"].removeprefix("Value error, ")
    return BadCommand("bad_field", f"{where}: {what}", read_id(text))


class _Identified(BaseModel):
    model_config = ConfigDict(strict=True)

    id: Id


def read_id(text: str | bytes) -> int | None:
    """The id of a command, whatever else is wrong with it: its reply should be found."""
    try:
        return _Identified.model_validate_json(text).id
    except ValidationError:
        return None
