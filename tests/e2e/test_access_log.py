"""The access log says how every request went, and never holds up the gateway."""

import asyncio
import json
import os
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.peers.gateways import config, eventually, gateway, pool_of
from tests.peers.scripted import OK, answer, answering, upstream
from tests.peers.wire import Wire, connect
from uaitools.proxy.access.log import _text, redacted
from uaitools.proxy.config import AccessLogSettings
from uaitools.proxy.gateway import Gateway
from uaitools.proxy.handler import ReverseProxy

FIELDS = [
    "timestamp", "request_id", "trace_id", "client", "method", "host", "path", "route", "service",
    "user_agent", "endpoint", "principal", "status", "bytes_in", "bytes_out", "queue_ms",
    "connect_ms", "first_byte_ms", "total_ms", "retries", "end",
]  # fmt: skip
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
)
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def get(target: bytes = b"/x", lines: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (target, lines)


class Log:
    """The lines in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def settings(self, **more: object) -> dict[str, object]:
        return {"enabled": True, "file": str(self.file), **more}

    @property
    def lines(self) -> list[dict[str, Any]]:
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_bytes().splitlines()]

    async def of(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many lines."""
        await eventually(lambda: len(self.lines) >= count)
        assert len(self.lines) == count
        return self.lines


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "access.log")


async def ask(running: Gateway, *requests: bytes) -> list[int]:
    """Send requests one after the other on one connection; their statuses."""
    wire = await connect(running.address.port)
    statuses = []
    for request in requests:
        wire.send(request)
        statuses.append((await wire.message(to=request.split(b" ")[0].decode())).status)
    wire.close()
    return statuses


# -- what a line says -----------------------------------------------------------------------


async def test_a_line_tells_how_a_request_went(log: Log) -> None:
    async with (
        answering(answer(b"hello")) as server,
        gateway(server.url, access_log=log.settings()) as proxy,
    ):
        post = b"POST /x/7?token=secret HTTP/1.1\r\nHost: a.example\r\nUser-Agent: curl/8\r\n"
        await ask(proxy, post + b"Content-Length: 3\r\n\r\nabc", get())
        first, second = await log.of(2)
        seen = server.requests[0]
    assert list(first) == FIELDS
    assert first["timestamp"].endswith("Z")
    assert first["request_id"].encode() == seen["x-request-id"]
    assert first["trace_id"].encode() == seen["traceparent"].split(b"-")[1]
    assert first["client"] == "127.0.0.1"
    assert (first["method"], first["host"], first["path"]) == ("POST", "a.example", "/x/7")
    assert (first["route"], first["service"]) == ("/", "api")
    assert first["endpoint"] == server.url.removeprefix("http://")
    assert (first["user_agent"], second["user_agent"]) == ("curl/8", None)
    assert (first["status"], first["bytes_in"], first["bytes_out"]) == (200, 3, 5)
    assert (first["principal"], first["retries"], first["end"]) == (None, 0, "complete")
    parts = first["queue_ms"] + first["connect_ms"] + first["first_byte_ms"]
    assert 0 < first["connect_ms"] < parts <= first["total_ms"] + 0.003
    assert (second["queue_ms"], second["connect_ms"]) == (0, 0), "the connection was there"
    assert "secret" not in log.file.read_text()


async def test_a_trace_is_continued_and_logged(log: Log) -> None:
    trace = b"4bf92f3577b34da6a3ce929d0e0e4736"
    async with answering() as server, gateway(server.url, access_log=log.settings()) as proxy:
        await ask(proxy, get(lines=b"traceparent: 00-%b-00f067aa0ba902b7-01\r\n" % trace))
        (line,) = await log.of(1)
    assert line["trace_id"].encode() == trace


