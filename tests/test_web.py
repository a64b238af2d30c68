import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientResponse, web
from aiohttp.pytest_plugin import AiohttpClient
from aiohttp.test_utils import TestClient
from pydantic import BaseModel
from structlog.testing import capture_logs

import uaitools
from uaitools.errors import ServiceError
from uaitools.metrics import Family, Sample, Snapshot
from uaitools.web import REQUEST_ID, Health, application, duration

Client = TestClient[web.Request, web.Application]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Memory(BaseModel):
    text: str
    scores: list[float]


async def snapshot() -> Snapshot:
    return Snapshot.of([Sample(Family("things_total", "counter", "Things."), (), 3)])


@pytest.fixture
def serve(aiohttp_client: AiohttpClient) -> Callable[..., Awaitable[Client]]:
    """Serve the application over a real socket, with one handler more at /thing."""

    async def serve(handler: Handler | None = None, health: Health | None = None) -> Client:
        app = application("memory", health=lambda: health or Health({}), snapshot=snapshot)
        if handler is not None:
            app.router.add_get("/thing", handler)
        return await aiohttp_client(app)

    return serve


Serve = Callable[..., Awaitable[Client]]


def raising(error: Exception) -> Handler:
    async def handler(_request: web.Request) -> web.StreamResponse:
        raise error

    return handler


async def document(response: ClientResponse) -> dict[str, Any]:
    assert response.content_type == "application/json"
    body: dict[str, Any] = await response.json()
    return body


async def test_health_tells_how_the_service_is(serve: Serve) -> None:
    client = await serve(health=Health({"postgres": True, "redis": False}))

    response = await client.get("/health")

    body = await document(response)
    assert response.status == 200
    assert abs(body.pop("timestamp") - time.time()) < 60
    assert body.pop("uptime") >= 0
    assert body == {
        "status": "degraded",
        "service": "memory",
        "version": uaitools.__version__,
        "dependencies": {"postgres": "healthy", "redis": "unhealthy"},
    }


@pytest.mark.parametrize(
    ("health", "status", "code"),
    [
        (Health({}), "healthy", 200),
        (Health({"db": True}), "healthy", 200),
        (Health({"db": True, "cache": False}), "degraded", 200),
        (Health({}, draining=True), "draining", 503),
        (Health({"db": False}, draining=True), "draining", 503),
        (Health({"db": True, "cache": False}, required=("db",)), "degraded", 200),
        (Health({"db": False, "cache": True}, required=("db",)), "degraded", 503),
    ],
)
async def test_health_is_503_while_draining_and_without_what_is_required(
    serve: Serve, health: Health, status: str, code: int
) -> None:
    response = await (await serve(health=health)).get("/health")

    assert (response.status, (await document(response))["status"]) == (code, status)


async def test_metrics_are_the_text_of_the_snapshot(serve: Serve) -> None:
    response = await (await serve()).get("/metrics")

    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "things_total 3" in (await response.text()).splitlines()


async def test_an_error_of_ours_has_its_status_and_the_one_shape(serve: Serve) -> None:
    client = await serve(raising(ServiceError(503, "no endpoint", "llm-router", retry_after=1.2)))

    response = await client.get("/thing", headers={"X-Request-Id": "r-1"})

    assert response.status == 503
    assert response.headers["Retry-After"] == "2"  # whole seconds, rounded up
    assert await document(response) == {
        "code": 503,
        "message": "no endpoint",
        "service": "llm-router",
        "request_id": "r-1",
    }


async def test_an_unknown_path_is_404_in_the_one_shape(serve: Serve) -> None:
    response = await (await serve()).get("/nowhere")

    body = await document(response)
    assert (response.status, body["code"], body["service"]) == (404, 404, "memory")
    assert body["message"] == "nothing is served at /nowhere"


async def test_a_wrong_method_says_which_are_right(serve: Serve) -> None:
    response = await (await serve()).post("/health")

    assert (response.status, response.headers["Allow"]) == (405, "GET,HEAD")
    assert (await document(response))["message"] == "POST is not allowed here, only GET,HEAD"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (web.HTTPBadRequest(text="the cursor is too old"), 400, "the cursor is too old"),
        (web.HTTPConflict(), 409, "Conflict"),
        (web.HTTPNotFound(text="no memory has this id"), 404, "no memory has this id"),
        (web.HTTPServiceUnavailable(), 503, "Service Unavailable"),
    ],
)
async def test_aiohttps_own_errors_have_the_one_shape(
    serve: Serve, error: web.HTTPException, code: int, message: str
) -> None:
    response = await (await serve(raising(error))).get("/thing")

    body = await document(response)
    assert (response.status, body["code"], body["message"]) == (code, code, message)


