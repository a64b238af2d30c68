"""What operators see."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from aiohttp import web

from tests.insight.api.served import AUTH, Answer, Served, serving, token
from tests.insight.stores import Line
from tests.peers.redis import RedisServer
from tests.peers.servers import free_port
from uaitools.insight.api.statistics import megabytes, milliseconds
from uaitools.insight.metrics import BOUNDS, coarser
from uaitools.insight.store.opening import Store
from uaitools.metrics import LATENCY_BOUNDS, Histogram

DAY = date(2024, 2, 11)


async def metrics(insight: Served, **headers: str) -> dict[str, float]:
    text = (await insight.ask("/metrics", **headers)).raw.decode()
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


async def test_health_names_what_it_depends_on(insight: Served) -> None:
    answer = await insight.ask("/health")
    told = answer.body
    assert (answer.status, told["status"], told["service"]) == (200, "healthy", "insight")
    assert told["dependencies"] == {
        "database": "healthy",
        "redis": "not configured",
        "python_api": "not configured",
    }
    assert re.fullmatch(r"(\d+h)?(\d+m)?\d+s", told["uptime"])
    moment = datetime.fromisoformat(told["timestamp"])
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60


async def test_health_asks_the_python_api(store: Store, tmp_path: Path) -> None:
    status = 200

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    app, port = web.Application(), free_port()
    app.router.add_get("/health", answer)
    runner = web.AppRunner(app)
    url = f"http://127.0.0.1:{port}/health"
    async with serving(store, tmp_path, python_api=url) as insight:
        api = insight.service.python_api
        await api.ask()
        told = (await insight.ask("/health")).body
        assert (told["status"], told["dependencies"]["python_api"]) == ("degraded", "unhealthy")
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await api.ask()
        told = (await insight.ask("/health")).body
        assert (told["status"], told["dependencies"]["python_api"]) == ("healthy", "healthy")
        status = 302
        await api.ask()
        assert (await insight.ask("/health")).body["status"] == "degraded"
    await runner.cleanup()


async def test_health_tells_of_redis(store: Store, tmp_path: Path, redis: RedisServer) -> None:
    async with serving(store, tmp_path, redis_url=redis.url) as insight:
        assert (await insight.ask("/health")).body["dependencies"]["redis"] == "healthy"
        await redis.kill()
        await insight.ask("/api/v1/fast/search?q=a")
        told = await insight.ask("/health")
        assert (told.status, told.body["status"]) == (200, "degraded")
        assert told.body["dependencies"]["redis"] == "unhealthy"


async def test_metrics_are_of_what_was_asked(insight: Served) -> None:
    await insight.take(DAY, [Line("pallets/flask", 60)])
    for _ in range(4):
        await insight.summary("pallets%2Fflask")
    await insight.summary("nobody%2Fnothing")
    await insight.ask("/api/v1/fast/search")
    found = await metrics(insight)
    path = "/api/v1/fast/repositories/{repo_id}/summary"
    asked = f'endpoint="{path}",method="GET"'
    assert found[f'gitinsight_requests_total{{{asked},status="200"}}'] == 4
    assert found[f'gitinsight_requests_total{{{asked},status="404"}}'] == 1
    name = "gitinsight_request_duration_seconds"
    bounds = re.findall(
        rf'{name}_bucket{{[^}}]*{re.escape(path)}[^}}]*le="([^"]+)"', "\n".join(found)
    )
    assert [float(bound) for bound in bounds] == [*BOUNDS, float("inf")]
    assert found[f"{name}_count{{{asked}}}"] == 5
    assert found['gitinsight_cache_hit_ratio{cache_type="summary"}'] == 0.75
    assert not any("cache_hit_ratio" in one and "leaderboard" in one for one in found)
    assert found["gitinsight_active_connections"] >= 1


def test_observations_keep_their_number_in_fewer_buckets() -> None:
    whole = Histogram()
    for bound in LATENCY_BOUNDS:
        whole.observe(bound)
    whole.observe(1000.0)
    fewer = coarser(whole.value(), BOUNDS)
    assert fewer.bounds == BOUNDS
    assert fewer.counts == (4, *[1] * (len(BOUNDS) - 1), 3)
    assert fewer.sum == whole.sum


async def test_statistics_have_the_fields_that_were_promised(insight: Served) -> None:
    await insight.take(DAY, [Line("pallets/flask", 60)])
    for _ in range(4):
        await insight.summary("pallets%2Fflask")
    answer = await insight.ask("/api/v1/system/stats")
    told = answer.body
    assert set(told) == {
        "requests_per_second", "average_response_time", "active_connections", "cache_hit_ratio",
        "memory_usage", "tasks", "goroutines",
    }  # fmt: skip
    assert told["requests_per_second"] > 0
    assert re.fullmatch(r"[\d.]+ms", told["average_response_time"])
    assert told["cache_hit_ratio"] == 0.75
    assert re.fullmatch(r"[1-9]\d*MB", told["memory_usage"]["allocated"])
    assert re.fullmatch(r"[1-9]\d*MB", told["memory_usage"]["system"])
    assert told["memory_usage"]["gc_cycles"] > 0
    assert told["tasks"] == told["goroutines"] > 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0152, "15ms"), (0.00042, "0.42ms"), (1.5, "1500ms"), (None, None)]
)
def test_response_times_are_milliseconds(seconds: float | None, text: str | None) -> None:
    assert milliseconds(seconds) == text


def test_sizes_are_megabytes() -> None:
    assert megabytes(256 * 1024 * 1024) == "256MB"


async def test_only_administrators_see_statistics(store: Store, tmp_path: Path) -> None:
    async with serving(store, tmp_path, auth=AUTH) as insight:

        async def ask(**claims: object) -> Answer:
            return await insight.ask("/api/v1/system/stats", Authorization=token("eve", **claims))

        assert (await insight.ask("/api/v1/system/stats")).status == 401
        assert (await ask()).status == 403
        assert (await ask(roles=["admin"])).status == 200
        assert (await ask(scope="ops:read")).status == 200
        assert (await insight.ask("/health")).status == 200
        assert (await insight.ask("/metrics")).status == 401


async def test_pages_of_other_origins_and_limits(store: Store, tmp_path: Path) -> None:
    cors = {"origins": ["https://app.example.org"], "expose": ["X-Cache"]}
    async with serving(store, tmp_path, cors=cors, rate_limit="2/hour") as insight:
        path = "/api/v1/fast/search?q=a"
        answer = await insight.ask(path, Origin="https://app.example.org")
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
        assert answer.headers["Access-Control-Expose-Headers"] == "X-Cache"
        asked = {"Origin": "https://app.example.org", "Access_Control_Request_Method": "GET"}
        assert (await insight.ask(path, method="OPTIONS", **asked)).status == 204
        assert (await insight.ask(path)).status == 200
        over = await insight.ask(path)
        assert (over.status, over.body["error"]) == (429, over.body["message"])
        assert over.headers["Retry-After"]
        assert (await insight.ask("/health")).status == 200
