"""Registrations against a registry that is away, forgets, refuses and drains."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.peers.gateways import eventually
from tests.peers.registry import QUICK, Call, RegistryPeer, drained, registry_peer
from tests.peers.servers import free_port
from tests.peers.stopwatch import stopwatch
from uaitools.registry.client import Check, Load, Refused, Registration, register
from uaitools.tasks import spawn

TTL = 0.3  # seconds; the peer does not mind


def registration(*urls: str, **settings: Any) -> Registration:
    usual = {"id": "a-1", "ttl": TTL, "drain": 0.0, "timing": QUICK}
    return register(name="api", address="10.0.0.1", port=9001, urls=urls, **{**usual, **settings})


@asynccontextmanager
async def registered(registry: RegistryPeer, **settings: Any) -> AsyncIterator[Registration]:
    async with registration(registry.url, **settings) as running:
        await running.registered()
        yield running


async def test_an_instance_is_registered_with_all_that_it_says(registry: RegistryPeer) -> None:
    async with registered(
        registry,
        scheme="https",
        version="1.2",
        zone="eu-1",
        weight=3,
        tags=["b", "a"],
        meta={"k": "v"},
        checks=[Check(path="/ready")],
        token=lambda: "t1",
    ) as running:
        assert (running.id, running.generation) == ("a-1", 1)

    call = registry.did("POST")[0]
    check = call.body.pop("checks")[0]
    assert call.authorization == "Bearer t1"
    assert (check["kind"], check["path"], check["interval"]) == ("http", "/ready", 10.0)
    assert call.body == {
        "id": "a-1",
        "name": "api",
        "address": "10.0.0.1",
        "port": 9001,
        "scheme": "https",
        "version": "1.2",
        "zone": "eu-1",
        "weight": 3,
        "ttl": TTL,
        "tags": ["a", "b"],
        "meta": {"k": "v"},
    }


async def test_an_instance_has_an_id_of_its_own(registry: RegistryPeer) -> None:
    one, other = registration(registry.url, id=""), registration(registry.url, id="")

    assert one.id != other.id


async def test_heartbeats_come_within_a_third_of_the_ttl_and_tell_the_load(
    registry: RegistryPeer,
) -> None:
    async with registered(registry, ttl=1.0, load=lambda: Load(3, 2, 1000)) as running:
        with stopwatch() as watch:
            await eventually(lambda: len(registry.did("PUT heartbeat")) == 4)
        assert watch.seconds < 2.0  # four thirds of the ttl at most; one a ttl takes 2.25 at least
        assert running.health == "passing"

    assert registry.did("PUT heartbeat")[0].body == {
        "generation": 1,
        "load": {"connections": 3, "in_flight": 2, "bytes": 1000},
    }
    assert len(registry.did("POST")) == 1
    assert registry.did("DELETE")[0].query == {"generation": "1"}


def test_without_heartbeats_no_load_is_told(registry: RegistryPeer) -> None:
    with pytest.raises(ValueError, match="give a ttl"):
        registration(registry.url, ttl=0, load=Load)


async def test_a_load_that_cannot_be_told_keeps_no_heartbeat_back(registry: RegistryPeer) -> None:
    def load() -> Load:
        raise RuntimeError("nobody counts")

    with capture_logs() as logs:
        async with registered(registry, load=load):
            await eventually(lambda: registry.did("PUT heartbeat"))

    assert registry.did("PUT heartbeat")[0].body == {"generation": 1}
    assert "cannot be told" in repr(logs)


async def test_all_is_said_again_every_minute_after_a_heartbeat(registry: RegistryPeer) -> None:
    async with registered(registry, ttl=0, timing=replace(QUICK, full=0.1)):
        await eventually(lambda: len(registry.did("POST")) == 4)

    kinds = [call.what for call in registry.calls if call.method in ("POST", "PUT")]
    assert kinds[:5] == ["POST", "PUT heartbeat", "POST", "PUT heartbeat", "POST"]


async def test_who_is_forgotten_registers_again_at_once(registry: RegistryPeer) -> None:
    async with registered(registry, ttl=0.6):
        registry.answer = lambda call: (
            (404, {"code": 404, "message": "who?"})
            if call.what == "PUT heartbeat" and len(registry.did("POST")) == 1
            else None
        )
        registry.generation = 2
        await eventually(lambda: len(registry.did("POST")) == 2)
        registry.answer = lambda _: None
        await eventually(lambda: len(registry.did("PUT heartbeat")) > 1)

    assert [call.what for call in registry.calls][:3] == ["POST", "PUT heartbeat", "POST"]
    assert registry.did("PUT heartbeat")[-1].body["generation"] == 2


async def test_a_new_epoch_registers_again_at_once(registry: RegistryPeer) -> None:
    async with registered(registry):
        registry.epoch = "e2"
        await eventually(lambda: len(registry.did("POST")) == 2)
        count = len(registry.did("PUT heartbeat"))
        await eventually(lambda: len(registry.did("PUT heartbeat")) >= count + 3)

    assert len(registry.did("POST")) == 2


async def test_who_has_lost_the_id_says_nothing_any_more(registry: RegistryPeer) -> None:
    taken = (409, {"code": 409, "message": "its generation is 2"})
    with capture_logs() as logs:
        async with registered(registry, drain=5.0) as running:
            registry.answer = lambda call: taken if call.what == "PUT heartbeat" else None
            await eventually(lambda: running.lost)
            with pytest.raises(Refused):
                await running.registered()

    assert [call.what for call in registry.calls] == ["POST", "PUT heartbeat"]
    assert logs[-1]["log_level"] == "error"
    assert "somebody else" in logs[-1]["event"]


async def test_a_start_without_a_registry_succeeds_later() -> None:
    peer = RegistryPeer()
    peer.port = free_port()
    with capture_logs() as logs:
        async with registration(peer.url) as running:
            waiting = spawn(running.registered(), name="wait")
            await eventually(lambda: logs)
            assert not waiting.done()
            await peer.start()
            try:
                await waiting
                await running.stop()
                assert [call.what for call in peer.calls] == ["POST", "DELETE"]
            finally:
                await peer.stop()

    reasons = [line for line in logs if line["log_level"] == "warning"]
    assert len(reasons) == 1


async def test_the_next_registry_is_asked_when_one_is_away(registry: RegistryPeer) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with registration(url, registry.url) as running:
        await running.registered()


async def test_a_registry_that_fails_is_no_registry(registry: RegistryPeer) -> None:
    async with registry_peer() as other:
        for status, body in ((500, {}), (200, []), (302, {}), (429, {}), (201, {"id": 1})):
            registry.answer = lambda _, status=status, body=body: (status, body)  # type: ignore[misc]
            async with registration(registry.url, other.url) as running:
                await running.registered()


async def test_a_refusal_is_told_and_tried_again(registry: RegistryPeer) -> None:
    registry.refuses = 403
    with capture_logs() as logs:
        async with registration(registry.url, token="s3cret") as running:
            with pytest.raises(Refused):
                await running.registered()
            await eventually(lambda: len(registry.calls) >= 3)
            registry.refuses = 0
            await eventually(lambda: running.generation is not None)
            await running.registered()

    told = [line for line in logs if line["log_level"] == "warning"]
    assert [line["reason"] for line in told] == ["403: no"]
    assert "s3cret" not in repr(logs)


# -- the way out ------------------------------------------------------------------------------


async def test_leaving_drains_waits_until_it_is_safe_and_deregisters(
    registry: RegistryPeer,
) -> None:
    behind = ["gw-1"]
    load = Load(in_flight=2)

    def answer(call: Call) -> tuple[int, object] | None:
        if call.action != "drain":
            return None
        told = registry.did("PUT heartbeat")[-1].body["load"]["in_flight"]
        safe = not behind and not told
        return 202, drained("a-1", safe=safe, behind=behind, in_flight=told)

    registry.answer = answer
    async with registered(registry, load=lambda: load) as running:
        leaving = spawn(running.drain(asyncio.get_running_loop().time() + 30.0), name="leave")
        await eventually(lambda: len(registry.did("GET drain")) >= 2)
        behind.clear()
        load = Load()
        await leaving

    assert registry.calls[-1].what == "DELETE"
    assert 29 < registry.did("POST drain")[0].body["deadline"] <= 30


async def test_a_drain_that_somebody_ends_is_begun_again(registry: RegistryPeer) -> None:
    registry.answer = lambda call: (
        (202, drained("a-1", safe=False, in_flight=None, deadline=None))
        if call.what == "GET drain"
        else (202, drained("a-1", safe=len(registry.did("POST drain")) > 1, in_flight=None))
        if call.what == "POST drain"
        else None
    )
    async with registered(registry, drain=30.0):
        pass

    calls = [call.what for call in registry.calls if call.action == "drain"]
    assert calls == ["POST drain", "GET drain", "POST drain"]


async def test_leaving_waits_for_nobody_when_nobody_watches(registry: RegistryPeer) -> None:
    async with registered(registry, drain=30.0):
        pass

    assert [call.what for call in registry.calls][-2:] == ["POST drain", "DELETE"]
    assert not registry.did("GET drain")


async def test_leaving_at_the_deadline_says_what_is_left(registry: RegistryPeer) -> None:
    registry.answer = lambda call: (
        (
            202,
            drained(
                "a-1",
                safe=False,
                behind=["gw-1"],
                in_flight=1,
                overdue=len(registry.did("GET drain")) > 2,
            ),
        )
        if call.action == "drain"
        else None
    )
    with capture_logs() as logs:
        async with registered(registry, drain=30.0):
            pass

    assert (logs[-1]["behind"], logs[-1]["in_flight"]) == (["gw-1"], 1)
    assert registry.calls[-1].what == "DELETE"


async def test_a_cancelled_block_drains_and_one_that_fails_does_not(
    registry: RegistryPeer,
) -> None:
    async def serve() -> None:
        async with registered(registry, drain=30.0):
            await asyncio.Event().wait()

    serving = spawn(serve(), name="serve")
    await eventually(lambda: registry.did("POST"))
    serving.cancel()
    await asyncio.wait({serving})
    assert [call.what for call in registry.calls][-2:] == ["POST drain", "DELETE"]

    with pytest.raises(RuntimeError):
        async with registered(registry, drain=30.0):
            raise RuntimeError("the service has failed")
    assert len(registry.did("POST drain")) == 1
    assert registry.calls[-1].what == "DELETE"


async def test_a_registry_that_forgets_during_a_drain_is_told_again(
    registry: RegistryPeer,
) -> None:
    def answer(call: Call) -> tuple[int, object] | None:
        if call.action == "drain":
            return 202, drained("a-1", safe=len(registry.did("POST drain")) > 1, behind=["gw"])
        forgets = registry.did("POST drain") and len(registry.did("POST")) == 1
        if call.what == "PUT heartbeat" and forgets:
            return 404, {"code": 404, "message": "who?"}
        return None

    registry.answer = answer
    async with registered(registry, drain=30.0):
        registry.generation = 2  # from now on

    calls = [call.what for call in registry.calls if call.method != "GET"]
    again = calls.index("POST", 1)
    assert calls[again - 1 :] == ["PUT heartbeat", "POST", "POST drain", "DELETE"]


async def test_who_is_out_already_leaves_in_silence(registry: RegistryPeer) -> None:
    with capture_logs() as logs:
        async with registered(registry):
            registry.answer = lambda call: (
                (404, {"code": 404, "message": "who?"}) if call.method == "DELETE" else None
            )

    assert registry.did("DELETE")
    assert not [line for line in logs if line["log_level"] != "info"]


async def test_leaving_takes_little_time_when_the_registry_is_away(
    registry: RegistryPeer,
) -> None:
    with capture_logs() as logs, contextlib.ExitStack() as leaving:
        async with registered(registry, drain=30.0):
            await registry.stop()
            watch = leaving.enter_context(stopwatch())
    assert watch.seconds < 2.0
    events = [line["event"] for line in logs]
    assert "this instance goes undrained: the registry cannot be asked" in events
    assert "this instance could not be deregistered; it will expire" in events


async def test_leaving_takes_little_time_when_the_registry_is_paused(
    registry: RegistryPeer,
) -> None:
    timing = replace(QUICK, call=0.2)
    with capture_logs(), contextlib.ExitStack() as leaving:
        async with registered(registry, drain=30.0, timing=timing):
            await registry.stop()
            with socket.create_server(("127.0.0.1", registry.port)):
                watch = leaving.enter_context(stopwatch())
                # Leave while it accepts and does not answer.
                await asyncio.sleep(0)
    assert watch.seconds < 2.0


async def test_a_drain_survives_a_restart_of_the_registry(registry: RegistryPeer) -> None:
    def answer(call: Call) -> tuple[int, object] | None:
        if registry.epoch == "e2" and len(registry.did("POST")) == 1:
            return 404, {"code": 404, "message": "who?"}
        if call.action == "drain":
            return 202, drained("a-1", safe=registry.epoch == "e2", behind=["gw"])
        return None

    registry.answer = answer
    async with registered(registry, timing=replace(QUICK, leave=5.0)) as running:
        leaving = spawn(running.drain(asyncio.get_running_loop().time() + 30.0), name="leave")
        await eventually(lambda: registry.did("GET drain"))
        await registry.stop()
        registry.epoch = "e2"
        await registry.start()
        await leaving

    assert len(registry.did("POST")) == 2
    assert len(registry.did("POST drain")) == 2
