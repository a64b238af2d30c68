"""Addresses to listen on, written `HOST:PORT`."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator

_ADDRESS = re.compile(r"(\[(?P<v6>[^\[\]]+)\]|(?P<host>[\w.-]+)):(?P<port>[0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address to listen on. host: a name or an IP address, without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it; a name other than localhost may be anywhere."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


def parse_address(text: object) -> Address:
    """Read `127.0.0.1:8081`, `localhost:0` (any free port) or `[::1]:80`. Raises ValueError."""
    match = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        example = "127.0.0.1:8081, 0.0.0.0:8081 or [::1]:8081"
        raise ValueError(f"must be HOST:PORT, for example {example}, got {text!r}")
    host, port = match["v6"] or match["host"], int(match["port"])
    if port > 65535:
        raise ValueError(f"the port must be at most 65535, got {port}")
    if match["v6"]:
        ipaddress.IPv6Address(host)  # raises ValueError with its reason
    return Address(host, port)


def _address(value: object) -> Address:
    return value if isinstance(value, Address) else parse_address(value)


ListenAddress = Annotated[Address, PlainValidator(_address), PlainSerializer(str, when_used="json")]
"""The type of a model's field that is written `HOST:PORT`."""
