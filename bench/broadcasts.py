"""What a hub costs while all its clients listen: the part of bench.hub that all peers go through.

memory   resident, empty and with all clients subscribed and idle
join     clients a second, and CPU for each
single   CPU a delivery, one message at a time: the next when the last client has the one before
tick     the same when ten messages are published at once
delay    from a publish being sent to the last client having all of the message
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Final
from urllib.request import urlopen

from bench.audience import Audience, Publisher
from bench.machine import Cpu, Process, cpu, resident, waited
from bench.peers.hubs import Hub, Published

SIZE: Final = 200  # bytes of a message
TICK: Final = 10  # messages at once
_PAUSE: Final = 0.05  # seconds between two broadcasts whose delay is measured
_HELD: Final = "hub_loop_held_seconds"  # the metric by which a hub says how long it held its loop


@dataclass(frozen=True, slots=True)
class Load:
    """How much of everything: clients, broadcasts one at a time, ticks, broadcasts for delay.

    settle: seconds until memory is read.
    """

    connections: int
    singles: int = 40
    ticks: int = 12
    delays: int = 20
    settle: float = 1.0


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU microseconds a delivery, the kernel's share of them, and the hub's share of its core.

    load_us: what the clients used. Where that is more than `us` they are what is waited for.
    """

    us: float
    load_us: float
    kernel: float
    core: float
    deliveries: int


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything about one hub. Memory in bytes, times in ms.

    waited_ms: how long the hub, and its clients, had no core during a broadcast, on average: others
    had it, and that part of the delay is the machine's. held: None where the hub does not tell.
    """

    hub: str
    connections: int
    empty: int
    idle: int
    loaded: int
    joins_per_s: float
    join_us: float
    single: Cost
    tick: Cost
    delays_ms: tuple[float, ...]
    half_ms: float
    waited_ms: tuple[float, float]
    held_ms: float | None

    @property
    def each_kb(self) -> float:
        """KB a connection above the empty hub."""
        return (self.idle - self.empty) / self.connections / 1024

    @property
    def delay_ms(self) -> float:
        """The median broadcast's delay until the last client has it."""
        return median(self.delays_ms)

    @property
    def worst_ms(self) -> float:
        """The slowest broadcast's."""
        return max(self.delays_ms)


class Stage:
    """A running hub, its clients, and the connection that publishes."""

    def __init__(self, hub: Hub, process: Process) -> None:
        self.process = process
        self.audience = Audience(hub.port, hub.greeting, hub.welcomed)
        self._hub = hub
        # Ten publishers: aiohttp handles requests of one connection one after the other, a turn of
        # the loop each.
        self._publishers = [Publisher(hub.port) for _ in range(TICK)]

    def __repr__(self) -> str:
        return f"<Stage {self.process!r} {self.audience!r}>"

    async def begin(self, size: int) -> None:
        """Once somebody listens: learn how long messages are, and publish the first ones.

        Some hubs' connections are ready a little after they have said so.
        """
        await asyncio.sleep(0.2)
        press = self._hub.press
        if isinstance(press, Published):
            await self.publish(1, 0, len(self.audience.listeners))
            press.learn(self.audience.last)
        self.audience.know(size)
        for _ in range(3):
            await self.publish(1, size, len(self.audience.listeners))

    async def publish(self, count: int, size: int, readers: int) -> float:
        """Publish `count` at once; seconds until the last of so many clients has all of them."""
        requests = self._hub.press.requests(count, size)
        publishers = self._publishers[: len(requests)]
        for publisher in publishers:
            await publisher.ready()
        self.audience.expect(count, readers)
        began = perf_counter()
        for answer in [p.send(r) for p, r in zip(publishers, requests, strict=True)]:
            await answer
        return await self.audience.delivered() - began

    async def cost(
        self, times: int, count: int, size: int, readers: int, delays: list[float] | None = None
    ) -> Cost:
        """Publish `count` at once, so many times, each when the one before is delivered.

        delays: gets the seconds that each took.
        """
        spent, own, began = self.spent(), process_time(), perf_counter()
        took = [await self.publish(count, size, readers) for _ in range(times)]
        if delays is not None:
            delays += took
        used, elapsed = self.spent() - spent, perf_counter() - began
        deliveries = times * count * readers
        return Cost(
            used.total * 1e6 / deliveries,
            (process_time() - own) * 1e6 / deliveries,
            used.system_share,
            used.total / elapsed,
            deliveries,
        )

    def spent(self) -> Cpu:
        """CPU that the hub has used."""
        return cpu(self.process.pid)

    def waited(self) -> tuple[float, float]:
        """Seconds that it, and this process, had to wait for a core."""
        return waited(self.process.pid), waited(os.getpid())

    def resident(self) -> int:
        """Its memory in bytes."""
        return resident(self.process.pid)

    def held(self) -> float | None:
        """Milliseconds that it held its loop at most, as it says itself."""
        with urlopen(f"http://127.0.0.1:{self.process.port}/metrics", timeout=5) as answer:
            return read_held(answer.read().decode())

    def end(self) -> None:
        """Everybody leaves."""
        self.audience.leave()
        for publisher in self._publishers:
            publisher.close()


def read_held(metrics: str) -> float | None:
    """Milliseconds that a hub held its loop at most, from its metrics."""
    for line in metrics.splitlines():
        name, _, value = line.rpartition(" ")
        if _HELD in name and not line.startswith("#"):
            return float(value) * 1e3
    return None


async def profile(name: str, hub: Hub, process: Process, load: Load) -> Profile:
    """Put the load on a hub that runs."""
    stage = Stage(hub, process)
    try:
        await asyncio.sleep(load.settle)
        empty = stage.resident()
        before = stage.spent()
        took = await stage.audience.join(load.connections)
        join = stage.spent() - before
        await asyncio.sleep(load.settle)
        idle = stage.resident()
        await stage.begin(SIZE)
        single = await stage.cost(load.singles, 1, SIZE, load.connections)
        tick = await stage.cost(load.ticks, TICK, SIZE, load.connections)
        began = stage.waited()
        delays, halves = await _delays(stage, load)
        each = 1e3 / load.delays
        without_core = [
            (now - then) * each for now, then in zip(stage.waited(), began, strict=True)
        ]
        return Profile(
            name,
            load.connections,
            empty,
            idle,
            stage.resident(),
            load.connections / took,
            join.total * 1e6 / load.connections,
            single,
            tick,
            tuple(delays),
            median(halves),
            (without_core[0], without_core[1]),
            _told(stage.held) if isinstance(hub.press, Published) else None,
        )
    finally:
        stage.end()


async def _delays(stage: Stage, load: Load) -> tuple[list[float], list[float]]:
    """Milliseconds of each broadcast to the last client, and to half of them."""
    delays, halves = [], []
    for _ in range(load.delays):
        await asyncio.sleep(_PAUSE)
        began = perf_counter()
        delays.append(await stage.publish(1, SIZE, load.connections) * 1e3)
        halves.append((median(one.at for one in stage.audience.listeners) - began) * 1e3)
    return delays, halves


def _told(ask: Callable[[], float | None]) -> float | None:
    """What a hub tells, if it does."""
    try:
        return ask()
    except OSError:
        return None
