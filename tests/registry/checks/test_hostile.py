"""Instances that mean harm: a check of them ends in time, and holds little."""

import asyncio
import base64
import contextlib
import gzip
import hashlib
import socket
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Literal

import aiohttp
import pytest

from tests.peers.checked import Script, flooding, instance, raw, saying
from tests.peers.tls import Authority
from uaitools.registry.checks.answer import Answer
from uaitools.registry.checks.ask import ask
from uaitools.registry.model import Check

LIMIT = 0.5
HTTP = Check("http", "/", timeout=LIMIT)
WEBSOCKET = replace(HTTP, kind="websocket")
HEAD = b"HTTP/1.1 200 OK\r\n"
LATE = Answer("not done within 0.5 s")
NO_HTTP = Answer("not a valid HTTP answer")
ENDED = Answer("the connection ended before the answer")
BOTH = pytest.mark.parametrize("check", [HTTP, WEBSOCKET], ids=lambda check: check.kind)


@contextlib.contextmanager
def bounded(mebibytes: float = 8.0) -> Iterator[None]:
    """Expect what is in here to end in time and never to hold much."""
    tracemalloc.start()
    began = monotonic()
    try:
        yield
        assert monotonic() - began < LIMIT + 2.0  # the machine may be busy
        assert tracemalloc.get_traced_memory()[1] < mebibytes * 2**20
    finally:
        tracemalloc.stop()


@contextlib.contextmanager
def full() -> Iterator[int]:
    """A port that takes no more connections: to connect gets no answer."""
    with socket.socket() as listener, contextlib.ExitStack() as clients:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.parametrize("kind", ["http", "tcp", "websocket"])
async def test_one_that_takes_no_connection(
    kind: Literal["http", "tcp", "websocket"], session: aiohttp.ClientSession
) -> None:
    with full() as port, bounded():
        assert await ask(replace(HTTP, kind=kind), instance(port), session) == LATE


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(65536)
    await asyncio.sleep(60)


@BOTH
async def test_one_that_says_nothing(check: Check, session: aiohttp.ClientSession) -> None:
    async with raw(silent) as port:
        with bounded():
            assert await ask(check, instance(port), session) == LATE


@BOTH
async def test_one_that_says_nothing_instead_of_tls(
    check: Check, session: aiohttp.ClientSession
) -> None:
    async with raw(silent) as port:
        with bounded():
            assert await ask(check, instance(port, scheme="https"), session) == LATE


@BOTH
async def test_one_that_says_nothing_over_tls(
    check: Check, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    async with raw(silent, authority.server(authority.issue("a.test"))) as port:
        with bounded():
            assert await ask(check, instance(port, scheme="https"), session) == LATE


@BOTH
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (flooding(HEAD + b"A: ", b"x", 0.01), LATE),
        (flooding(b"", b"H", 0.01), NO_HTTP),
        (flooding(HEAD, b"A: b\r\n" * 1000), NO_HTTP),
        (flooding(HEAD + b"A: ", b"x" * 65536), NO_HTTP),
        (flooding(b"HTTP/1.1 200 ", b"O" * 65536), NO_HTTP),
        (flooding(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01), LATE),
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), NO_HTTP),
        (saying(bytes(range(256)) * 256), NO_HTTP),
        (saying(b""), ENDED),
        (saying(HEAD + b"Content-Le"), ENDED),
        (saying(HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), NO_HTTP),
    ],
    ids=[
        "a head by drops", "a garbled head by drops", "endless fields", "an endless field",
        "an endless reason", "interim answers without end", "another protocol", "garbage",
        "nothing", "half a head", "two lengths",
    ],
)  # fmt: skip
async def test_one_with_a_bad_head(
    check: Check, script: Script, expected: Answer, session: aiohttp.ClientSession
) -> None:
    async with raw(script) as port:
        with bounded():
            assert await ask(check, instance(port), session) == expected


@pytest.mark.parametrize(
    "script",
    [
        flooding(HEAD + b"\r\n", b"x" * 65536),
        flooding(HEAD + b"Content-Length: 99999999999\r\n\r\n", b"x", 0.01),
        flooding(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        saying(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(64 * 2**20))),
    ],
    ids=["a flood", "drops", "chunks", "a compressed bomb"],
)
async def test_a_body_is_not_waited_for(script: Script, session: aiohttp.ClientSession) -> None:
    async with raw(script) as port:
        with bounded(2.0):
            assert await ask(HTTP, instance(port), session) == Answer()


async def test_interim_answers_as_fast_as_they_go_end_in_time(
    session: aiohttp.ClientSession,
) -> None:
    async with raw(flooding(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)) as port:
        with bounded(32.0):
            assert await ask(HTTP, instance(port), session) == LATE


HANDSHAKE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Accept: %s\r\n\r\n"
)


def upgrading(piece: bytes, pause: float = 0.0) -> Script:
    """Accept a WebSocket, then send pieces without end and never close."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        writer.write(HANDSHAKE % accept_of(key))
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return script


def accept_of(key: bytes) -> bytes:

    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False)
    return base64.b64encode(digest.digest())


@pytest.mark.parametrize(
    "script",
    [upgrading(b"", 0.05), upgrading(b"\x81\x01x", 0.01), upgrading(b"\x00\xff" * 32768)],
    ids=["silence", "drops", "a flood"],
)
async def test_a_websocket_that_does_not_close_is_left(
    script: Script, session: aiohttp.ClientSession
) -> None:
    async with raw(script) as port:
        with bounded(2.0):
            assert await ask(WEBSOCKET, instance(port), session) == Answer()


async def test_a_websocket_that_ends_with_its_handshake_is_good(
    session: aiohttp.ClientSession,
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        writer.write(HANDSHAKE % accept_of(key))
        writer.write_eof()

    async with raw(script) as port:
        for _ in range(20):
            with bounded():
                assert await ask(WEBSOCKET, instance(port), session) == Answer()


async def test_reasons_hold_nothing_of_the_peers_making(session: aiohttp.ClientSession) -> None:
    for answer in (
        b"HTTP/1.1 500 <script>\r\nContent-Length: 8\r\n\r\n<script>",
        b"<script>\r\n\r\n",
        HEAD + b"<script>\x00\r\n\r\n",
    ):
        async with raw(saying(answer)) as port:
            found = await ask(HTTP, instance(port), session)
        assert found.failure
        assert "script" not in found.failure