async def test_a_query_is_logged_without_its_values(log: Log) -> None:
    settings = log.settings(query="redacted")
    async with answering() as server, gateway(server.url, access_log=settings) as proxy:
        await ask(proxy, get(b"/x?token=secret&page=2&flag"), get(b"/x?"), get())
        paths = [line["path"] for line in await log.of(3)]
    assert paths == ["/x?token=-&page=-&-", "/x?-", "/x"]


def test_the_value_of_a_name_is_never_logged() -> None:
    assert redacted(b"?secret&a=b=secret&=secret") == b"?-&a=-&=-"


async def test_behind_a_trusted_proxy_the_line_names_whom_it_was_asked_by(log: Log) -> None:
    lines = b"X-Forwarded-For: 198.51.100.7\r\nX-Request-Id: their-id\r\n"
    async with (
        answering() as server,
        gateway(server.url, access_log=log.settings(), trusted_proxies=["127.0.0.0/8"]) as proxy,
    ):
        await ask(proxy, get(lines=lines))
        (line,) = await log.of(1)
    assert (line["client"], line["forwarded_for"]) == ("127.0.0.1", "198.51.100.7")
    assert line["request_id"] == "their-id"


async def test_native_answers_are_logged_like_others(log: Log) -> None:
    async with answering() as server, gateway(server.url, access_log=log.settings()) as proxy:
        await ask(proxy, get(b"/health"))
        (line,) = await log.of(1)
    assert (line["service"], line["route"], line["end"]) == ("proxy", "/health", "complete")


async def test_the_time_in_the_queue_is_told_from_that_of_the_answer(log: Log) -> None:
    release = asyncio.Event()

    async def script(wire: Wire) -> None:
        for _ in range(2):
            await wire.head()
            await release.wait()
            wire.send(OK)
        await wire.rest()

    limits = {"limits": {"connections": 1}}
    async with (
        upstream(script) as server,
        gateway(server.url, access_log=log.settings(), service=limits) as proxy,
    ):
        first, second = await connect(proxy.address.port), await connect(proxy.address.port)
        first.send(get())
        await server.accepted()
        second.send(get())
        await eventually(lambda: len(pool_of(proxy).waiters) == 1)
        release.set()
        for wire in (first, second):
            await wire.message()
            wire.close()
        one, two = await log.of(2)
    assert one["queue_ms"] <= 0.1 * one["total_ms"] + 1
    assert two["queue_ms"] > 0
    assert two["connect_ms"] == 0


# -- why it ended ---------------------------------------------------------------------------


async def test_a_retry_is_counted_and_the_endpoint_is_the_last_one(log: Log) -> None:
    async with (
        answering(answer(status=b"503 Busy")) as bad,
        answering() as good,
        gateway(
            bad.url, good.url, access_log=log.settings(), service={"retry": {"tries": 2}}
        ) as proxy,
    ):
        assert await ask(proxy, get()) == [200]
        (line,) = await log.of(1)
    assert (line["retries"], line["status"], line["end"]) == (1, 200, "complete")
    assert line["endpoint"] == good.url.removeprefix("http://")


async def test_a_connection_that_cannot_be_made_is_told_with_its_endpoint(log: Log) -> None:
    async with answering() as server:
        url = server.url
    async with gateway(url, access_log=log.settings()) as proxy:
        assert await ask(proxy, get()) == [502]
        (line,) = await log.of(1)
    assert (line["end"], line["endpoint"]) == ("upstream_connect", url.removeprefix("http://"))
    assert line["first_byte_ms"] is None


@pytest.mark.parametrize(
    ("served", "end", "status"),
    [
        (b"", "upstream_reset", 502),
        (b"nonsense\r\n\r\n", "upstream_protocol", 502),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "upstream_truncated", 200),
    ],
)
async def test_what_the_upstream_did_wrong_is_why_it_ended(
    log: Log, served: bytes, end: str, status: int
) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(served)
        wire.send_eof()

    async with upstream(script) as server, gateway(server.url, access_log=log.settings()) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(get())
        await wire.until(lambda: bool(wire.received) or wire.ended)
        (line,) = await log.of(1)
        wire.close()
    assert (line["end"], line["status"]) == (end, status)


