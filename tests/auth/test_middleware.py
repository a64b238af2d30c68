"""Authentication in front of a component's handlers, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.pytest_plugin import AiohttpClient
from aiohttp.test_utils import TestClient

from tests.auth.issuers import AUDIENCE, ISSUER, SECRET, SERVICE_SECRET, KeyServer, jwk, signed
from uaitools.auth.authenticator import Authenticator
from uaitools.auth.config import AuthConfig
from uaitools.auth.keyfile import change
from uaitools.auth.keys import new_key
from uaitools.auth.middleware import PRINCIPAL, access, needs
from uaitools.auth.principal import Principal
from uaitools.auth.service_token import ServiceTokens
from uaitools.metrics import Snapshot
from uaitools.web import Health, application

Client = TestClient[web.Request, web.Application]
Serve = Callable[[Authenticator | None], Awaitable[Client]]
NOW = datetime.now(UTC)


async def whoami(request: web.Request) -> web.Response:
    principal = request[PRINCIPAL]
    return web.json_response({"id": principal.id, "kind": principal.kind})


@needs("memory:write")
async def write(request: web.Request) -> web.Response:
    return await whoami(request)


@needs(roles=["admin", "operator"])
async def administer(request: web.Request) -> web.Response:
    return await whoami(request)


@access("optional")
async def optional(request: web.Request) -> web.Response:
    return await whoami(request)


@access("optional")
@needs("memory:write")
async def optional_write(request: web.Request) -> web.Response:
    return await whoami(request)


@access("none")
async def free(request: web.Request) -> web.Response:
    return await whoami(request)


class Documents(web.View):
    async def get(self) -> web.Response:
        return await whoami(self.request)

    @needs("memory:write")
    async def post(self) -> web.StreamResponse:
        return await whoami(self.request)


class Notes:
    @needs("memory:write")
    async def create(self, request: web.Request) -> web.StreamResponse:
        return await whoami(request)


async def snapshot() -> Snapshot:
    return Snapshot.of([])


@pytest.fixture
def serve(aiohttp_client: AiohttpClient) -> Serve:
    async def serve(authenticator: Authenticator | None) -> Client:
        app = application(
            "memory",
            health=lambda: Health({}),
            snapshot=snapshot,
            authenticator=authenticator,
        )
        app.router.add_get("/whoami", whoami)
        app.router.add_get("/api/status", whoami)
        app.router.add_get("/write", write)
        app.router.add_get("/administer", administer)
        app.router.add_get("/optional", optional)
        app.router.add_get("/optional-write", optional_write)
        app.router.add_get("/free", free)
        app.router.add_view("/documents", Documents)
        app.router.add_route("*", "/any", whoami)
        app.router.add_post("/notes", Notes().create)
        below = web.Application()
        below.router.add_get("/whoami", whoami)
        app.add_subapp("/below", below)
        return await aiohttp_client(app)

    return serve


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def add(path: Path, *scopes: str, roles: tuple[str, ...] = ()) -> dict[str, str]:
    """A new key, as a header."""
    text, record = new_key("ci", scopes=scopes, roles=roles, created=NOW)
    return change(path, lambda records: ((*records, record), {"X-API-Key": text}))


def configured(path: Path) -> Authenticator:
    """Of a file that has its keys."""
    table = {"secret": SECRET, "audience": AUDIENCE}
    document = {"keys_file": path, "jwt": table, "service_secret": SERVICE_SECRET}
    return Authenticator(AuthConfig.model_validate(document), audience="memory")


@pytest_asyncio.fixture
async def client(serve: Serve, path: Path) -> AsyncIterator[Client]:
    add(path)
    yield await serve(configured(path))


async def seen(client: Client, url: str, **headers: str) -> Any:
    response = await client.get(url, headers=headers)
    assert response.status == 200, await response.text()
    return await response.json()


@pytest.mark.parametrize("enabled", [False, None])
async def test_without_authentication_everyone_may_do_everything(
    serve: Serve, enabled: bool | None
) -> None:
    nothing = Authenticator(AuthConfig(), audience="memory")
    client = await serve(nothing if enabled is False else None)

    for url in ("/whoami", "/write", "/administer", "/optional", "/free", "/api/status"):
        assert await seen(client, url, Authorization="Basic x") == {
            "id": "anonymous",
            "kind": "anonymous",
        }
    assert (await client.get("/metrics")).status == 200


@pytest.mark.parametrize(
    "url", ["/whoami", "/write", "/documents", "/metrics", "/api/status", "/below/whoami", "/no"]
)
async def test_without_credential_the_answer_is_401_in_the_one_shape(
    client: Client, url: str
) -> None:
    response = await client.get(url, headers={"X-Request-Id": "r-1"})

    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="uaitools"'
    assert await response.json() == {
        "code": 401,
        "message": "authentication is required; send an API key or a token as Authorization: "
        "Bearer, or a key as X-API-Key",
        "service": "memory",
        "request_id": "r-1",
    }


async def test_health_is_never_asked_for_a_credential(client: Client) -> None:
    for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Basic x"}):
        assert (await client.get("/health", headers=headers)).status == 200
        assert (await client.head("/health", headers=headers)).status == 200


@pytest.mark.parametrize("url", ["/metrics", "/api/status"])
async def test_operations_need_their_scope(serve: Serve, path: Path, url: str) -> None:
    reader, other, root = add(path, "ops:read"), add(path, "memory:write"), add(path, "*")
    client = await serve(configured(path))

    assert (await client.get(url, headers=reader)).status == 200
    assert (await client.get(url, headers=root)).status == 200
    refused = await client.get(url, headers=other)
    assert refused.status == 403
    assert 'scope="ops:read"' in refused.headers["WWW-Authenticate"]


async def test_a_key_is_taken_from_both_headers(serve: Serve, path: Path) -> None:
    key = add(path)
    client = await serve(configured(path))
    bearer = f"Bearer {key['X-API-Key']}"

    assert await seen(client, "/whoami", **key) == await seen(
        client, "/whoami", Authorization=bearer
    )
    assert (await seen(client, "/below/whoami", **key))["kind"] == "key"


async def test_a_user_is_the_same_user_with_a_principal_token(client: Client) -> None:
    alice = Principal("alice", frozenset({"memory:write"}), frozenset(), "jwt")
    token = ServiceTokens(SERVICE_SECRET.encode()).issue(alice, "memory", time())

    found = await seen(client, "/write", **{"X-User-Token": token, "Authorization": "Basic x"})

    assert found == {"id": "alice", "kind": "service"}


async def test_handlers_ask_for_scopes_and_roles(serve: Serve, path: Path) -> None:
    writer, operator = add(path, "memory:write"), add(path, "x", roles=("operator",))
    client = await serve(configured(path))

    assert (await client.get("/write", headers=writer)).status == 200
    assert (await client.post("/documents", headers=writer)).status == 200
    assert (await client.post("/notes", headers=writer)).status == 200
    assert (await client.get("/administer", headers=operator)).status == 200
    for response in (
        await client.get("/write", headers=operator),
        await client.post("/documents", headers=operator),
        await client.post("/notes", headers=operator),
        await client.get("/administer", headers=writer),
    ):
        body = await response.json()
        assert (response.status, body["code"], body["service"]) == (403, 403, "memory")
        assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]


async def test_where_a_credential_is_optional_a_wrong_one_is_still_refused(
    serve: Serve, path: Path
) -> None:
    key = add(path)
    client = await serve(configured(path))

    assert (await seen(client, "/optional"))["kind"] == "anonymous"
    assert (await seen(client, "/optional", **key))["kind"] == "key"
    assert (await client.get("/optional", headers={"X-API-Key": "wrong"})).status == 401
    # A guest has no scope.
    assert (await client.get("/optional-write")).status == 403


async def test_where_none_is_wanted_none_is_looked_at(client: Client) -> None:
    found = await seen(client, "/free", **{"X-API-Key": "wrong"})

    assert found["kind"] == "anonymous"


async def test_a_browser_may_ask_what_it_may_send(client: Client) -> None:
    preflight = {"Origin": "https://x", "Access-Control-Request-Method": "POST"}

    # By the route, not by the request: it could name any handler.
    assert (await client.options("/notes", headers=preflight)).status == 401  # no CORS here
    assert (await client.options("/any", headers=preflight)).status == 401
    assert (await client.options("/notes")).status == 401
    # Nobody gets a view's other methods that way.
    assert (await client.get("/whoami", headers=preflight)).status == 401


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key", "X-User-Token"])
async def test_a_credential_that_stands_twice_is_400(client: Client, name: str) -> None:
    response = await client.get("/whoami", headers=[(name, "Bearer a"), (name, "Bearer b")])

    assert response.status == 400
    assert (await response.json())["message"] == f"{name} stands twice"
    assert 'error="invalid_request"' in response.headers["WWW-Authenticate"]


async def test_a_request_waits_for_the_keys_of_its_tokens_issuer(serve: Serve) -> None:
    server = KeyServer(jwk("ES256"))
    await server.start()
    table = {"jwks_url": server.url, "issuer": ISSUER, "audience": AUDIENCE}
    config = AuthConfig.model_validate({"jwt": table})
    authenticator = Authenticator(config, audience="memory")
    await authenticator.start()
    try:
        client = await serve(authenticator)
        body = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": time() + 600}
        token = signed("ES256", body, header={"kid": "ES256-0"}).decode()

        found = await seen(client, "/whoami", Authorization=f"Bearer {token}")

        assert found == {"id": "alice", "kind": "jwt"}
    finally:
        await authenticator.stop()
        await server.stop()


async def test_a_key_set_that_cannot_be_had_is_503(serve: Serve) -> None:
    table = {"jwks_url": "http://127.0.0.1:1/keys", "issuer": ISSUER, "audience": AUDIENCE}
    config = AuthConfig.model_validate({"jwt": table})
    authenticator = Authenticator(config, audience="memory")
    await authenticator.start()
    try:
        client = await serve(authenticator)
        body = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": time() + 600}
        token = signed("ES256", body, header={"kid": "ES256-0"}).decode()

        response = await client.get("/whoami", headers={"Authorization": f"Bearer {token}"})

        assert (response.status, response.headers["Retry-After"]) == (503, "5")
    finally:
        await authenticator.stop()
