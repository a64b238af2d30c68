"""Who connects where: what a connection is opened with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import orjson

if TYPE_CHECKING:  # generic in its stubs only
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]


@dataclass(frozen=True, slots=True)
class Access:
    """A database and the role to use it as.

    arguments: of asyncpg.connect; a password may be among them. server_settings: what the server
    is told when a connection starts, `role` and `search_path` among them.
    """

    arguments: Mapping[str, Any] = field(repr=False)
    server_settings: Mapping[str, str] = field(default_factory=dict)

    async def connect(self) -> Connection:
        """Open a connection. Raises what asyncpg does."""
        connection: Connection = await asyncpg.connect(
            **self.arguments, server_settings=dict(self.server_settings)
        )
        return connection

    def told(self, settings: Mapping[str, str]) -> Access:
        """The same, with more server settings."""
        return replace(self, server_settings={**self.server_settings, **settings})


async def json_codecs(connection: Connection) -> None:
    """Have a connection read and write `jsonb` and `json` as Python values."""
    for name in ("jsonb", "json"):
        await connection.set_type_codec(
            name, encoder=_dumped, decoder=orjson.loads, schema="pg_catalog"
        )


def _dumped(value: object) -> str:
    return orjson.dumps(value).decode()
