"""What a hub does when its clients do not behave, or have to go: the rest of bench.hub.

stuck   some clients never read. Two hubs with the same readers, one with the stuck ones too, get
        bursts of messages in turn; the ratio of their CPU a delivery is taken every two bursts
drain   a hub is told to stop while another one runs; clients join that when they were told to
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Final

import orjson

from bench.audience import Audience, Listener
from bench.broadcasts import Stage
from bench.machine import Broken, Process, socket_memory
from bench.peers.hubs import Hub

SIZE: Final = 20_000  # bytes of a message for stuck readers: its price is that of sending it
_BURST: Final = 10  # messages of a burst: many of them, so that a disturbed one does not count
_WINDOW: Final = 1.0  # seconds, of the highest rate of joins
_SETTLE: Final = 0.5
_PATIENCE: Final = 5.0  # seconds for a hub to end connections that have gone elsewhere
_SPARE: Final = 30.0  # seconds more than a drain should take

Running = tuple[Hub, Process]


@dataclass(frozen=True, slots=True)
class Stuck:
    """With and without clients that never read.

    published: bytes. more: bytes of memory that the hub with them has grown more, when it was most.
    us: of CPU a delivery. steady, delay: ratios of CPU and delays, medians of all pairs of bursts.
    worst_ms: the slowest message to all who read, with and without. let_go: stuck connections that
    the hub has closed. kernel: bytes that the kernel keeps more for sockets, of both ends.
    """

    readers: int
    stuck: int
    published: int
    more: int
    us: float
    us_without: float
    steady: float
    delay: float
    worst_ms: tuple[float, float]
    let_go: int
    kernel: int

    @property
    def cpu(self) -> float:
        """CPU a delivery, to that without them: what filling their sockets cost is in it."""
        return self.us / self.us_without


@dataclass(frozen=True, slots=True)
class Drain:
    """rate: joins a second as configured; highest: how many clients began to come in any second.

    Began, for a machine that stalls lets joins end together which began apart. joins: seconds from
    SIGTERM to each join. closed: how often each close code came.
    """

    connections: int
    rate: float
    highest: float
    joins: tuple[float, ...]
    closed: dict[str, int]

    @property
    def seconds(self) -> float:
        """Until everybody was there."""
        return self.joins[-1]


async def stuck(
    with_them: Running, without: Running, readers: int, count: int, published: int
) -> Stuck:
    """Publish `published` bytes to each of two hubs with `readers`, one with `count` stuck."""
    stages = [Stage(hub, process) for hub, process in (with_them, without)]
    try:
        for stage in stages:
            await stage.audience.join(readers)
            await stage.begin(SIZE)
        first = len(stages[0].audience.listeners)
        await stages[0].audience.join(count)
        for listener in stages[0].audience.listeners[first:]:
            listener.stop_reading()
        await asyncio.sleep(_SETTLE)
        files, kernel = _open_files(stages[0]), socket_memory()
        bursts = max(2, published // (SIZE * _BURST) // 2 * 2)
        found = await _in_turn(stages, readers, bursts)
        costs, delays, grown = found.costs, found.delays, found.grown
        return Stuck(
            readers,
            count,
            bursts * _BURST * SIZE,
            max(a - b for a, b in zip(*grown, strict=True)),
            mean(costs[0]),
            mean(costs[1]),
            _ratio(costs),
            _ratio(tuple([sum(burst) for burst in each] for each in delays)),
            (max(map(max, delays[0])) * 1e3, max(map(max, delays[1])) * 1e3),
            max(0, files - _open_files(stages[0])),
            found.kernel - kernel,
        )
    finally:
        for stage in stages:
            stage.end()


class _Bursts:
    """Of each of two hubs: CPU a delivery, delays and memory grown, burst by burst."""

    __slots__ = ("costs", "delays", "grown", "kernel")

    def __init__(self) -> None:
        self.costs: tuple[list[float], list[float]] = [], []
        self.delays: tuple[list[list[float]], list[list[float]]] = [], []
        self.grown: tuple[list[int], list[int]] = [], []
        self.kernel = 0  # bytes for sockets, at most


def _ratio(figures: Sequence[Sequence[float]]) -> float:
    """The first hub's to the other's, two bursts each at a time: one of them has cold caches."""
    with_them, without = (
        [a + b for a, b in zip(each[::2], each[1::2], strict=True)] for each in figures
    )
    return median(a / b for a, b in zip(with_them, without, strict=True))


async def _in_turn(stages: Sequence[Stage], readers: int, bursts: int) -> _Bursts:
    """Bursts to both, another one first each time."""
    found = _Bursts()
    joined = [stage.resident() for stage in stages]
    for turn in range(bursts):
        for which in (0, 1) if turn % 2 else (1, 0):
            stage = stages[which]
            delays: list[float] = []
            cost = await stage.cost(_BURST, 1, SIZE, readers, delays)
            found.costs[which].append(cost.us)
            found.delays[which].append(delays)
            found.grown[which].append(stage.resident() - joined[which])
            found.kernel = max(found.kernel, socket_memory())
    return found


def _open_files(stage: Stage) -> int:
    return len(list(Path(f"/proc/{stage.process.pid}/fd").iterdir()))


async def drain(from_: Running, to: Running, connections: int, rate: float) -> Drain:
    """Stop one hub and let its clients go to the other when it tells them to."""
    old, new = (Audience(hub.port, hub.greeting, hub.welcomed) for hub, _ in (from_, to))
    came: list[float] = []
    joins: list[float] = []
    ended = asyncio.Event()
    try:
        await old.join(connections)
        await asyncio.sleep(_SETTLE)
        began = perf_counter()

        def joined() -> None:
            joins.append(perf_counter() - began)
            if len(joins) == connections:
                ended.set()

        new.on_joined = joined
        async with asyncio.timeout(connections / rate + _SPARE), asyncio.TaskGroup() as group:

            def come() -> None:
                came.append(perf_counter())
                group.create_task(new.add())

            old.notices[b'"reconnect"'] = _told_when(come)
            os.kill(from_[1].pid, signal.SIGTERM)
            await ended.wait()
        with contextlib.suppress(TimeoutError):  # who is not told goes by himself
            async with asyncio.timeout(_PATIENCE):
                await old.deserted.wait()
    except TimeoutError:
        raise Broken(
            f"{len(joins)} of {connections} clients came again; closed: {old.closed}"
        ) from None
    except ExceptionGroup as several:
        raise Broken(f"a client could not come again: {several.exceptions[0]}") from None
    finally:
        old.leave()
        new.leave()
    closed = {str(code): count for code, count in old.closed.items()}
    return Drain(connections, rate, highest(came), tuple(joins), closed)


def _told_when(come: Callable[[], None]) -> Callable[[Listener, bytes], None]:
    """What a client does that is told to reconnect."""
    loop = asyncio.get_running_loop()

    def told(_: Listener, notice: bytes) -> None:
        loop.call_later(orjson.loads(notice)["after_ms"] / 1e3, come)

    return told


def highest(times: Sequence[float], window: float = _WINDOW) -> float:
    """The highest rate in any `window` seconds; times: sorted."""
    most = max(
        (index + 1 - bisect_left(times, at - window) for index, at in enumerate(times)), default=0
    )
    return most / window
