"""Registering, heartbeats, changes, maintenance and drains, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from tests.peers.gateways import settled
from tests.registry.served import API, Served, served
from uaitools.registry.model import Check
from uaitools.tasks import spawn


async def test_an_instance_is_registered_and_found(registry: Served) -> None:
    answer = await registry.ask(
        "POST",
        "/v1/services",
        {
            **API,
            "id": "a-1",
            "scheme": "https",
            "version": "1.2",
            "tags": ["gpu", "eu"],
            "meta": {"owner": "team"},
            "zone": "eu-1",
            "weight": 10,
            "ttl": 15,
            "checks": [{"kind": "tcp", "interval": 5}],
        },
    )
    assert answer.status == 201
    assert answer.body["id"] == "a-1"
    assert answer.body["generation"] == 1
    assert answer.body["index"] == 1
    assert answer.body["ttl"] == 15

    listing = await registry.listing()
    assert listing["index"] == 1
    assert listing["epoch"] == answer.body["epoch"]
    assert (listing["authoritative"], listing["cause"]) == (True, None)
    [found] = listing["instances"]
    assert (
        found.items()
        >= {
            "id": "a-1",
            "name": "api",
            "address": "127.0.0.1",
            "port": 9,
            "scheme": "https",
            "version": "1.2",
            "tags": ["eu", "gpu"],
            "meta": {"owner": "team"},
            "zone": "eu-1",
            "weight": 10,
            "ttl": 15,
            "generation": 1,
            "health": "starting",
            "index": 1,
        }.items()
    )
    assert found["checks"][0]["says"] == "nothing"
    assert found["last_seen"].endswith("Z")


async def test_who_registers_lives_unless_checks_have_to_speak_first(registry: Served) -> None:
    await registry.register("a", checks=[])
    await registry.register("b")
    states = {one["id"]: one["health"] for one in (await registry.listing())["instances"]}
    assert states == {"a": "passing", "b": "starting"}


async def test_what_an_operator_changed_stays_over_the_next_registration(registry: Served) -> None:
    first = await registry.register(weight=1)
    await registry.ask("PATCH", "/v1/services/a", {"weight": 7, "tags": ["x"]})
    again = await registry.register(weight=1)
    assert again["generation"] == first["generation"]
    [found] = (await registry.listing())["instances"]
    assert (found["weight"], found["tags"]) == (7, ["x"])


async def test_who_gives_no_id_gets_one(registry: Served) -> None:
    first = (await registry.ask("POST", "/v1/services", API)).body
    second = (await registry.ask("POST", "/v1/services", API)).body
    assert first["id"] != second["id"]
    assert len(first["id"]) == 36


async def test_the_same_again_keeps_its_generation_and_another_one_gets_a_new_one(
    registry: Served,
) -> None:
    first = await registry.register()
    again = await registry.register()
    assert again["generation"] == first["generation"]
    other = await registry.register(version="2")
    assert other["generation"] > first["generation"]


async def test_a_late_message_of_an_old_generation_touches_nothing(registry: Served) -> None:
    await registry.register()
    await registry.register(version="2")
    late = await registry.heartbeat(generation=1)
    assert late.status == 409
    assert "generation is 2" in late.body["message"]
    gone = await registry.ask("DELETE", "/v1/services/a?generation=1")
    assert gone.status == 409
    [found] = (await registry.listing())["instances"]
    assert (found["generation"], found["health"]) == (2, "starting")


async def test_a_heartbeat_of_who_is_not_known_says_register_again(registry: Served) -> None:
    answer = await registry.heartbeat("nobody")
    assert answer.status == 404
    assert answer.body["message"] == "no instance has the id 'nobody'; register it again"
    assert answer.body["service"] == "registry"


async def test_an_id_is_one_segment_of_a_path(registry: Served) -> None:
    for name in (".", ".."):
        answer = await registry.ask(
            "POST", "/v1/services", {"id": name, "name": "api", "address": "10.0.0.1", "port": 1}
        )
        assert answer.status == 422
        assert "neither . nor .." in answer.body["details"][0]["message"]
    await registry.register()
    other = await registry.ask("PUT", "/v1/services/a%2Fb/heartbeat", {"generation": 1})
    assert other.status == 404


async def test_heartbeats_keep_an_instance_and_silence_removes_it(registry: Served) -> None:
    await registry.register(ttl=10)
    assert (await registry.heartbeat()).body["health"] == "passing"
    await registry.pass_time(9)
    await registry.heartbeat()
    await registry.pass_time(9)
    assert (await registry.listing())["instances"][0]["health"] == "passing"
    await registry.pass_time(2)
    listing = await registry.listing()
    assert listing["instances"][0]["health"] == "critical"
    assert listing["instances"][0]["cause"] == "no heartbeat for 10 s"
    await registry.pass_time(61)
    listing = await registry.listing()
    assert listing["instances"] == []
    assert (listing["authoritative"], listing["cause"]) == (False, "expired")


async def test_an_empty_list_says_why_it_is_empty(registry: Served) -> None:
    listing = await registry.listing()
    assert (listing["authoritative"], listing["cause"]) == (True, "unknown")
    await registry.register()
    assert (await registry.ask("DELETE", "/v1/services/a")).status == 204
    listing = await registry.listing()
    assert (listing["authoritative"], listing["cause"]) == (True, "deregistered")


async def test_load_is_told(registry: Served) -> None:
    await registry.register()
    await registry.heartbeat(connections=3, in_flight=2, bytes=1)
    [found] = (await registry.listing())["instances"]
    assert found["load"] == {"connections": 3, "in_flight": 2, "bytes": 1}


async def test_weight_tags_and_meta_change(registry: Served) -> None:
    await registry.register(tags=["a"], meta={"k": "v"})
    answer = await registry.ask("PATCH", "/v1/services/a", {"weight": 0, "tags": ["b"]})
    assert answer.status == 200
    assert (answer.body["weight"], answer.body["tags"]) == (0, ["b"])
    assert answer.body["meta"] == {"k": "v"}
    assert answer.body["generation"] == 1
    assert (await registry.ask("PATCH", "/v1/services/x", {"weight": 1})).status == 404


async def test_maintenance_stands_until_it_is_ended(registry: Served) -> None:
    await registry.register()
    answer = await registry.ask("PUT", "/v1/services/a/maintenance", {"reason": "new disks"})
    assert (answer.body["health"], answer.body["cause"]) == ("maintenance", "new disks")
    assert (await registry.heartbeat()).body["health"] == "maintenance"
    answer = await registry.ask("DELETE", "/v1/services/a/maintenance")
    assert answer.body["health"] == "passing"


async def test_a_drain_is_safe_when_every_live_watcher_has_applied_it(registry: Served) -> None:
    await registry.register()
    await registry.heartbeat(in_flight=1)
    for watcher in ("one", "two"):
        await registry.listing(f"?watcher={watcher}")
    answer = await registry.ask("POST", "/v1/services/a/drain", {"deadline": "30s"})
    assert answer.status == 202
    drained = answer.body
    assert (drained["safe"], drained["behind"]) == (False, ["one", "two"])
    assert drained["in_flight"] is None
    assert (await registry.heartbeat(in_flight=1)).body["health"] == "draining"
    await registry.pass_time(1)

    epoch = (await registry.listing())["epoch"]
    said = {"watcher": "one", "index": drained["index"], "epoch": epoch}
    assert (await registry.ask("POST", "/v1/services/api/applied", said)).status == 204
    await registry.listing(f"?watcher=two&index={drained['index']}")
    progress = (await registry.ask("GET", "/v1/services/a/drain")).body
    assert (progress["behind"], progress["in_flight"], progress["safe"]) == ([], None, False)
    await registry.heartbeat(in_flight=0)  # which may have been under way for long
    progress = (await registry.ask("GET", "/v1/services/a/drain")).body
    assert (progress["in_flight"], progress["safe"]) == (None, False)
    await registry.heartbeat(in_flight=1)
    progress = (await registry.ask("GET", "/v1/services/a/drain")).body
    assert (progress["in_flight"], progress["safe"]) == (1, False)

    waiting = spawn(registry.ask("GET", "/v1/services/a/drain?wait=30s"), name="ask")
    await registry.heartbeat(in_flight=0)
    assert (await waiting).body["safe"] is True

    # Asked for again it only has another deadline: what has been said since goes on to count.
    again = (await registry.ask("POST", "/v1/services/a/drain", {"deadline": "60s"})).body
    assert (again["safe"], again["in_flight"]) == (True, 0)
    assert again["deadline"] > drained["deadline"]


async def test_a_drain_says_at_its_deadline_what_it_waits_for(registry: Served) -> None:
    await registry.register()
    await registry.listing("?watcher=one")
    await registry.ask("POST", "/v1/services/a/drain", {"deadline": 2})
    waiting = spawn(registry.ask("GET", "/v1/services/a/drain?wait=60s"), name="ask")
    await asyncio.sleep(0)
    await registry.pass_time(3)
    progress = (await waiting).body
    assert progress.items() >= {"overdue": True, "safe": False, "behind": ["one"]}.items()


async def test_a_watcher_that_is_silent_for_long_does_not_hold_a_drain_up(
    registry: Served,
) -> None:
    await registry.register()
    await registry.listing("?watcher=dead")
    await registry.pass_time(40)
    await registry.register()
    await registry.ask("POST", "/v1/services/a/drain", {})
    await registry.heartbeat()
    assert (await registry.ask("GET", "/v1/services/a/drain")).body["behind"] == ["dead"]
    await registry.pass_time(6)
    assert (await registry.ask("GET", "/v1/services/a/drain")).body["safe"] is True


async def test_a_number_of_another_epoch_or_of_the_future_makes_no_drain_safe(
    registry: Served,
) -> None:
    await registry.register()
    await registry.heartbeat()
    await registry.listing("?watcher=one&index=5000&epoch=other")
    await registry.listing("?watcher=two&index=5000")
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        await socket.send_json({"type": "hello", "watcher": "three"})
        await socket.send_json({"type": "watch", "service": "api", "index": 5000, "epoch": "e"})
        await socket.receive_json()
        await socket.send_json({"type": "applied", "service": "api", "index": 5000})
        await socket.send_json({"type": "watch", "service": "api"})
        await socket.receive_json()
        said = {"watcher": "four", "index": 5000, "epoch": "other"}
        await registry.ask("POST", "/v1/services/api/applied", said)
        drain = (await registry.ask("POST", "/v1/services/a/drain", {})).body
        assert drain["behind"] == ["four", "one", "three", "two"]


async def test_a_watcher_that_names_itself_late_is_waited_for_by_that_name_alone(
    registry: Served,
) -> None:
    await registry.register()
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        await socket.send_json({"type": "watch", "service": "api"})
        await socket.receive_json()
        await socket.send_json({"type": "hello", "watcher": "late"})
        await socket.send_json({"type": "watch", "service": "api"})
        await socket.receive_json()
        drain = (await registry.ask("POST", "/v1/services/a/drain", {})).body
        assert drain["behind"] == ["late"]


async def test_who_watches_before_there_is_anybody_is_waited_for(registry: Served) -> None:
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        await socket.send_json({"type": "hello", "watcher": "early"})
        await socket.send_json({"type": "watch", "service": "api"})
        assert (await socket.receive_json())["instances"] == []
        await registry.register()
        assert (await socket.receive_json())["type"] == "put"
        drain = (await registry.ask("POST", "/v1/services/a/drain", {})).body
        assert drain["behind"] == ["early"]


async def test_a_drain_waits_for_who_first_told_its_load_after_its_first_heartbeat(
    registry: Served,
) -> None:
    await registry.register()
    await registry.heartbeat()
    await registry.heartbeat(in_flight=5)
    drain = (await registry.ask("POST", "/v1/services/a/drain", {})).body
    assert (drain["safe"], drain["in_flight"]) == (False, None)


async def drained(registry: Served) -> dict[str, Any]:
    """How far the drain of a is after three heartbeats that tell of nothing under way."""
    progress: dict[str, Any] = {}
    for _ in range(3):
        said = await registry.heartbeat(in_flight=0)
        assert said.body["draining"] is True
        await registry.pass_time(1)
        progress = (await registry.ask("GET", "/v1/services/a/drain")).body
    return progress


@pytest.mark.parametrize("first", ["drain", "maintenance"])
async def test_who_is_in_maintenance_is_drained_as_well(registry: Served, first: str) -> None:
    await registry.register()
    await registry.heartbeat(in_flight=0)
    orders = [("POST", "drain"), ("PUT", "maintenance")]
    for method, what in orders if first == "drain" else reversed(orders):
        assert (await registry.ask(method, f"/v1/services/a/{what}", {})).status in (200, 202)
    assert (await drained(registry))["safe"] is True


async def test_a_service_in_which_much_happens_keeps_no_drain_unsafe(registry: Served) -> None:
    await registry.register()
    await registry.register("b")
    await registry.ask("POST", "/v1/services/a/drain", {})
    safe = []
    for weight in range(4):
        answer = await registry.ask("PATCH", "/v1/services/b", {"weight": weight})
        await registry.listing(f"?watcher=gw&index={answer.body['index']}")
        await registry.heartbeat(in_flight=0)
        safe.append((await registry.ask("GET", "/v1/services/a/drain")).body["safe"])
        await registry.pass_time(1)
    assert safe[-1] is True


async def test_who_has_just_left_may_have_sent_something(registry: Served) -> None:
    await registry.register()
    async with registry.session.ws_connect(f"{registry.url}/v1/watch") as socket:
        await socket.send_json({"type": "hello", "watcher": "gw"})
        await socket.send_json({"type": "watch", "service": "api"})
        await socket.receive_json()
        await registry.ask("POST", "/v1/services/a/drain", {})
        assert (await drained(registry))["behind"] == ["gw"]
        await socket.send_json({"type": "unwatch", "service": "api"})
        await settled(lambda: nobody_is_behind(registry))
    progress = (await registry.ask("GET", "/v1/services/a/drain")).body
    assert (progress["safe"], progress["in_flight"]) == (False, None)
    assert (await drained(registry))["safe"] is True


async def nobody_is_behind(registry: Served) -> bool:
    return not (await registry.ask("GET", "/v1/services/a/drain")).body["behind"]


async def test_a_drain_can_be_ended(registry: Served) -> None:
    await registry.register()
    await registry.heartbeat()
    await registry.ask("POST", "/v1/services/a/drain", {})
    answer = await registry.ask("DELETE", "/v1/services/a/drain")
    assert answer.body["health"] == "passing"
    progress = (await registry.ask("GET", "/v1/services/a/drain?wait=30s")).body
    assert progress.items() >= {"safe": False, "deadline": None}.items()


async def test_what_proxies_see_makes_an_instance_suspect(registry: Served) -> None:
    await registry.register()
    await registry.heartbeat()
    seen = {"id": "a", "generation": 1, "requests": 20, "failures": 19}

    async def observe(watcher: str, **fields: object) -> None:
        body = {"watcher": watcher, "observations": [{**seen, **fields}]}
        assert (await registry.ask("POST", "/v1/observations", body)).status == 204

    await observe("one", generation=7)  # of another registration: says nothing
    assert (await registry.listing())["instances"][0]["health"] == "passing"
    await observe("one")
    [found] = (await registry.listing())["instances"]
    assert found["health"] == "suspect"
    assert found["cause"] == "proxies see 19 of 20 requests fail, but heartbeats come"
    await observe("one", failures=0)
    assert (await registry.listing())["instances"][0]["health"] == "passing"


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"port": 0}, "port", "greater than or equal to 1"),
        ({"address": "no such host!"}, "address", "IPv4 or IPv6 address or a host name"),
        ({"id": "a/b"}, "id", "pattern"),
        ({"name": ""}, "name", "pattern"),
        ({"scheme": "ftp"}, "scheme", "'http'"),
        ({"weight": -1}, "weight", "greater than or equal to 0"),
        ({"ttl": 0.5}, "ttl", "at least 1 second"),
        ({"port": "80"}, "port", "valid integer"),
        ({"weight": False}, "weight", "valid integer"),
        ({"tags": ["a,b"]}, "tags.0", "pattern"),
        ({"tags": ["x"] * 65}, "tags", "at most 64"),
        ({"meta": {"k": "v" * 257}}, "meta.k", "at most 256"),
        ({"meta": {"k": "a\r\nb"}}, "meta.k", "pattern"),
        ({"checks": [{"kind": "icmp"}]}, "checks.0.kind", "'http'"),
        ({"checks": [{"path": "no"}]}, "checks.0.path", "begins with one '/'"),
        ({"checks": [{"interval": 0.01}]}, "checks.0.interval", "greater than or equal"),
        ({"health": "passing"}, "health", "Extra inputs"),
    ],
)
async def test_a_wrong_registration_says_which_field(
    registry: Served, fields: dict[str, Any], field: str, reason: str
) -> None:
    answer = await registry.ask("POST", "/v1/services", {**API, **fields})
    assert answer.status == 422
    [detail] = answer.body["details"]
    assert detail["field"] == field
    assert reason in detail["message"]
    assert (await registry.listing())["instances"] == []


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"[]", "application/json", 422),
        (b'{"name": "' + b"a" * 300_000 + b'"}', "application/json", 413),
    ],
)
async def test_what_is_no_registration_is_refused(
    registry: Served, body: bytes, kind: str, status: int
) -> None:
    async with registry.session.post(
        f"{registry.url}/v1/services", data=body, headers={"Content-Type": kind}
    ) as answer:
        document = await answer.json()
    assert (answer.status, document["code"]) == (status, status)
    assert document["service"] == "registry"


async def test_who_wants_no_heartbeats_and_no_checks_is_taken_at_its_word(
    registry: Served,
) -> None:
    await registry.register(ttl=0, checks=[])
    await registry.pass_time(100)
    [found] = (await registry.listing())["instances"]
    assert (found["health"], found["cause"]) == ("passing", "it is taken at its word")


async def test_there_is_room_for_as_many_as_the_limit_says() -> None:
    async with served(instances=2) as registry:
        await registry.register("a")
        await registry.register("b")
        answer = await registry.ask("POST", "/v1/services", {**API, "id": "c"})
        assert answer.status == 507
        assert "registry.instances" in answer.body["message"]
        await registry.register("b", version="2")


async def test_checks_of_an_instance_speak_for_it_and_against_it(registry: Served) -> None:
    answers = [200]

    async def health(_request: web.Request) -> web.Response:
        return web.Response(status=answers[-1])

    app = web.Application()
    app.router.add_get("/health", health)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    check = {"interval": 0.5, "jitter": 0, "fall": 1, "rise": 1}
    try:
        await registry.register(address="127.0.0.1", port=port, ttl=0, checks=[check])
        found = (await registry.listing())["instances"][0]
        for status, state in ((200, "passing"), (429, "degraded"), (500, "critical")):
            answers.append(status)
            while found["health"] != state:
                listing = await registry.listing(f"?index={found['index']}&wait=10s")
                [found] = listing["instances"]
        assert found["cause"] == "the http check fails: status 500"
        assert found["checks"][0]["says"] == "bad"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "heartbeat", {"generation": 1}),
        ("PATCH", "?generation=1", {"weight": 7}),
        ("PUT", "maintenance?generation=1", {"reason": "late"}),
        ("DELETE", "maintenance?generation=1", None),
        ("POST", "drain?generation=1", {"deadline": 5}),
        ("DELETE", "drain?generation=1", None),
        ("DELETE", "?generation=1", None),
    ],
)
async def test_no_late_message_touches_a_newer_registration(
    registry: Served, method: str, path: str, body: dict[str, object] | None
) -> None:
    await registry.register("a")
    await registry.register("a", port=10)  # generation 2
    before = (await registry.listing())["instances"]

    slash = "" if path.startswith("?") else "/"
    answer = await registry.ask(method, f"/v1/services/a{slash}{path}", body)

    assert answer.status == 409
    assert "2" in answer.body["message"]
    assert (await registry.listing())["instances"] == before
    current = path.replace("=1", "=2")
    good = await registry.ask(
        method,
        f"/v1/services/a{slash}{current}",
        {"generation": 2} if path == "heartbeat" else body,
    )
    assert good.status < 300


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/v2", "GET", 404), ("/v1/nodes", "BREW", 405)]
)
async def test_what_is_not_there_is_said_by_the_registry(
    registry: Served, path: str, method: str, status: int
) -> None:
    answer = await registry.ask(method, path)

    assert (answer.status, answer.body["service"]) == (status, "registry")


async def test_a_check_is_made_as_documented_unless_it_says_more(registry: Served) -> None:
    await registry.register(checks=[{}])
    [found] = (await registry.listing())["instances"]
    assert (
        found["checks"][0].items()
        >= {
            "kind": "http",
            "path": "/health",
            "interval": 10.0,
            "timeout": 3.0,
            "jitter": 0.2,
            "rise": 2,
            "fall": 3,
        }.items()
    )
    assert Check() == Check("http", "/health", 10.0, 3.0, 0.2, 2, 3)


async def test_what_needs_no_field_needs_no_body(registry: Served) -> None:
    await registry.register("a")
    bare = {"Content-Type": ""}
    drain = await registry.ask("POST", "/v1/services/a/drain", headers=bare)
    out = await registry.ask("PUT", "/v1/services/a/maintenance", headers=bare)
    beat = await registry.ask("PUT", "/v1/services/a/heartbeat", headers=bare)
    assert (drain.status, out.status, beat.status) == (202, 200, 415)
