"""Errors of the whole toolkit: one class, one shape on the wire.

`ServiceError` carries the HTTP status, a message that says what to do, and the service that
speaks. Whatever a component raises on purpose is one of these; `error_body` is the only place
that turns it into the JSON which clients see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from pydantic import ValidationError


_TOLD: Final = 100  # fields that do not fit


class ServiceError(Exception):
    """A failure that a client is told about.

    code: HTTP status, 400-599. message: what went wrong and what to do, without internal
    addresses. service: the component or the proxied service that failed. retry_after: seconds
    after which the same call may succeed. details: one mapping for each bad field.
    """

    def __init__(
        self,
        code: int,
        message: str,
        service: str,
        *,
        retry_after: float | None = None,
        details: Sequence[Mapping[str, object]] | None = None,
    ) -> None:
        super().__init__(code, message, service)
        self.code = code
        self.message = message
        self.service = service
        self.retry_after = retry_after
        self.details = details

    @property
    def retry_seconds(self) -> int | None:
        """What its Retry-After says, which knows whole seconds only (RFC 9110 10.2.3)."""
        return None if self.retry_after is None else max(1, ceil(self.retry_after))

    def __str__(self) -> str:
        return f"[{self.service}] {self.code}: {self.message}"


def invalid(error: ValidationError, service: str) -> ServiceError:
    """What a client is told of fields that do not fit (422), without what it sent."""
    if error.error_count() > _TOLD:  # each takes 10 us, and a body may have a million
        message = f"over {_TOLD} fields of the request are invalid; send fewer to be told which"
        return ServiceError(422, message, service)
    details = [
        {
            "field": ".".join(map(str, one["loc"])),
            "message": one["msg"].removeprefix("Value error, "),
        }
        for one in error.errors(include_url=False, include_input=False)
    ]
    return ServiceError(422, "the request has invalid fields", service, details=details)


def error_body(
    error: ServiceError, request_id: str, service: str = "", *, message_as: str = ""
) -> bytes:
    """The JSON document of an error: code, message, service, request_id and, if any, details.

    service: who speaks, where that is not `error.service`. message_as: one more field that has the
    message, '' for none.
    """
    document: dict[str, object] = {
        "code": error.code,
        "message": error.message,
        "service": service or error.service,
        "request_id": request_id,
    }
    if message_as:
        document[message_as] = error.message
    if error.details:
        document["details"] = [dict(detail) for detail in error.details]
    return orjson.dumps(document)
