"""Data of messages as the application's types: the only place that needs pydantic."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import orjson

from uaitools.hub.client.events import Invalid, Message

if TYPE_CHECKING:
    from uaitools.hub.client.subscription import Read

T = TypeVar("T")


def typed(kind: type[T]) -> Read[T]:
    """What reads messages whose data is a `kind`: a pydantic model, a dataclass, list[int] ..."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - only who wants it pays

    adapter = TypeAdapter(kind)

    def read(message: Message[Any]) -> Message[T] | Invalid:
        try:
            # From JSON: a strict model takes a text for a date there, and nowhere else.
            data = adapter.validate_json(orjson.dumps(message.data))
        except ValidationError as error:
            return Invalid(message, error)
        return cast("Message[T]", replace(message, data=data))

    return read
