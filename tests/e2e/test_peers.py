"""Real clients and real servers: curl, aiohttp, httpx; aiohttp, uvicorn, nginx."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import httpx
import pytest

from tests.peers.gateways import eventually, gateway, pool_of
from tests.peers.servers import BLOB, aiohttp_server, free_port, nginx, uvicorn_server

Server = Callable[[Path], contextlib.AbstractAsyncContextManager[str]]
SERVERS: dict[str, Server] = {
    "aiohttp": aiohttp_server,
    "uvicorn": uvicorn_server,
    "nginx": nginx,
}


@pytest.fixture(params=SERVERS)
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async with SERVERS[request.param](tmp_path) as served, gateway(served) as proxy:
        yield f"http://{proxy.address}"
        assert pool_of(proxy).endpoint.in_flight == 0


async def curl(*arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--noproxy", "*", *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output


async def test_aiohttp_client(url: str) -> None:
    async with aiohttp.ClientSession(url) as session:
        for _ in range(3):
            async with session.get("/hello?a=b") as response:
                assert (response.status, await response.text()) == (200, "hello")
        async with session.get("/blob") as response:
            assert hashlib.sha256(await response.read()).digest() == hashlib.sha256(BLOB).digest()
        async with session.head("/blob") as response:
            assert int(response.headers["Content-Length"]) == len(BLOB)
        async with session.get("/nowhere") as response:
            assert response.status == 404
        await asyncio.gather(*(fetch(session) for _ in range(50)))


async def fetch(session: aiohttp.ClientSession) -> None:
    async with session.get("/hello") as response:
        assert await response.text() == "hello"


async def test_httpx_client(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        assert (await client.get("/hello")).text == "hello"
        assert (await client.get("/blob")).content == BLOB
        assert (await client.options("/hello")).status_code < 500


async def test_curl(url: str) -> None:
    assert await curl(f"{url}/hello") == b"hello"
    assert await curl("--http1.0", f"{url}/hello") == b"hello"
    assert await curl("--http2", f"{url}/hello") == b"hello", "h2c is asked for and not given"
    assert await curl(f"{url}/hello", f"{url}/hello") == b"hellohello"
    assert await curl("-r", "0-4", f"{url}/blob") in (BLOB[:5], BLOB)
    assert b"200 OK" in await curl("-I", f"{url}/blob")


@pytest.fixture(params=["aiohttp", "uvicorn"])
async def app_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async with SERVERS[request.param](tmp_path) as served, gateway(served) as proxy:
        yield f"http://{proxy.address}"


async def test_uploads_with_and_without_length(app_url: str) -> None:
    digest = hashlib.sha256(BLOB).hexdigest()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(BLOB), 50_000):
            yield BLOB[start : start + 50_000]

    async with aiohttp.ClientSession(app_url) as session:
        for data in (BLOB, pieces()):
            async with session.post("/digest", data=data) as response:
                assert await response.text() == digest
        async with session.post("/digest", data=BLOB, expect100=True) as response:
            assert await response.text() == digest
    async with httpx.AsyncClient(base_url=app_url, trust_env=False) as client:
        assert (await client.post("/digest", content=BLOB)).text == digest
        assert (await client.post("/digest", content=pieces())).text == digest


async def test_curl_uploads(app_url: str, tmp_path: Path) -> None:
    digest = hashlib.sha256(BLOB).hexdigest().encode()
    file = tmp_path / "blob"
    file.write_bytes(BLOB)
    assert await curl("-T", str(file), "-X", "POST", f"{app_url}/digest") == digest
    chunked = ("-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue")
    assert await curl("--data-binary", f"@{file}", *chunked, f"{app_url}/digest") == digest


async def test_event_streams_arrive_one_by_one(app_url: str) -> None:
    async with (
        aiohttp.ClientSession(app_url) as session,
        session.get("/events") as response,
    ):
        assert response.content_type == "text/event-stream"
        # The server sends the next event only when it is told that the last one has arrived.
        for number in range(5):
            assert await response.content.readline() == b"data: %d\n" % number
            assert await response.content.readline() == b"\n"
            async with session.post("/events", data=b"") as seen:
                assert seen.status == 200
        assert await response.content.read() == b""


async def test_curl_shows_the_gateways_errors() -> None:
    async with gateway(f"http://127.0.0.1:{free_port()}") as proxy:
        output = await curl("-w", "%{http_code}", f"http://{proxy.address}/")
        assert output.endswith(b"502")
        assert b'"service":"api"' in output


async def test_nginx_restarted_between_requests_is_not_noticed(tmp_path: Path) -> None:
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        async with nginx(tmp_path, port) as server:
            proxy = await stack.enter_async_context(gateway(server))
            session = aiohttp.ClientSession(f"http://{proxy.address}")
            await stack.enter_async_context(session)
            await fetch(session)
        await eventually(lambda: pool_of(proxy).open == 0)
        await stack.enter_async_context(nginx(tmp_path, port))
        await fetch(session)
