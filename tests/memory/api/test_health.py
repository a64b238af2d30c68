"""What the service says of itself."""

from __future__ import annotations

from tests.memory.api.served import Served, served
from tests.peers.postgres import PostgresServer
from tests.peers.weaviate.server import weaviate_double


async def test_an_index_that_is_away_is_told_before_anybody_searches(
    postgres: PostgresServer,
) -> None:
    async with weaviate_double() as double, served(postgres, index=double.settings) as memory:
        watch = memory.service.index_watch
        await watch.look()
        health = await memory.ask("GET", "/health")
        assert (health.status, health.body["status"]) == (200, "healthy")
        double.vanish()
        await watch.look()
        health = await memory.ask("GET", "/health")
        assert (health.status, health.body["status"]) == (200, "degraded")
        assert health.body["dependencies"]["index"] == "unhealthy"
        double.come_back()
        while not watch.healthy:  # its connection is made anew
            await watch.look()
        assert (await memory.ask("GET", "/health")).body["status"] == "healthy"


async def test_metrics_tell_how_far_the_index_is_behind(memory: Served) -> None:
    await memory.service.following.stop()
    for number in range(3):
        await memory.remember(f"fact number {number}")
    await memory.service.index_watch.look()
    text = (await memory.ask("GET", "/metrics")).body.decode()
    assert "\nmemory_index_behind 3" in text
    await memory.service.following.start()
    await memory.followed()
    await memory.service.index_watch.look()
    text = (await memory.ask("GET", "/metrics")).body.decode()
    assert "\nmemory_index_behind 0" in text


async def test_nobody_on_the_way_stores_what_is_said_of_a_user(memory: Served) -> None:
    made = await memory.remember("I like tea")
    said = {"user_id": "ann", "messages": [{"role": "user", "content": "hello"}]}
    for method, path, body in (
        ("GET", f"/memories/{made['id']}?user_id=ann", None),
        ("PATCH", f"/memories/{made['id']}?user_id=ann", {"pinned": True}),
        ("POST", "/memories", {"user_id": "ann", "content": "I like trains"}),
        ("GET", "/memories?user_id=ann", None),
        ("GET", "/memories/export?user_id=ann", None),
        ("POST", "/memories/search", {"user_id": "ann", "query": "tea"}),
        ("POST", "/sessions/s/messages", said),
        ("GET", "/sessions/s/context?user_id=ann", None),
        ("DELETE", "/users/ann", None),
    ):
        answer = await memory.ask(method, path, body)
        assert answer.status < 300, answer
        assert answer.headers.get("Cache-Control") == "no-store", path
