"""The index in a Weaviate that fails in every way it can."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from weaviate.connect import ConnectionParams

from tests.memory.index.conformance import held
from tests.memory.index.grounds import MODEL
from tests.memory.index.vectors import DIMENSION, entry, number, unit
from tests.peers.gateways import eventually
from tests.peers.servers import free_port
from tests.peers.weaviate.faults import Fault
from tests.peers.weaviate.server import WeaviateDouble
from uaitools.memory.index.errors import IndexAway
from uaitools.memory.index.objects import collection_name
from uaitools.memory.index.port import Held
from uaitools.memory.index.weaviate import WeaviateIndex
from uaitools.tasks import spawn
from uaitools.traffic.breaker import BreakerPolicy

PREFIX = "UaitoolsTest"
# A breaker that never opens: what is looked at here is each single call.
PATIENT = BreakerPolicy(failures=1000, connect_errors=1000, ratio=2, ramp=0)
Call = Callable[[WeaviateIndex], Awaitable[Any]]
CALLS: dict[str, tuple[str, Call]] = {
    "upsert": ("BatchObjects", lambda index: index.upsert([entry(1, unit(1))])),
    "delete": ("BatchDelete", lambda index: index.delete("ann", [number(1)])),
    "delete_scope": ("BatchDelete", lambda index: index.delete_scope("ann")),
    "search": ("Search", lambda index: index.search("ann", unit(1), 5)),
    "ids": ("Search", held),
}
EACH = pytest.mark.parametrize(("rpc", "call"), CALLS.values(), ids=CALLS)


def index_at(
    params: ConnectionParams, policy: BreakerPolicy = PATIENT, model: str = MODEL
) -> WeaviateIndex:
    return WeaviateIndex(
        params, model, DIMENSION, prefix=PREFIX, search=1.0, write=1.0, policy=policy
    )


@pytest.fixture
async def index(weaviate: WeaviateDouble) -> AsyncIterator[WeaviateIndex]:
    index = index_at(weaviate.params)
    await index.start()
    yield index
    await index.stop()


@EACH
@pytest.mark.parametrize("fault", [Fault.BROKEN, Fault.SILENT])
async def test_a_call_that_fails_is_one_error(
    weaviate: WeaviateDouble, index: WeaviateIndex, rpc: str, call: Call, fault: Fault
) -> None:
    weaviate.faults.plan(rpc, fault)
    with pytest.raises(IndexAway) as raised:
        await call(index)
    assert raised.value.code == 503
    assert "127.0.0.1" not in str(raised.value)
    await call(index)


@EACH
async def test_a_server_that_vanished_is_one_error_until_it_comes_back(
    weaviate: WeaviateDouble, index: WeaviateIndex, rpc: str, call: Call
) -> None:
    await call(index)
    weaviate.vanish()
    with pytest.raises(IndexAway):
        await call(index)
    assert not await index.health()
    weaviate.come_back()

    await eventually_done(lambda: call(index))
    assert await index.health()
    assert rpc in weaviate.faults.done


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.LOST, Fault.REFUSED])
async def test_a_cut_connection_is_made_again_and_what_was_asked_is_done_once_more(
    weaviate: WeaviateDouble, index: WeaviateIndex, fault: Fault
) -> None:
    weaviate.faults.plan("BatchObjects", fault)
    await eventually_done(lambda: index.upsert([entry(1, unit(1))]))
    weaviate.faults.plan("Search", fault)
    await eventually_done(lambda: index.search("ann", unit(1), 5))
    assert await held(index) == [Held(number(1), "ann", 1)]


async def eventually_done(call: Callable[[], Awaitable[Any]]) -> Any:
    """Try again as who reads the outbox does; the test's time limit ends this."""
    while True:
        try:
            return await call()
        except IndexAway:
            await asyncio.sleep(0.05)


async def test_a_write_that_was_not_answered_may_have_happened(
    weaviate: WeaviateDouble, index: WeaviateIndex
) -> None:
    weaviate.faults.plan("BatchObjects", Fault.SILENT)
    with pytest.raises(IndexAway, match="too slow"):
        await index.upsert([entry(1, unit(1), generation=3)])
    assert await held(index) == [Held(number(1), "ann", 3)]
    await index.upsert([entry(1, unit(0, 1), generation=2)])
    assert await held(index) == [Held(number(1), "ann", 3)]


async def test_a_late_write_of_which_nobody_knows_is_listed_and_can_be_deleted(
    weaviate: WeaviateDouble, index: WeaviateIndex
) -> None:
    weaviate.faults.plan("BatchObjects", Fault.LATE)
    with pytest.raises(IndexAway):
        await index.upsert([entry(1, unit(1))])
    await index.delete("ann", [number(1)])
    assert await held(index) == []
    weaviate.faults.release()
    await eventually(lambda: "BatchObjects" in weaviate.faults.done)
    assert await held(index, "ann") == [Held(number(1), "ann", 1)]
    await index.delete("ann", [number(1)])
    assert await held(index) == []


async def test_a_part_that_is_refused_is_no_success(
    weaviate: WeaviateDouble, index: WeaviateIndex
) -> None:
    await index.upsert([entry(1, unit(1))])
    weaviate.database.collections.clear()
    with pytest.raises(IndexAway):
        await index.upsert([entry(2, unit(1))])


