"""Active health checks of all endpoints, begun by the sweep and told to their breakers.

A check goes through the endpoint's own connector, so that it meets what a request would meet, and
has a connection of its own: an endpoint whose pool is exhausted by slow answers is not down.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from time import monotonic, time
from typing import TYPE_CHECKING, Final, cast

from uaitools.fair_timeout import fair_timeout
from uaitools.log import get_logger
from uaitools.proxy.healthcheck import HealthCheck, Reading
from uaitools.tasks import spawn
from uaitools.traffic.checks import CheckRecord, Verdict

if TYPE_CHECKING:
    from uaitools.proxy.pool import Connector, Pool
    from uaitools.proxy.service import Service

CONCURRENCY: Final = 64  # checks under way at once; the others wait for the next sweep

_log = get_logger(__name__)


class Checks:
    """Begins the checks that are due, a task each while it lasts, and keeps their records.

    services: asked at each sweep, so that a reload or a name's new address needs no notice.
    """

    __slots__ = ("_running", "_services")

    def __init__(self, services: Callable[[], Iterable[Service]]) -> None:
        self._services = services
        self._running: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Checks running={len(self._running)}>"

    def run_due(self, now: float) -> None:
        """Begin what is due, the longest due first; a hook of the sweep."""
        due: list[tuple[float, Service, Pool, CheckRecord]] = []
        for service in self._services():
            for pool in service.pools.values():
                record = _record(service.policy.check, pool, now)
                if record is not None and not record.running and record.due <= now:
                    due.append((record.due, service, pool, record))
        due.sort(key=lambda one: one[0])
        for _, service, pool, record in due[: CONCURRENCY - len(self._running)]:
            check = service.policy.check
            assert check is not None
            record.running = True
            name = f"check {pool.endpoint.address}"
            task = spawn(_check(service, pool, check, record), name=name)
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """Cancel what is under way."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _record(check: HealthCheck | None, pool: Pool, now: float) -> CheckRecord | None:
    """The endpoint's record; one without checks has none, and nothing that checks have done."""
    endpoint = pool.endpoint
    if check is None:
        if endpoint.check is not None:
            endpoint.check = None
            _release(pool, now)
    elif endpoint.check is None:
        endpoint.check = CheckRecord(check.policy, now)
    elif endpoint.check.due > now + 2.0 * check.policy.interval:
        endpoint.check.due = now  # a reload has made the interval shorter
    return endpoint.check


async def _check(service: Service, pool: Pool, check: HealthCheck, record: CheckRecord) -> None:
    """Make one check and act on what it shows."""
    endpoint = pool.endpoint
    try:
        failure = await perform(check, endpoint.address, pool.connect)
    except Exception:
        # A bug here must not leave the endpoint unchecked for ever.
        _log.exception("a check failed by itself", endpoint=endpoint.address)
        failure = "the check itself failed; see the log"
    finally:
        record.running = False
    now = monotonic()
    record.schedule(check.policy, now)
    if endpoint.check is not record or service.pools.get(endpoint) is not pool:
        return  # a reload has taken the endpoint or its checks away meanwhile
    verdict = record.note(failure, check.policy, time())
    if verdict is Verdict.DOWN:
        _log.warning(
            "endpoint fails its checks",
            upstream=service.name,
            endpoint=endpoint.address,
            reason=failure,
        )
        endpoint.breaker.hold(now)
    elif verdict is Verdict.UP:
        _log.info("endpoint passes its checks", upstream=service.name, endpoint=endpoint.address)
        _release(pool, now)


def _release(pool: Pool, now: float) -> None:
    """Let the endpoint be probed again, and tell the balancer, which waits for another time."""
    pool.endpoint.breaker.release(now)
    pool.service.balancer.refresh()


async def perform(check: HealthCheck, address: str, connect: Connector) -> str:
    """Check the endpoint at `address` once: why it is not good, or nothing."""
    conversation = _Conversation(check, address)
    try:
        async with fair_timeout(check.policy.timeout):
            await connect(lambda: conversation)
            await conversation.over
    except TimeoutError:
        return f"not done within {check.policy.timeout:g} s"
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    finally:
        conversation.close()
    return conversation.over.result()


class _Conversation(asyncio.Protocol):
    """The connection of one check. over: why the endpoint is not good, empty when it is."""

    __slots__ = ("_reading", "_request", "_transport", "over")

    def __init__(self, check: HealthCheck, address: str) -> None:
        self._request = check.request(address)
        self._reading = Reading(check)
        self._transport: asyncio.Transport | None = None
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._request:
            self._transport.write(self._request)
        else:
            self._decide("")

    def data_received(self, data: bytes) -> None:
        self._reading.feed(data)
        self._decide(self._reading.failure)

    def eof_received(self) -> bool:
        self._reading.end()
        self._decide(self._reading.failure)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._reading.end()
        self._decide(self._reading.failure)

    def close(self) -> None:
        """End the connection, whatever is still to come."""
        if self._transport is not None:
            self._transport.abort()

    def _decide(self, failure: str | None) -> None:
        if failure is not None and not self.over.done():
            self.over.set_result(failure)
