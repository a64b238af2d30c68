"""`[proxy.access_log]`: one JSON line a request, to a file or to standard output."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from uaitools.config import Model


class AccessLogSettings(Model):
    """The access log.

    file: an absolute path, appended to, or "-" for standard output. sample: the part of requests
    that is logged, chosen by their request id. errors: log whatever failed (5xx, broken off) even
    where the sample leaves it out. query: not at all, or its names without their values. buffer:
    bytes that wait while the file or its reader is slow; what comes beyond is dropped and counted.
    """

    enabled: bool = False
    file: str = "-"
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    errors: bool = True
    query: Literal["off", "redacted"] = "off"
    buffer: Annotated[int, Field(ge=64 << 10, le=1 << 30)] = 4 << 20

    @field_validator("file")
    @classmethod
    def _file(cls, file: str) -> str:
        if file != "-" and (not file.startswith("/") or file.endswith("/") or "\0" in file):
            raise ValueError('must be an absolute path of a file, or "-" for standard output')
        return file
