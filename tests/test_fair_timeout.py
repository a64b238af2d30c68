"""The time limit that does not count our own standing still."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from uaitools.fair_timeout import fair_timeout
from uaitools.tasks import spawn

LIMIT = 0.2


async def test_what_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with fair_timeout(LIMIT):
            await asyncio.Event().wait()

    assert time.monotonic() - began >= LIMIT * 0.95  # timers of the loop come early by a moment


async def test_what_is_done_in_time_is_left_alone() -> None:
    async with fair_timeout(LIMIT):
        await asyncio.sleep(0)

    await asyncio.sleep(2 * LIMIT)


async def test_what_arrived_while_we_stood_still_arrived_in_time() -> None:
    ours, peers = socket.socketpair()
    with peers:
        reader, writer = await asyncio.open_connection(sock=ours)
        for _ in range(5):
            async with fair_timeout(LIMIT):
                reading = spawn(reader.readexactly(1), name="reading")
                await asyncio.sleep(0)
                peers.send(b"x")
                time.sleep(2 * LIMIT)  # noqa: ASYNC251 - as SIGSTOP would
                assert await reading == b"x"
        writer.close()
        await writer.wait_closed()


async def test_a_peer_that_is_silent_after_we_stood_still_is_too_slow() -> None:
    async def stand_still() -> None:
        time.sleep(2 * LIMIT)  # noqa: ASYNC251
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with fair_timeout(LIMIT):
            await stand_still()


async def test_an_end_from_outside_stays_one() -> None:
    async def wait() -> None:
        async with fair_timeout(LIMIT):
            await asyncio.Event().wait()

    waiting = spawn(wait(), name="waiting")
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