async def test_a_client_that_leaves_is_logged_with_what_it_had_of_its_answer(log: Log) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        await wire.rest()

    async with upstream(script) as server, gateway(server.url, access_log=log.settings()) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(get())
        await wire.until(lambda: wire.received.endswith(b"abc"))
        wire.reset()
        (line,) = await log.of(1)
    assert (line["end"], line["status"], line["bytes_out"]) == ("client_gone", 200, 3)


async def test_what_the_gateway_refuses_itself_is_logged(log: Log) -> None:
    routes: list[dict[str, object]] = [{"path": "/x", "service": "api", "max_body": 2}]
    async with (
        answering() as server,
        gateway(server.url, access_log=log.settings(), routes=routes) as proxy,
    ):
        await ask(proxy, get(b"/y"))
        await ask(proxy, b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        chunked = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        await ask(proxy, chunked + b"zz\r\n")
        lines = await log.of(3)
    assert [(line["status"], line["end"]) for line in lines] == [
        (404, "refused"), (413, "refused"), (400, "rejected"),
    ]  # fmt: skip
    assert lines[0]["route"] == "unmatched"
    assert lines[0]["bytes_out"] > 0


async def test_what_was_no_request_is_logged_with_the_reason(log: Log) -> None:
    async with answering() as server, gateway(server.url, access_log=log.settings()) as proxy:
        assert await ask(proxy, b"GET /\xff\x00 HTTP/1.1\r\n\r\n") == [400]
        (line,) = await log.of(1)
    assert list(line) == [*FIELDS, "reason"]
    assert (line["status"], line["end"], line["method"]) == (400, "malformed", None)
    assert line["client"] == "127.0.0.1"


async def test_a_tunnel_is_logged_at_its_end_with_the_bytes_of_both_ways(log: Log) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(SWITCHING + b"early")
        assert await wire.read(3) == b"abc"
        await wire.rest()
        wire.send_eof()

    async with upstream(script) as server, gateway(server.url, access_log=log.settings()) as proxy:
        wire = await connect(proxy.address.port)
        wire.send(UPGRADE + b"a")
        await wire.read_to(b"early")
        assert log.lines == []
        wire.send(b"bc")
        wire.send_eof()
        await wire.rest()
        (line,) = await log.of(1)
    assert (line["status"], line["end"]) == (101, "complete")
    assert (line["bytes_in"], line["bytes_out"]) == (3, 5)
    assert line["endpoint"] == server.url.removeprefix("http://")
    assert line["first_byte_ms"] is not None


async def test_a_tunnel_that_is_cut_names_the_side_that_went(log: Log) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(SWITCHING)
        if len(server.wires) == 1:
            await wire.rest()
        else:
            assert await wire.read(1) == b"x"
            wire.reset()

    async with upstream(script) as server, gateway(server.url, access_log=log.settings()) as proxy:
        for number in (1, 2):
            wire = await connect(proxy.address.port)
            wire.send(UPGRADE)
            await wire.read_to(b"\r\n\r\n")
            if number == 1:
                wire.reset()
            else:
                wire.send(b"x")
            await log.of(number)
            wire.close()
    assert [line["end"] for line in log.lines] == ["client_gone", "upstream_gone"]


async def test_who_left_the_queue_is_logged_with_the_time_it_waited(log: Log) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.rest()

    limits = {"limits": {"connections": 1}}
    async with (
        upstream(script) as server,
        gateway(server.url, access_log=log.settings(), service=limits) as proxy,
    ):
        first, second = await connect(proxy.address.port), await connect(proxy.address.port)
        first.send(get())
        await server.accepted()
        second.send(get())
        await eventually(lambda: len(pool_of(proxy).waiters) == 1)
        second.reset()
        (line,) = await log.of(1)
        first.close()
    assert (line["end"], line["status"]) == ("client_gone", 499)
    assert line["queue_ms"] == line["total_ms"] > 0
    assert (line["connect_ms"], line["endpoint"]) == (None, server.url.removeprefix("http://"))


async def test_the_handler_logs_as_the_gateway_does(log: Log) -> None:
    async with answering() as server:
        proxy = ReverseProxy(config=config(server.url, access_log=log.settings()))
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", proxy.handle)
        app.cleanup_ctx.append(proxy.lifespan)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/x"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.status == 200
        await runner.cleanup()
        (line,) = await log.of(1)
    assert (line["status"], line["bytes_out"], line["end"]) == (200, 2, "complete")


# -- hostile bytes --------------------------------------------------------------------------

PATHS = (b'/"}{\\', b"/%00%0a%22", b"/<script>", b"/" + b"a" * 7000, b"/%ff%fe", b"/'\"\\u0000")


@given(st.binary(max_size=400), st.integers(64, 300))
def test_any_bytes_become_a_json_string_within_its_bound(data: bytes, limit: int) -> None:
    text = _text(data, limit)
    assert len(text) <= limit
    assert b"\n" not in text
    read = json.loads(text)
    if text.endswith('\u2026"'.encode()) and not data.endswith("\u2026".encode()):
        assert data.decode("utf-8", "replace")[:20].startswith(read[:-1][:20].rstrip("\ufffd"))
    else:
        assert read == data.decode("utf-8", "replace")


async def test_a_line_is_valid_and_bounded_whatever_a_client_sends(log: Log) -> None:
    agents = (b'"\\\t\xff\xfe\x80', b"\xed\xa0\x80", b'","status":200,"x":"', b"\\" * 8000)
    async with (
        answering() as server,
        gateway(server.url, access_log=log.settings(query="redacted")) as proxy,
    ):
        for path in PATHS:
            await ask(proxy, get(path + b"?" + b'"=\\&' * 200))
        for agent in agents:
            await ask(proxy, get(lines=b"User-agent: %b\r\n" % agent))
        host = b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % (b"a" * 5000)
        await ask(proxy, host)
        await log.of(len(PATHS) + len(agents) + 1)
    raw = log.file.read_bytes()
    assert max(map(len, raw.splitlines(keepends=True))) <= 4096
    for line in raw.decode().splitlines():
        assert line.isprintable()
        json.loads(line)


# -- sampling -------------------------------------------------------------------------------


async def test_a_sample_is_chosen_by_the_request_id_and_has_all_errors(log: Log) -> None:
    async with (
        answering() as server,
        gateway(
            server.url,
            access_log=log.settings(sample=0.25),
            trusted_proxies=["127.0.0.0/8"],
        ) as proxy,
    ):
        requests = [get(lines=b"X-Request-Id: id-%d\r\n" % number) for number in range(200)]
        await ask(proxy, *requests, *requests)
        await server.stop()
        await ask(proxy, get())
        await eventually(lambda: log.lines and log.lines[-1]["status"] == 502)
    ids = [line["request_id"] for line in log.lines[:-1]]
    half = len(ids) // 2
    assert ids[:half] == ids[half:], "the same ids are chosen each time"
    assert 20 <= half <= 80


async def test_a_sample_of_nothing_has_the_errors_only_where_they_are_wanted(log: Log) -> None:
    settings = log.settings(sample=0.0, errors=False)
    async with answering() as server:
        url = server.url
    async with gateway(url, access_log=settings) as proxy:
        assert await ask(proxy, get(), get(b"/health")) == [502, 200]
    assert log.lines == []


# -- writing --------------------------------------------------------------------------------


async def test_a_reader_that_stops_reading_holds_up_no_request(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    settings = {"enabled": True, "file": str(pipe), "buffer": 64 << 10}
    try:
        async with answering() as server, gateway(server.url, access_log=settings) as proxy:
            writer = proxy.access_writer
            assert writer is not None
            wires = [await connect(proxy.address.port) for _ in range(4)]
            for _ in range(400):  # 1600 lines of 450 bytes: pipe and buffer hold 128 KB
                for wire in wires:
                    wire.send(get())
                for wire in wires:
                    assert (await wire.message()).status == 200
            await eventually(lambda: writer.dropped > 0)
            assert "proxy_access_log_dropped_total" in (await metrics(proxy))
            for wire in wires:
                wire.close()
            # Who reads again has whole lines, and new ones as well.
            before = writer.written
            held = await drained(reader)
            await eventually(lambda: writer.written > before)
            held += await drained(reader)
            for line in held.splitlines():
                json.loads(line)
    finally:
        os.close(reader)


async def test_a_reader_that_never_reads_again_does_not_keep_the_gateway(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    settings = {"enabled": True, "file": str(pipe)}
    try:
        async with answering() as server, gateway(server.url, access_log=settings) as proxy:
            wire = await connect(proxy.address.port)
            for _ in range(400):  # more than the pipe holds
                wire.send(get())
                assert (await wire.message()).status == 200
            wire.close()
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 5
        writers = [thread for thread in threading.enumerate() if thread.name == "access log"]
        await eventually(lambda: not any(thread.is_alive() for thread in writers))
    finally:
        os.close(reader)


async def drained(reader: int) -> bytes:
    """What there is in a pipe, until nothing comes for a while."""
    held, empty = b"", 0
    while empty < 30:
        try:
            data = os.read(reader, 1 << 16)
        except BlockingIOError:
            data = b""
        held += data
        empty = 0 if data else empty + 1
        await asyncio.sleep(0.01)
    return held


async def metrics(running: Gateway) -> str:
    wire = await connect(running.address.port)
    wire.send(get(b"/metrics"))
    text = (await wire.message()).body.decode()
    wire.close()
    return text


async def test_a_pipe_without_a_reader_costs_its_lines_only(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    settings = {"enabled": True, "file": str(pipe)}
    async with answering() as server, gateway(server.url, access_log=settings) as proxy:
        writer = proxy.access_writer
        assert writer is not None
        assert await ask(proxy, get()) == [200]
        await eventually(lambda: writer.dropped == 1)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        assert await ask(proxy, get()) == [200]
        await eventually(lambda: writer.written == 1)
        os.close(reader)


async def test_a_full_disk_loses_lines_and_leaves_the_gateway_alone() -> None:
    settings = {"enabled": True, "file": "/dev/full"}
    async with answering() as server, gateway(server.url, access_log=settings) as proxy:
        writer = proxy.access_writer
        assert writer is not None
        assert await ask(proxy, get(), get()) == [200, 200]
        await eventually(lambda: writer.dropped == 2)


async def test_a_file_that_was_moved_away_is_opened_anew_without_losing_a_line(log: Log) -> None:
    async with answering() as server, gateway(server.url, access_log=log.settings()) as proxy:
        moved = log.file.with_suffix(".1")
        await ask(proxy, get(b"/one"))
        await log.of(1)
        log.file.rename(moved)
        await ask(proxy, get(b"/two"))
        proxy.reopen_logs()
        await ask(proxy, get(b"/three"))
        assert [line["path"] for line in await log.of(1)] == ["/three"]
        assert [line["path"] for line in Log(moved).lines] == ["/one", "/two"]


async def test_a_reload_moves_the_log_and_ends_it(log: Log, tmp_path: Path) -> None:
    other = Log(tmp_path / "other.log")
    async with answering() as server, gateway(server.url, access_log=log.settings()) as proxy:
        await ask(proxy, get())
        await log.of(1)
        for settings in (other.settings(), {"enabled": False}):
            changed = {"access_log": AccessLogSettings.model_validate(settings)}
            await proxy.reload(proxy.config.model_copy(update=changed))
            await ask(proxy, get())
        await other.of(1)
    assert (len(log.lines), len(other.lines)) == (1, 1)
