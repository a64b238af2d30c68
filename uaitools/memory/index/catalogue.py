"""The index that settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uaitools.memory.index.config import IndexConfig
from uaitools.memory.index.errors import IndexUnavailable
from uaitools.memory.index.local import LocalIndex, VectorSource
from uaitools.memory.index.port import VectorIndex

if TYPE_CHECKING:
    from weaviate.connect import ConnectionParams

    from uaitools.memory.index.pgvector import Scopes
    from uaitools.postgres.database import Database


def index_for(
    config: IndexConfig, model: str, dimension: int, *, source: VectorSource, scopes: Scopes
) -> VectorIndex:
    """An index that is not yet started. Raises IndexUnavailable where its library is missing.

    model: what is recorded with each vector, with name, version and dimension. source: for what is
    in process. scopes: for what is in the database.
    """
    match config.chosen:
        case "local":
            return LocalIndex(source, dimension, config.room)
        case "pgvector":
            from uaitools.memory.index.pgvector import PgvectorIndex  # noqa: PLC0415

            return PgvectorIndex(scopes, model, dimension, config.write_timeout)
        case "weaviate":
            return _weaviate(config, model, dimension)


async def provide(config: IndexConfig, database: Database) -> None:
    """Make what an index needs in the database, as its owner. Raises IndexUnavailable."""
    if config.chosen == "pgvector":
        from uaitools.memory.index import pgvector  # noqa: PLC0415

        async with database.owned() as connection:
            await pgvector.provide(connection)


def _weaviate(config: IndexConfig, model: str, dimension: int) -> VectorIndex:
    try:  # its client is large, and an extra of its own
        from uaitools.memory.index.weaviate import WeaviateIndex  # noqa: PLC0415
    except ImportError as error:
        raise IndexUnavailable("install `uaitools[weaviate]`") from error
    key = config.weaviate_key
    return WeaviateIndex(
        weaviate_params(config),
        model,
        dimension,
        prefix=config.weaviate_collection,
        key=None if key is None else key.get_secret_value(),
        search=config.search_timeout,
        write=config.write_timeout,
    )


def weaviate_params(config: IndexConfig) -> ConnectionParams:
    """Where the two interfaces of Weaviate are."""
    from weaviate.connect import ConnectionParams  # noqa: PLC0415

    secure = (config.weaviate_url or "").startswith("https:")
    (host, port), (rpc_host, rpc_port) = config.weaviate_rest, config.weaviate_rpc
    return ConnectionParams.from_params(host, port, secure, rpc_host, rpc_port, secure)
