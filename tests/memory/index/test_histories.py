"""Whatever happens to an index, it has what a dictionary has."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.memory.index.grounds import InDatabase, InProcess, InWeaviate
from tests.memory.index.histories import HISTORIES, Step, follow
from tests.peers.weaviate.server import WeaviateDouble
from uaitools.memory.index.config import ROOM, IndexConfig

# A ground gives each history an index in which nothing is.
SHARED = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(HISTORIES, st.sampled_from([ROOM, 5000, 0]))
async def test_in_process(history: Sequence[Step], room: int) -> None:
    ground = InProcess(room)
    try:
        await follow(ground, history)
    finally:
        await ground.close()


@SHARED
@given(HISTORIES)
async def test_in_database(in_database: InDatabase, history: Sequence[Step]) -> None:
    await follow(in_database, history)


@SHARED
@given(HISTORIES)
async def test_in_double_of_weaviate(weaviate: WeaviateDouble, history: Sequence[Step]) -> None:
    ground = InWeaviate(weaviate.params)
    try:
        await follow(ground, history)
    finally:
        await ground.close()


@pytest.mark.weaviate
@settings(SHARED, max_examples=10)
@given(HISTORIES)
async def test_in_weaviate(real_weaviate: IndexConfig, history: Sequence[Step]) -> None:
    ground = InWeaviate.at(real_weaviate)
    try:
        await follow(ground, history)
    finally:
        await ground.close()
