"""Every kind of index that runs here, as the settings that lead to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from tests.peers.weaviate.server import weaviate_double

KINDS: Final = ("local", "pgvector", "weaviate")


@asynccontextmanager
async def index_of(kind: str) -> AsyncIterator[Mapping[str, str]]:
    """The `[memory.index]` table of a kind; what it leads to is there while the block lasts."""
    if kind == "weaviate":
        async with weaviate_double() as double:
            yield double.settings
    else:
        yield {"kind": kind}
