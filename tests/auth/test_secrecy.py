"""No secret in what is written or answered, whatever is sent."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.pytest_plugin import AiohttpClient

from tests.auth.issuers import AUDIENCE, SECRET, SERVICE_SECRET, claims, forged, hs256, signed
from tests.peers.logs import restored_log
from uaitools import log
from uaitools.auth.authenticator import Authenticator
from uaitools.auth.config import AuthConfig
from uaitools.auth.keyfile import change
from uaitools.auth.keys import new_key
from uaitools.auth.principal import Principal
from uaitools.auth.service_token import ServiceTokens
from uaitools.metrics import Snapshot
from uaitools.web import Health, application


@pytest.fixture
def _restored_log() -> Iterator[None]:
    with restored_log():
        yield


CREATED = datetime(2026, 1, 1, tzinfo=UTC)
TELLING = "hunter2hunter2hunter2"


async def snapshot() -> Snapshot:
    return Snapshot.of([])


async def failing(request: web.Request) -> web.Response:
    raise LookupError(f"a defect at {request.path}")


@pytest.mark.usefixtures("_restored_log")
async def test_bad_credentials_leave_no_trace_of_themselves(
    aiohttp_client: AiohttpClient, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    written = io.BytesIO()
    log.configure("debug", "memory", stream=written)
    path = tmp_path / "keys.json"
    good, record = new_key("ci", created=CREATED)
    revoked, other = new_key("old", created=CREATED)
    other = other.model_copy(update={"revoked": CREATED})
    change(path, lambda _: ((record, other), None))
    table = {"secret": SECRET, "audience": AUDIENCE}
    document = {"keys_file": path, "jwt": table, "service_secret": SERVICE_SECRET}
    authenticator = Authenticator(AuthConfig.model_validate(document), audience="memory")
    app = application(
        "memory", health=lambda: Health({}), snapshot=snapshot, authenticator=authenticator
    )
    app.router.add_get("/failing", failing)
    client = await aiohttp_client(app)
    alice = Principal("alice", frozenset(), frozenset(), "jwt")
    vouched = ServiceTokens(SERVICE_SECRET.encode()).issue(alice, "hub", CREATED.timestamp())
    expired = signed("HS256", claims(exp=1)).decode()
    wrong = forged({"alg": "HS256", "kid": TELLING}, claims(sub=TELLING), hs256(b"x")).decode()
    secrets = [good, revoked, vouched, expired, wrong, TELLING, SECRET, SERVICE_SECRET]

    answers = []
    for text in [*secrets, f"uai_{TELLING}", f"{TELLING} {TELLING}", "x" * 8000 + TELLING]:
        for name, value in (
            ("Authorization", f"Bearer {text}"),
            ("Authorization", f"Basic {text}"),
            ("Authorization", text),
            ("X-API-Key", text),
            ("X-User-Token", text),
        ):
            for url in ("/failing", "/nowhere", "/metrics", "/health"):
                response = await client.get(url, headers={name: value})
                answers.append(f"{response.status} {response.headers} {await response.text()}")

    everything = "".join([*answers, *capfd.readouterr(), written.getvalue().decode()])
    everything += f"{authenticator!r} {vars(authenticator)!r}"
    assert "401 " in everything
    assert "a defect at /failing" in everything
    for secret in secrets:
        assert secret not in everything
        assert secret.split("_", 2)[-1] not in everything
        assert secret.rpartition(".")[2] not in everything
