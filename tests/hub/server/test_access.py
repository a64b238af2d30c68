"""Who may connect, subscribe and publish, and for how long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from tests.hub.server.served import Served, served, stream
from tests.peers.gateways import eventually
from uaitools.auth.config import AuthConfig
from uaitools.auth.keyfile import change
from uaitools.auth.keys import new_key
from uaitools.hub.config import Mode
from uaitools.hub.grants import Grants

SECRET = "a secret of the application, 32 bytes long"
CHANNEL_SECRET = "another secret of the application, as long"


def token(user: str = "u-1", *, life: float = 60, **claims: object) -> str:
    expires = time.time() + life
    return jwt.encode({"sub": user, "exp": expires, **claims}, SECRET, algorithm="HS256")


def bearer(user: str = "u-1", *, life: float = 60, **claims: object) -> str:
    return f"Bearer {token(user, life=life, **claims)}"


@pytest.fixture
def auth() -> AuthConfig:
    return AuthConfig.model_validate({"jwt": {"secret": SECRET, "leeway": 0}})


@pytest.fixture
async def hub(mode: Mode, auth: AuthConfig) -> AsyncIterator[Served]:
    settings: dict[str, Any] = {"token_secret": CHANNEL_SECRET, "credential": 0.5}
    async with served(mode=mode, auth=auth, **settings) as one:
        yield one


async def refused(hub: Served, query: str = "", **headers: Any) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with hub.client(query=query, **headers):
            pass
    return caught.value.status


async def test_a_token_of_a_header_says_who_it_is(hub: Served) -> None:
    async with hub.client(Authorization=bearer()) as client:
        assert client.welcome["user"] == "u-1"


async def test_a_token_of_the_query_says_who_it_is(hub: Served) -> None:
    async with hub.client(query=f"?token={token()}") as client:
        assert client.welcome["user"] == "u-1"


async def test_a_token_of_the_first_message_says_who_it_is(hub: Served) -> None:
    async with hub.client(welcomed=False) as client:
        await client.say(type="connect", token=token())
        assert (await client.hear())["type"] == "welcome"
        reply = await client.hear()
        assert (reply["type"], reply["user"]) == ("connected", "u-1")
        await asyncio.sleep(2.5)
        assert (await client.ask("ping"))["type"] == "pong"


async def test_a_wrong_token_is_refused(hub: Served) -> None:
    assert await refused(hub, Authorization=bearer(life=-5)) == 401
    assert await refused(hub, query="?token=nonsense") == 401
    async with hub.client(welcomed=False) as client:
        assert (await client.ask("connect", token="nonsense"))["code"] == "unauthorized"


async def test_who_brings_none_in_time_has_to_go(hub: Served) -> None:
    async with hub.client(welcomed=False) as client:
        assert (await client.ask("subscribe", channel="a"))["code"] == "unauthorized"
        assert await client.ended() == 4002


async def test_a_guest_of_a_public_channel_may_stay(hub: Served) -> None:
    async with hub.client(welcomed=False) as client:
        await client.subscribe("public:news")
        await asyncio.sleep(2.5)
        assert (await client.ask("ping"))["type"] == "pong"


async def test_the_connection_ends_with_its_token(hub: Served) -> None:
    async with hub.client(Authorization=bearer(life=1)) as client:
        assert await client.ended() == 4001


async def test_another_token_of_the_same_user_prolongs_it(hub: Served) -> None:
    async with hub.client(Authorization=bearer(life=1)) as client:
        assert (await client.ask("connect", token=token("u-2")))["code"] == "forbidden"
        assert (await client.ask("connect", token=token()))["type"] == "connected"
        await asyncio.sleep(2.5)
        assert (await client.ask("ping"))["type"] == "pong"


async def test_a_key_that_is_revoked_ends_its_connections(mode: Mode, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = []
    for name in ("one", "two"):
        text, record = new_key(name, scopes=["a"], created=datetime.now(UTC))
        keys.append(text)
        change(path, lambda records, new=record: ((*records, new), None))  # type: ignore[misc]
    auth = AuthConfig.model_validate({"keys_file": path})
    async with (
        served(mode=mode, auth=auth) as hub,
        hub.client(X_API_Key=keys[0]) as one,
        hub.client(query=f"?token={keys[1]}") as two,
    ):
        change(path, lambda records: (records[1:], None))
        assert await one.ended() == 4001
        assert (await two.ask("ping"))["type"] == "pong"


async def test_every_connection_of_a_user_gets_what_is_sent_to_him(
    hub: Served,
) -> None:
    async with (
        hub.client(Authorization=bearer()) as one,
        hub.client(Authorization=bearer()) as two,
        hub.client(Authorization=bearer(user="u-2")) as other,
    ):
        admin = bearer(scope="hub:publish")
        sent = await hub.ask("POST", "/v1/users/u-1/send", {"data": 1}, Authorization=admin)
        assert sent.status == 200
        for client in (one, two):
            message = await client.hear()
            assert (message["channel"], message["data"]) == ("user:u-1", 1)
        assert (await other.ask("ping"))["type"] == "pong"
        ended = await hub.ask("POST", "/v1/disconnect", {"user": "u-1"}, Authorization=admin)
        assert ended.body == {"here": 2}
        assert await one.ended() == 4003


async def test_a_users_channel_is_nobody_elses(hub: Served) -> None:
    async with hub.client(Authorization=bearer()) as client:
        await client.subscribe("user:u-1")
        assert (await client.ask("subscribe", channel="user:u-2"))["code"] == "forbidden"
        assert (await client.ask("history", channel="user:u-2"))["code"] == "forbidden"
        assert (await client.ask("presence", channel="user:u-2"))["code"] == "forbidden"


async def test_a_private_channel_takes_a_token_made_for_it(hub: Served) -> None:
    grants = Grants(CHANNEL_SECRET.encode())
    later, name = time.time() + 60, "private:x"
    async with hub.client(Authorization=bearer()) as client:

        async def answered(grant: str | None) -> str:
            more = {} if grant is None else {"token": grant}
            reply = await client.ask("subscribe", channel=name, **more)
            return str(reply.get("code", "ok"))

        assert await answered(None) == "forbidden"
        assert await answered(grants.issue("u-2", name, later)) == "forbidden"
        assert await answered(grants.issue("u-1", "private:y", later)) == "forbidden"
        assert await answered(grants.issue("u-1", name, time.time() - 1)) == "forbidden"
        assert await answered(Grants(b"x" * 40).issue("u-1", name, later)) == "forbidden"
        assert await answered("nonsense") == "forbidden"
        assert await answered(grants.issue("u-1", name, later)) == "ok"


async def test_to_publish_takes_a_scope(hub: Served) -> None:
    async with hub.client(Authorization=bearer()) as client:
        await client.subscribe("a")
        assert (await client.ask("publish", channel="a", data=1))["code"] == "forbidden"
    said = {"channel": "a", "data": 1}
    assert (await hub.ask("POST", "/v1/publish", said)).status == 401
    assert (await hub.ask("POST", "/v1/publish", said, Authorization=bearer())).status == 403
    admin = bearer(scope="hub:publish")
    assert (await hub.ask("POST", "/v1/publish", said, Authorization=admin)).status == 200


async def test_a_rule_lets_subscribers_publish(mode: Mode, auth: AuthConfig) -> None:
    rules = [{"match": "room:*", "publish": "reader"}]
    async with (
        served(mode=mode, auth=auth, channels=rules) as hub,
        hub.client(Authorization=bearer()) as client,
    ):
        assert (await client.ask("publish", channel="room:1", data=1))["code"] == "forbidden"
        await client.subscribe("room:1")
        await client.say(type="publish", channel="room:1", data=1)
        message = next(one for one in [await client.hear(), await client.hear()] if "data" in one)
        assert message["user_id"] == "u-1"


async def test_streams_and_polls_ask_the_same_of_who_follows(hub: Served) -> None:
    assert (await hub.ask("GET", "/v1/poll?channel=a")).status == 401
    assert (await hub.ask("GET", "/v1/sse?channel=a")).status == 401
    assert (await hub.ask("GET", f"/v1/poll?channel=a&token={token()}")).status == 200
    assert (await hub.ask("GET", f"/v1/poll?channel=user:u-2&token={token()}")).status == 403
    assert (await hub.ask("GET", "/v1/poll?channel=public&wait=0")).status == 200


async def test_pages_of_other_origins_may_not_connect(mode: Mode) -> None:
    async with served(mode=mode, origins=["https://app.example.org"]) as hub:
        for origin in ("https://evil.example.org", "null", "http://127.0.0.1:1", "http://["):
            assert await refused(hub, Origin=origin) == 403
        for origin in ("https://app.example.org", hub.url):
            async with hub.client(Origin=origin):
                pass


async def test_a_user_has_a_limit_of_connections(mode: Mode, auth: AuthConfig) -> None:
    async with served(mode=mode, auth=auth, per_user=1) as hub:
        async with hub.client(Authorization=bearer()):
            assert await refused(hub, Authorization=bearer()) == 429
            async with hub.client(Authorization=bearer(user="u-2")):
                pass
        await eventually(lambda: len(hub.server.hub.sessions) == 0)
        async with hub.client(Authorization=bearer()):
            pass


async def test_an_address_has_a_limit_of_connections(mode: Mode) -> None:
    settings: dict[str, Any] = {"per_address": 1, "trusted_proxies": ["127.0.0.0/8"]}
    async with served(mode=mode, **settings) as hub, hub.client():
        assert await refused(hub) == 429
        async with hub.client(X_Forwarded_For="203.0.113.7"):
            assert await refused(hub, X_Forwarded_For="10.0.0.1, 203.0.113.7") == 429


async def test_a_limit_holds_for_those_who_come_together(mode: Mode, auth: AuthConfig) -> None:
    async with served(mode=mode, auth=auth, per_user=1) as hub:

        async def come() -> int:
            try:
                async with hub.client(Authorization=bearer()):
                    await asyncio.sleep(0.3)
            except aiohttp.WSServerHandshakeError as error:
                return error.status
            return 101

        assert sorted(await asyncio.gather(*(come() for _ in range(10)))) == [101] + [429] * 9


async def test_a_private_channel_ends_with_its_token(hub: Served) -> None:
    grant = Grants(CHANNEL_SECRET.encode()).issue("u-1", "private:x", time.time() + 2)
    async with hub.client(Authorization=bearer()) as client:
        await client.subscribe("private:x", token=grant)
        notice = await client.hear()
        assert (notice["type"], notice["channel"]) == ("unsubscribed", "private:x")
        assert notice["code"] == "expired"
        assert (await client.ask("subscribe", channel="private:x", token=grant))[
            "code"
        ] == "forbidden"


async def test_pages_of_other_origins_may_not_poll() -> None:
    async with served() as hub:
        path = "/v1/poll?channel=public"
        assert (await hub.ask("GET", path, Origin="https://evil.example.org")).status == 403


async def test_a_stream_and_a_poll_of_a_private_channel_end_with_its_token(hub: Served) -> None:
    headers = {"Authorization": bearer()}
    grant = Grants(CHANNEL_SECRET.encode()).issue("u-1", "private:x", time.time() + 2)
    query = f"channel=private:x&grant={grant}"
    async with stream(hub, query, **headers) as one:
        _, place, _ = await one.hear("subscribed")
        # It would wait for 25 s otherwise.
        polled = await hub.ask("GET", f"/v1/poll?{query}&after={place}", **headers)
        assert (polled.status, polled.body["channels"][0]["messages"]) == (200, [])
        _, _, notice = await one.hear("unsubscribed")
        assert (notice["channel"], notice["code"]) == ("private:x", "expired")
        assert hub.server.hub.channels.get("private:x") is not None
        assert (await hub.ask("GET", f"/v1/poll?{query}&after={place}", **headers)).status == 403


async def test_guests_leave_half_of_the_channels_to_others_whatever_they_ask(
    mode: Mode, auth: AuthConfig
) -> None:
    async with served(mode=mode, auth=auth, open_channels=20) as hub:
        async with hub.client(welcomed=False) as guest:
            codes = [
                (await guest.ask("history", channel=f"public:{number}")).get("code")
                for number in range(20)
            ]
        assert (codes.count(None), codes.count("unavailable")) == (10, 10)
        async with hub.client(Authorization=bearer()) as client:
            await client.subscribe("mine")


async def test_the_filters_of_a_connection_are_bounded_together(hub: Served) -> None:
    async with hub.client(Authorization=bearer()) as client:
        wanted = {"in": ["name", [f"{number:0200}" for number in range(60)]]}
        await client.subscribe("a", filter=wanted)
        reply = await client.ask("subscribe", channel="b", filter=wanted)
        assert (reply["type"], reply["code"]) == ("error", "limit")
        await client.subscribe("a", filter=wanted)  # in its own place
        await client.subscribe("b", filter={"eq": ["name", "x"]})
        await client.ask("unsubscribe", channel="a")
        await client.subscribe("c", filter=wanted)


async def test_who_asks_for_no_websocket_is_told_how(hub: Served) -> None:
    answer = await hub.ask("GET", "/ws")
    assert answer.status == 426
    assert answer.headers["Upgrade"] == "websocket"
    assert answer.headers["Sec-WebSocket-Version"] == "13"
