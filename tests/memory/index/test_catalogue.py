"""From settings to an index."""

import subprocess
import sys
from typing import Any, cast

import pytest
from pydantic import ValidationError

from tests.memory.index.sources import DictSource
from uaitools.memory.index.catalogue import index_for, weaviate_params
from uaitools.memory.index.config import IndexConfig
from uaitools.memory.index.port import VectorIndex

SCOPES = cast(Any, None)


def chosen(**settings: object) -> VectorIndex:
    config = IndexConfig.model_validate(settings)
    return index_for(config, "test/model-1/8", 8, source=DictSource(), scopes=SCOPES)


async def test_each_kind_is_made() -> None:
    assert chosen().name == "local"
    assert chosen(kind="pgvector").name == "pgvector"
    assert chosen(weaviate_url="http://localhost:8080").name == "weaviate"
    assert chosen(kind="local", weaviate_url="http://localhost:8080").name == "local"


def test_what_is_not_chosen_is_not_loaded() -> None:
    code = (
        "import sys, uaitools.memory.index.catalogue;"
        "sys.exit(bool({'asyncpg', 'weaviate', 'grpc'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_one_line_says_what_each_is() -> None:
    url = "http://secret.example:8080"
    for index in (chosen(), chosen(kind="pgvector"), chosen(weaviate_url=url)):
        text = repr(index)
        assert text.startswith("<")
        assert "\n" not in text
        assert "secret" not in text


@pytest.mark.parametrize(
    ("settings", "rest", "grpc"),
    [
        ({"weaviate_url": "http://db"}, ("db", 80, False), ("db", 50051, False)),
        ({"weaviate_url": "http://db:8080/"}, ("db", 8080, False), ("db", 50051, False)),
        ({"weaviate_url": "https://db"}, ("db", 443, True), ("db", 50051, True)),
        (
            {"weaviate_url": "https://a.example", "weaviate_grpc": "grpc-a.example:443"},
            ("a.example", 443, True),
            ("grpc-a.example", 443, True),
        ),
        (
            {"weaviate_url": "http://[::1]:8080", "weaviate_grpc": "[::1]:9"},
            ("::1", 8080, False),
            ("::1", 9, False),
        ),
    ],
)
def test_both_interfaces_are_found(
    settings: dict[str, str], rest: tuple[str, int, bool], grpc: tuple[str, int, bool]
) -> None:
    params = weaviate_params(IndexConfig.model_validate(settings))
    assert (params.http.host, params.http.port, params.http.secure) == rest
    assert (params.grpc.host, params.grpc.port, params.grpc.secure) == grpc


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "weaviate"},
        {"kind": "other"},
        {"weaviate_url": "localhost:8080"},
        {"weaviate_url": "http://user:secret@db:8080"},
        {"weaviate_url": "http://db:8080/path"},
        {"weaviate_url": "http://db:port"},
        {"weaviate_grpc": "db"},
        {"weaviate_url": "https://db", "weaviate_grpc": "db:443"},
        {"weaviate_collection": "lower"},
        {"room": 1},
        {"search_timeout": 0},
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as raised:
        IndexConfig.model_validate(settings)
    assert "secret" not in str(raised.value)


def test_the_key_is_shown_to_nobody() -> None:
    config = IndexConfig.model_validate(
        {"weaviate_url": "http://db", "weaviate_key": "very-secret"}
    )
    assert "very-secret" not in repr(config) + config.model_dump_json()
