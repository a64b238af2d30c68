"""Who may read, and who may write, where the registry is told whose credentials are good."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import WSCloseCode, WSMsgType

from tests.registry.served import API, served
from uaitools.auth.keyfile import change
from uaitools.auth.keys import new_key
from uaitools.registry.api import streams
from uaitools.tasks import spawn

NOW = datetime.now(UTC)
READ, WRITE = "registry:read", "registry:write"


def key(path: Path, *scopes: str) -> dict[str, str]:
    """A new key with these scopes, as a header."""
    text, record = new_key("ci", scopes=scopes, roles=(), created=NOW)
    return change(path, lambda records: ((*records, record), {"X-API-Key": text}))


READS = [
    ("GET", "/v1/services"),
    ("GET", "/v1/services/api"),
    ("GET", "/v1/nodes"),
    ("GET", "/v1/services/a/drain"),
    ("GET", "/v1/explain/api"),
]
WRITES = [
    ("POST", "/v1/services", {**API, "id": "a"}),
    ("PUT", "/v1/services/a/heartbeat", {"generation": 1}),
    ("PATCH", "/v1/services/a", {"weight": 2}),
    ("PUT", "/v1/services/a/maintenance", {}),
    ("DELETE", "/v1/services/a/maintenance", None),
    ("POST", "/v1/services/a/drain", {}),
    ("DELETE", "/v1/services/a/drain", None),
    ("POST", "/v1/observations", {"watcher": "w", "observations": []}),
    ("DELETE", "/v1/services/a", None),
]


async def test_reading_and_writing_need_their_scopes(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    reader, writer = key(path, READ), key(path, WRITE)
    async with served(auth={"keys_file": str(path)}) as registry:
        for method, url, body in WRITES[:1] + WRITES:
            assert (await registry.ask(method, url, body)).status == 401
            refused = await registry.ask(method, url, body, headers=reader)
            assert refused.status == 403
            assert WRITE in refused.body["message"]
        for method, url, body in WRITES[:-1]:
            answer = await registry.ask(method, url, body, headers=writer)
            assert answer.status < 300, (method, url, answer.text)
        for method, url in READS:
            assert (await registry.ask(method, url)).status == 401
            assert (await registry.ask(method, url, headers=writer)).status == 403
            assert (await registry.ask(method, url, headers=reader)).status == 200
        method, url, body = WRITES[-1]
        assert (await registry.ask(method, url, body, headers=writer)).status == 204


@pytest.mark.parametrize("scopes", [(READ,), (READ, WRITE)])
async def test_a_watcher_needs_to_read_and_to_tell_what_it_saw_to_write(
    tmp_path: Path, scopes: tuple[str, ...]
) -> None:
    path = tmp_path / "keys.json"
    headers, stranger = key(path, *scopes), key(path, "hub:publish")
    async with served(auth={"keys_file": str(path)}) as registry:
        url = f"{registry.url}/v1/watch"
        for wrong, status in (({}, 401), (stranger, 403)):
            upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", **wrong}
            assert (await registry.ask("GET", "/v1/watch", headers=upgrade)).status == status
        async with registry.session.ws_connect(url, headers=headers) as socket:
            await socket.send_json({"type": "observed", "observations": []})
            await socket.send_json({"type": "watch", "service": "api"})
            message = await socket.receive_json()
            if WRITE in scopes:
                assert message["type"] == "list"
            else:
                assert (message["type"], message["code"]) == ("error", 403)


async def test_a_stream_ends_when_its_credential_is_no_longer_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PING", 0.3)
    path = tmp_path / "keys.json"
    kept, revoked = key(path, READ), key(path, READ)
    async with (
        served(auth={"keys_file": str(path)}) as registry,
        registry.session.ws_connect(f"{registry.url}/v1/watch", headers=kept) as stays,
        registry.session.ws_connect(f"{registry.url}/v1/watch", headers=revoked) as socket,
        registry.session.get(f"{registry.url}/v1/watch?service=api", headers=revoked) as events,
    ):
        for one in (stays, socket):
            await one.send_json({"type": "watch", "service": "api"})
            assert (await one.receive_json())["type"] == "list"
        reading = spawn(stays.receive(), name="read")  # which answers pings, too
        change(path, lambda records: (records[:1], None))
        closed = await socket.receive(timeout=10)
        assert (closed.type, closed.data) == (WSMsgType.CLOSE, WSCloseCode.POLICY_VIOLATION)
        assert closed.extra == "the credential is no longer good"
        async with asyncio.timeout(10):
            assert b"event: list" in await events.read()
        await asyncio.sleep(1)
        assert not reading.done()
        reading.cancel()


async def test_health_is_open_and_metrics_are_for_operators(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    reader, operator = key(path, READ), key(path, "ops:read")
    async with served(auth={"keys_file": str(path)}) as registry:
        health = await registry.ask("GET", "/health")
        assert health.body.items() >= {"service": "registry", "status": "healthy"}.items()
        assert health.body["dependencies"] == {"store": "healthy"}
        assert (await registry.ask("GET", "/metrics", headers=reader)).status == 403
        metrics = (await registry.ask("GET", "/metrics", headers=operator)).text.decode()
        assert "registry_store_up 1" in metrics
        document = (await registry.ask("GET", "/openapi.json", headers=reader)).body
        assert document["security"] == [{"token": []}]
