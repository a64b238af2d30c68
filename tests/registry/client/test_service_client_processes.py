"""ServiceClient and instances that are processes: killed, frozen and back under load."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator

from tests.peers.gateways import eventually
from tests.registry.client.instances import client, policy
from uaitools.registry.client import ServiceClient
from uaitools.tasks import spawn
from uaitools.traffic.breaker import BreakerPolicy, State
from uaitools.traffic.retry import RetryPolicy

INSTANCE = """
import asyncio, sys
from aiohttp import web

async def serve():
    async def hello(request):
        await asyncio.sleep(0.002)
        return web.Response(text=sys.argv[1])

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[2])).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(serve())
"""


async def started(name: str, port: int = 0) -> tuple[Process, int]:
    """An instance as a process, and its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", INSTANCE, name, str(port), stdout=PIPE
    )
    assert process.stdout is not None
    return process, int(await process.stdout.readline())


@contextlib.asynccontextmanager
async def running(names: str) -> AsyncIterator[tuple[list[Process], list[int]]]:
    """One process for each letter; a test may kill and replace them."""
    made = await asyncio.gather(*(started(name) for name in names))
    processes = [process for process, _ in made]
    try:
        yield processes, [port for _, port in made]
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


async def calling(service: ServiceClient, stop: asyncio.Event, seen: Counter[str]) -> None:
    while not stop.is_set():
        async with service.get("/") as answer:
            seen[await answer.text()] += 1


async def test_no_call_is_lost_when_instances_are_killed_frozen_and_restarted() -> None:
    # Three tries: two instances may be out at once, and neither known to be.
    patient = policy(
        timeout=10,
        first_byte=0.3,
        breaker=BreakerPolicy(eject=0.3, ramp=0.2),
        retry=RetryPolicy(tries=3),
    )
    seen: Counter[str] = Counter()
    async with running("abc") as (processes, ports):
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        async with client(*urls, policy=patient) as service:
            stop = asyncio.Event()
            callers = [spawn(calling(service, stop, seen), name=f"caller {n}") for n in range(8)]

            async def until(*names: str) -> None:
                """Until each of these has answered some more."""
                before = seen.copy()
                await eventually(
                    lambda: all(seen[name] >= before[name] + 5 for name in names), 25.0
                )

            await until("a", "b", "c")
            processes[0].kill()
            await processes[0].wait()
            await until("b", "c")
            processes[1].send_signal(signal.SIGSTOP)
            await until("c")
            processes[1].send_signal(signal.SIGCONT)
            processes[0], _ = await started("a", ports[0])
            await until("a", "b", "c")
            stop.set()

            await asyncio.gather(*callers)  # raises what any of them has met
            assert sum(endpoint.in_flight for endpoint in service.endpoints) == 0


async def test_a_frozen_instance_is_left_alone_after_a_few_calls() -> None:
    patient = policy(timeout=20, first_byte=1.0, breaker=BreakerPolicy(failures=3))
    async with running("ab") as (processes, ports):
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        async with client(*urls, policy=patient) as service:
            processes[0].send_signal(signal.SIGSTOP)
            for _ in range(20):
                async with service.get("/") as answer:
                    assert await answer.text() == "b"

            assert service.endpoints[0].breaker.state is State.EJECTED
            assert service.endpoints[0].breaker.failures == 3
            processes[0].send_signal(signal.SIGCONT)