async def test_a_collection_that_was_lost_is_made_again(
    weaviate: WeaviateDouble, index: WeaviateIndex
) -> None:
    await index.upsert([entry(1, unit(1))])
    weaviate.database.collections.clear()
    assert not await index.health()
    assert await index.search("ann", unit(1), 5) == []
    await index.upsert([entry(1, unit(1))])
    assert len(await index.search("ann", unit(1), 5)) == 1


async def test_a_server_that_was_away_at_the_start_is_used_when_it_comes(
    weaviate: WeaviateDouble,
) -> None:
    weaviate.vanish()
    index = index_at(weaviate.params)
    await index.start()
    assert not await index.health()
    weaviate.come_back()
    await eventually_done(lambda: index.upsert([entry(1, unit(1))]))
    assert await index.health()
    await index.stop()


async def test_where_nobody_listens_it_is_away() -> None:
    params = ConnectionParams.from_params(
        "127.0.0.1", free_port(), False, "127.0.0.1", free_port(), False
    )
    index = index_at(params)
    await index.start()
    with pytest.raises(IndexAway, match="cannot be reached"):
        await index.search("ann", unit(1), 5)
    await index.stop()


async def test_what_is_no_weaviate_is_away(aiohttp_server: Any) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(["hello"])

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    server = await aiohttp_server(app)
    index = index_at(
        ConnectionParams.from_params(
            "127.0.0.1", server.port, False, "127.0.0.1", free_port(), False
        )
    )
    await index.start()
    with pytest.raises(IndexAway):
        await index.search("ann", unit(1), 5)
    await index.stop()


async def test_while_it_is_away_only_now_and_then_one_call_is_made(
    weaviate: WeaviateDouble,
) -> None:
    index = index_at(weaviate.params, BreakerPolicy(failures=2, ratio=2, eject=60, ramp=0))
    await index.start()
    weaviate.faults.plan("Search", *[Fault.BROKEN] * 2)
    for _ in range(20):
        with pytest.raises(IndexAway):
            await index.search("ann", unit(1), 5)
    assert weaviate.faults.calls.count("Search") == 2
    assert not await index.health()
    await index.stop()


async def test_a_mistake_of_ours_says_nothing_about_the_server(index: WeaviateIndex) -> None:
    for _ in range(3):
        with pytest.raises(ValueError, match="shape"):
            await index.search("ann", unit(1)[:3], 5)
    assert await index.health()


async def test_who_gives_up_leaves_the_connection_to_others(
    weaviate: WeaviateDouble, index: WeaviateIndex
) -> None:
    await index.upsert([entry(1, unit(1))])
    weaviate.faults.plan("Search", Fault.SILENT)
    asked = spawn(index.search("ann", unit(1), 5), name="search")
    await eventually(lambda: weaviate.faults.done.count("Search") == 2)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert len(await index.search("ann", unit(1), 5)) == 1


async def test_of_two_writers_at_once_the_newer_generation_remains(
    weaviate: WeaviateDouble, index: WeaviateIndex
) -> None:
    weaviate.faults.plan("Search", Fault.SILENT)
    older = spawn(index.upsert([entry(1, unit(1), generation=1)]), name="older")
    await eventually(lambda: weaviate.faults.done.count("Search") == 1)
    newer = spawn(index.upsert([entry(1, unit(0, 1), generation=2)]), name="newer")
    await asyncio.wait({newer}, timeout=0.3)  # it would be done, if it did not wait
    weaviate.faults.release()
    await asyncio.gather(older, newer)
    assert await held(index) == [Held(number(1), "ann", 2)]


async def test_of_another_model_nothing_is_left(weaviate: WeaviateDouble) -> None:
    others = ("Somebody", f"{PREFIX}Else_0123456789abcdef", f"{PREFIX}_notes")
    for other in others:
        weaviate.database.create({"class": other, "vectorizer": "none"})
    for model in ("test/model-1/8", "test/model-2/8"):
        index = index_at(weaviate.params, model=model)
        await index.start()
        await index.upsert([entry(1, unit(1))])
        await index.stop()
    assert set(weaviate.database.collections) == {
        *others,
        collection_name(PREFIX, "test/model-2/8"),
    }


async def test_of_another_model_nothing_is_left_though_the_server_was_away_at_the_start(
    weaviate: WeaviateDouble,
) -> None:
    weaviate.database.create({"class": f"{PREFIX}_0123456789abcdef", "vectorizer": "none"})
    weaviate.vanish()
    index = index_at(weaviate.params)
    await index.start()
    weaviate.come_back()
    await eventually_done(lambda: index.upsert([entry(1, unit(1))]))
    assert set(weaviate.database.collections) == {collection_name(PREFIX, MODEL)}
    await index.stop()


async def test_collections_that_the_client_cannot_read_are_left_alone(
    weaviate: WeaviateDouble,
) -> None:
    odd = weaviate.database.create({"class": "Odd", "vectorizer": "none"})
    odd.schema["properties"] = [{"name": "x", "dataType": ["text"]}]
    index = index_at(weaviate.params)
    await index.start()
    assert await index.health()
    assert len(weaviate.database.collections) == 2
    await index.stop()


async def test_many_that_start_at_once_make_one_collection(weaviate: WeaviateDouble) -> None:
    indexes = [index_at(weaviate.params) for _ in range(4)]
    await asyncio.gather(*(index.start() for index in indexes))
    await asyncio.gather(*(one.upsert([entry(n, unit(1))]) for n, one in enumerate(indexes)))
    assert len(await held(indexes[0])) == 4
    assert len(weaviate.database.collections) == 1
    for index in indexes:
        await index.stop()