async def test_headers_of_aiohttps_own_errors_are_kept(serve: Serve) -> None:
    error = web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})

    response = await (await serve(raising(error))).get("/thing")

    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers.getall("Content-Type") == ["application/json"]


async def test_a_body_that_is_not_as_its_headers_say_is_the_clients_mistake(serve: Serve) -> None:
    async def read(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    client = await serve(read)
    headers = {"Content-Encoding": "gzip"}
    response = await client.get("/thing", data=b"not compressed", headers=headers)
    assert (response.status, (await document(response))["code"]) == (400, 400)


async def test_a_redirect_is_no_error(serve: Serve) -> None:
    client = await serve(raising(web.HTTPFound("/health")))

    response = await client.get("/thing", allow_redirects=False)

    assert (response.status, response.headers["Location"]) == (302, "/health")


async def test_invalid_fields_are_named_one_by_one(serve: Serve) -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        Memory.model_validate({"scores": [1, "secret"]})
        raise AssertionError

    response = await (await serve(handler)).get("/thing")

    body = await document(response)
    assert response.status == 422
    assert [detail["field"] for detail in body["details"]] == ["text", "scores.1"]
    assert body["details"][0]["message"] == "Field required"
    assert "secret" not in await response.text()


async def test_a_defect_is_500_and_its_traceback_is_logged_and_not_sent(serve: Serve) -> None:
    client = await serve(raising(LookupError("at 10.0.0.7")))

    with capture_logs() as logged:
        response = await client.get("/thing", headers={"X-Request-Id": "r-1"})

    body = await document(response)
    assert (response.status, body["code"], body["request_id"]) == (500, 500, "r-1")
    assert "LookupError" not in await response.text()
    assert "10.0.0.7" not in await response.text()
    (line,) = logged
    assert (line["event"], line["path"], line["request_id"]) == ("request failed", "/thing", "r-1")
    assert isinstance(line["exc_info"], LookupError)


async def test_a_defect_after_the_answer_began_breaks_it_off(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"partial")
        raise LookupError("too late")

    client = await serve(handler)
    response = await client.get("/thing")

    assert response.status == 200
    with pytest.raises(ClientPayloadError):
        await response.read()


async def test_a_request_without_identifier_gets_one(serve: Serve) -> None:
    client = await serve()

    ids = [(await document(await client.get("/nowhere")))["request_id"] for _ in range(2)]

    assert all(len(bytes.fromhex(one)) == 16 for one in ids)
    assert ids[0] != ids[1]


@pytest.mark.parametrize("given", ["", "with space", "x" * 129, "\u00fc"])
async def test_an_identifier_unfit_for_logs_is_replaced(serve: Serve, given: str) -> None:
    response = await (await serve()).get("/nowhere", headers={"X-Request-Id": given})

    assert (await document(response))["request_id"] != given


async def test_a_handler_knows_the_identifier_of_its_request(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=request[REQUEST_ID])

    client = await serve(handler)

    response = await client.get("/thing", headers={"X-Request-Id": "r-1"})
    assert await response.text() == "r-1"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.9, "0s"), (61, "1m1s"), (3600, "1h0m0s"), (72 * 3600 + 15 * 60 + 30, "72h15m30s")],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


async def test_health_tells_of_time_in_words_where_that_is_asked_for(
    aiohttp_client: AiohttpClient,
) -> None:
    health = Health({"postgres": True, "redis": None}, required=("postgres",))
    client = await aiohttp_client(
        application("memory", health=lambda: health, snapshot=snapshot, times="words")
    )
    response = await client.get("/health")
    told = await document(response)
    assert (response.status, told["status"], told["uptime"]) == (200, "healthy", "0s")
    assert told["dependencies"] == {"postgres": "healthy", "redis": "not configured"}
    moment = datetime.fromisoformat(told["timestamp"])
    assert abs(moment.timestamp() - time.time()) < 60
    assert moment.tzinfo is not None
