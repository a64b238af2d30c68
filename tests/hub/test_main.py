"""The program as a process: its command line, SIGTERM, and kill -9."""

from __future__ import annotations

import asyncio
import itertools
import signal
from contextlib import AsyncExitStack
from functools import partial

import pytest

from tests.hub.server.served import stream, visit
from tests.peers.component_program import run_component
from tests.peers.gateways import settled
from tests.peers.hub_program import hub_program
from tests.peers.redis import RedisServer
from tests.registry.store.conftest import redis  # noqa: F401 - for pytest

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # another process does the work


run = partial(run_component, "hub")


# -- its command line -----------------------------------------------------------------------


async def test_check_validates_and_exits() -> None:
    assert await run("--check") == (0, "ok: no file (--config names one)\n", "")


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (("--listen", "0.0.0.0:0"), {}, "others can reach 0.0.0.0:0"),
        (("--workers", "2"), {}, "set redis_url, or have one worker"),
        ((), {"UAITOOLS_HUB__WORKERS": "2"}, "set redis_url, or have one worker"),
        ((), {"UAITOOLS_HUB__PING": "0"}, "hub.ping: "),
        ((), {"UAITOOLS_HUB__PINK": "9"}, 'did you mean "ping"?'),
        (("--config", "/no/such.toml"), {}, "no such file"),
    ],
)
async def test_a_wrong_configuration_stops_the_start(
    arguments: tuple[str, ...], environ: dict[str, str], expected: str
) -> None:
    for check in (("--check",), ()):
        status, said, complaint = await run(*arguments, *check, **environ)
        assert (status, said) == (2, "")
        assert expected in complaint
        assert "Traceback" not in complaint


async def test_what_is_wrong_is_said_without_the_secret() -> None:
    status, _, complaint = await run("--check", UAITOOLS_HUB__TOKEN_SECRET="sesame")
    assert status == 2
    assert "hub.token_secret" in complaint
    assert "sesame" not in complaint


async def test_others_may_be_let_in_on_purpose() -> None:
    status, _, complaint = await run("--listen", "0.0.0.0:0", "--insecure", "--check")
    assert (status, complaint) == (0, "")


async def test_an_address_that_is_taken_is_said() -> None:
    async with hub_program() as hub:
        status, _, complaint = await run("--listen", f"127.0.0.1:{hub.port}")
    assert status == 1
    assert f"cannot listen on 127.0.0.1:{hub.port}" in complaint
    assert "Traceback" not in complaint


async def test_a_redis_that_lets_nobody_in_is_said(redis: RedisServer) -> None:  # noqa: F811
    await redis.command("CONFIG", "SET", "requirepass", "right")
    url = redis.url.replace("//", "//:sesame@")
    status, _, complaint = await run("--listen", "127.0.0.1:0", UAITOOLS_REDIS_URL=url)
    assert status == 1
    assert "password" in complaint
    assert "sesame" not in complaint
    assert "Traceback" not in complaint


async def test_it_serves_no_echo_unless_it_is_asked_to() -> None:
    async with hub_program() as hub, visit(hub.url) as visitor:
        assert (await visitor.ask("GET", "/echo")).status == 404
        assert (await visitor.ask("GET", "/health")).body["status"] == "healthy"


# -- its end --------------------------------------------------------------------------------


async def test_sigterm_sends_everybody_elsewhere() -> None:
    environ = {"UAITOOLS_HUB__RECONNECTS": "10"}
    async with (
        hub_program(environ=environ) as hub,
        visit(hub.url) as visitor,
        AsyncExitStack() as stack,
    ):
        clients = [await stack.enter_async_context(visitor.client()) for _ in range(5)]
        hub.signal(signal.SIGTERM)
        notices = [await client.hear() for client in clients]
        assert {one["type"] for one in notices} == {"reconnect"}
        delays = sorted(one["after_ms"] for one in notices)
        assert all(later - earlier >= 80 for earlier, later in itertools.pairwise(delays))
        assert (await visitor.ask("GET", "/health")).body["status"] == "draining"
        # Who goes by himself need not be ended; who stays is.
        await clients[0].socket.close()
        assert await asyncio.gather(*(one.ended() for one in clients[1:])) == [1001] * 4
        assert await hub.ended() == 0
        assert b"Traceback" not in hub.said


async def test_streams_and_polls_end_with_the_node() -> None:
    async with (
        hub_program() as hub,
        visit(hub.url) as visitor,
        stream(visitor, "channel=a") as events,
        asyncio.TaskGroup() as tasks,
    ):
        _, place, _ = await events.hear("subscribed")
        path = f"/v1/poll?channel=a&after={place}&wait=60"
        polling = tasks.create_task(visitor.ask("GET", path))

        async def waits() -> bool:
            metrics: bytes = (await visitor.ask("GET", "/metrics")).body
            return b"hub_polls 1" in metrics

        await settled(waits)
        hub.signal(signal.SIGTERM)
        assert (await events.hear("reconnect"))[2]["after_ms"] >= 0
        kind, _, data = await events.hear()
        assert (kind, data["code"], data["again"]) == ("closed", 1001, True)
        answer = await polling
        assert (answer.status, answer.body["after"]) == (200, place)
        assert await hub.ended() == 0


async def test_a_second_sigterm_ends_it_at_once() -> None:
    environ = {"UAITOOLS_HUB__RECONNECTS": "0.1"}  # 20 s for three
    async with (
        hub_program(environ=environ) as hub,
        visit(hub.url) as visitor,
        AsyncExitStack() as stack,
    ):
        clients = [await stack.enter_async_context(visitor.client()) for _ in range(3)]
        hub.signal(signal.SIGTERM)
        for client in clients:
            assert (await client.hear())["type"] == "reconnect"
        hub.signal(signal.SIGTERM)
        async with asyncio.timeout(3):
            assert await asyncio.gather(*(one.ended() for one in clients)) == [1001] * 3
            assert await hub.ended() == 0


async def test_after_kill_9_nobody_is_told_that_he_got_everything() -> None:
    async with hub_program() as hub, visit(hub.url) as visitor:
        async with visitor.client() as client:
            before = await client.subscribe("a")
            for number in range(3):
                await visitor.publish("a", number)
            assert [(await client.hear())["offset"] for _ in range(3)] == [1, 2, 3]
            await hub.kill()
            assert await client.ended() == 1006
        await hub.start()
        # As many as there were, so that an offset by itself would look right.
        for number in range(4):
            await visitor.publish("a", f"new {number}")
        place = {"epoch": before["epoch"], "offset": 3}
        async with visitor.client() as client:
            reply = await client.subscribe("a", recover=place)
            assert (reply["recovered"], reply["offset"]) == (False, 4)
            assert reply["epoch"] != before["epoch"]
            await visitor.publish("a", "next")
            message = await client.hear()
            assert (message["offset"], message["data"]) == (5, "next")
        after = f"a={before['epoch']}:3"
        [polled] = (await visitor.ask("GET", f"/v1/poll?channel=a&after={after}")).body["channels"]
        assert (polled["recovered"], polled["messages"]) == (False, [])
        async with stream(visitor, "channel=a", Last_Event_ID=after) as events:
            _, _, data = await events.hear("subscribed")
            assert [one["recovered"] for one in data["channels"]] == [False]
