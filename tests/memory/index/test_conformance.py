"""All indexes do what every index has to do."""

import pytest

from tests.memory.index.conformance import CHECKS
from tests.memory.index.grounds import InDatabase, InProcess, InWeaviate
from tests.peers.weaviate.server import WeaviateDouble
from uaitools.memory.index.config import IndexConfig

NUMBERS = pytest.mark.parametrize("number", range(len(CHECKS)), ids=[c.__name__ for c in CHECKS])


@NUMBERS
async def test_in_process(number: int) -> None:
    ground = InProcess()
    try:
        await CHECKS[number](ground)
    finally:
        await ground.close()


@NUMBERS
async def test_in_process_without_room(number: int) -> None:
    ground = InProcess(room=0)
    try:
        await CHECKS[number](ground)
    finally:
        await ground.close()


@NUMBERS
async def test_in_database(number: int, in_database: InDatabase) -> None:
    await CHECKS[number](in_database)


@NUMBERS
async def test_in_double_of_weaviate(number: int, weaviate: WeaviateDouble) -> None:
    weaviate.database.deletions = 300  # fewer than some scopes have
    ground = InWeaviate(weaviate.params)
    try:
        await CHECKS[number](ground)
    finally:
        await ground.close()


@pytest.mark.weaviate
@NUMBERS
async def test_in_weaviate(number: int, real_weaviate: IndexConfig) -> None:
    ground = InWeaviate.at(real_weaviate)
    try:
        await CHECKS[number](ground)
    finally:
        await ground.close()
