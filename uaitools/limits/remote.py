"""The round trips to Redis: all keys that wait share one, and while Redis is away none is made.

One round trip is under way at a time. What is asked for meanwhile is collected, a key once, and
goes with the next. The first failure (refused, too slow, read-only, whatever Redis answers that is
no grant) opens a circuit: all that wait are told, and from then on nothing waits; a probe at a
bounded rate finds out when Redis is back. Both changes are logged, once.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from uaitools import log
from uaitools.fair_timeout import fair_timeout
from uaitools.limits.lease import LIFE, Leases
from uaitools.limits.limit import Limit
from uaitools.limits.outcome import Away, Granted, Outcome, Refused
from uaitools.limits.script import SCRIPT, quota_arguments, rate_arguments
from uaitools.tasks import spawn
from uaitools.traffic.limits import NANO, Quota, Rate
from uaitools.traffic.periods import bounds

WAITING: Final = 10_000  # calls that wait for Redis at most
_KEYS: Final = 256  # keys in one round trip
_PREFIX: Final = "uaitools:limits:"
_PROBE: Final = Limit("probe", Rate(1_000_000, 1, 1))
_BUSY: Final = NANO  # nanoseconds to stay away when too many wait already

_log = log.get_logger(__name__)


class _Ask:
    """The calls that wait for one key."""

    __slots__ = ("extra", "key", "limit", "mark", "moved", "waiting")

    def __init__(self, limit: Limit, key: bytes, mark: int, extra: int) -> None:
        self.limit = limit
        self.key = key
        self.mark = mark
        self.extra = extra
        self.moved = False  # asked for another period once more
        self.waiting: list[asyncio.Future[Outcome]] = []


class Remote:
    """Leases from the Redis at `url`. Times are nanoseconds unless said.

    timeout: seconds for a round trip, connecting included. probe: seconds between attempts while
    Redis is away. batch: calls leased at once, at most.
    """

    def __init__(self, url: str, *, timeout: float, probe: float, batch: int) -> None:
        self.leases = Leases()
        self.away = False
        self.round_trips = 0
        self._url = url
        parts = urlsplit(url)
        self._address = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
        self._process = ""
        self.configure(timeout=timeout, probe=probe, batch=batch)
        self._probe_due = 0
        self._client: Redis | None = None
        self._script = ""
        self._asks: dict[int, _Ask] = {}
        self._waiting = 0
        self._flushing: asyncio.Task[None] | None = None
        self._ahead = 0  # microseconds that the server's clock is ahead of ours

    def __repr__(self) -> str:
        state = "away" if self.away else "there"
        return f"<Remote {state} leases={len(self.leases)} waiting={self._waiting}>"

    def configure(self, *, timeout: float, probe: float, batch: int) -> None:
        """Go on with other settings."""
        self._timeout = timeout
        self._probe = int(probe * NANO)
        self._batch = batch

    def start(self) -> None:
        """Become a process of its own to Redis; call it after the fork."""
        self._process = secrets.token_hex(4)

    async def stop(self) -> None:
        """Tell all that wait that Redis is away, and close the connection."""
        flushing, self._flushing = self._flushing, None
        if flushing is not None:
            flushing.cancel()
            with suppress(asyncio.CancelledError):
                await flushing
        self._fail_all()
        await self._disconnect()

    async def acquire(self, limit: Limit, key: bytes, mark: int, now: int) -> Outcome:
        """Have one call granted, with all others that wait for the same key."""
        if self._waiting >= WAITING:
            return Refused(_BUSY)
        ask = self._asks.get(mark)
        if ask is None:
            lease = self.leases.get(mark)
            extra = 0 if lease is None else lease.next_batch(limit.charge, self._batch, now)
            ask = self._asks[mark] = _Ask(limit, key, mark, extra)
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        ask.waiting.append(outcome)
        self._waiting += 1
        self._flush_soon()
        try:
            return await outcome
        except asyncio.CancelledError:
            if outcome.done() and not outcome.cancelled():
                self.give_back(limit, mark, outcome.result(), now)
            raise
        finally:
            self._waiting -= 1

    def give_back(self, limit: Limit, mark: int, outcome: Outcome, now: int) -> None:
        """Lease what was granted to a call that did not pass after all.

        Of a rate it is lost: Redis does not know it as leased.
        """
        if isinstance(outcome, Granted) and isinstance(limit.rule, Quota):
            lease = self.leases.get(mark)
            if lease is not None and lease.until > now:
                lease.calls += 1

    def probe(self, now: int) -> None:
        """While Redis is away: try again, if it is time to."""
        if now >= self._probe_due and _PROBE.identity not in self._asks:
            self._probe_due = now + self._probe
            self._asks[_PROBE.identity] = _Ask(_PROBE, b"", _PROBE.identity, 0)
            self._flush_soon()

    # -- round trips ------------------------------------------------------------------------

    def _flush_soon(self) -> None:
        if self._flushing is None:
            self._flushing = spawn(self._flush(), name="limits in redis")

    async def _flush(self) -> None:
        try:
            while self._asks:
                asks = [self._asks.pop(mark) for mark in list(self._asks)[:_KEYS]]
                try:
                    await self._round_trip(asks)
                except (RedisError, OSError, TimeoutError, ValueError) as error:
                    await self._lost(asks, error)
                except asyncio.CancelledError:
                    _fail(asks)
                    raise
                else:
                    self._found()
        finally:
            self._flushing = None

    async def _round_trip(self, asks: list[_Ask]) -> None:
        again: list[_Ask] = []
        async with fair_timeout(self._timeout):
            at = time.monotonic_ns()
            for ask, answer in zip(asks, await self._evaluate(asks, at), strict=True):
                _check(ask, answer)
                if answer[0] < 0:
                    ask.moved = True
                    self._ahead = answer[1] - time.time_ns() // 1000
                    again.append(ask)
                else:
                    self._settle(ask, answer, at)
        for ask in again:
            # By the server's clock it is another period than by ours: now we know.
            self._asks.setdefault(ask.mark, ask)
            if self._asks[ask.mark] is not ask:
                self._asks[ask.mark].waiting += ask.waiting

    async def _evaluate(self, asks: list[_Ask], at: int) -> Sequence[Sequence[int]]:
        """What the script answers to each."""
        if self._client is None:
            self._client = Redis.from_url(self._url, retry=Retry(NoBackoff(), 0))
        for _ in range(2):
            if not self._script:
                self._script = _text(await self._client.script_load(SCRIPT))
            pipeline = self._client.pipeline(transaction=False)
            for ask in asks:
                pipeline.evalsha(self._script, 1, *self._arguments(ask, at))
            self.round_trips += 1
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            failures = [one for one in answers if isinstance(one, Exception)]
            if not failures:
                return answers
            if not isinstance(failures[0], NoScriptError):
                raise failures[0]
            self._script = ""  # Redis was restarted; nothing was charged
        raise RedisError("the script vanishes as soon as it is loaded")

    def _arguments(self, ask: _Ask, at: int) -> tuple[str | int, ...]:
        """The key in Redis, and what the script is told."""
        rule, need = ask.limit.rule, max(1, len(ask.waiting))
        # A digest, since a limit's key may be a credential.
        digest = blake2b(b"%b\0%b" % (ask.limit.text.encode(), ask.key), digest_size=16)
        name = _PREFIX + digest.hexdigest()
        if isinstance(rule, Rate):
            lease = self.leases.get(ask.mark)
            unspent = 0 if lease is None else lease.unspent(at)
            arguments = rate_arguments(
                rule, need, ask.extra, process=self._process, unspent=unspent, life=LIFE
            )
            return (name, *arguments)
        period = self._period(rule)
        return (f"{name}:{period[0]}", *quota_arguments(rule, need, ask.extra, period))

    def _period(self, quota: Quota) -> tuple[int, int]:
        seconds = (time.time_ns() // 1000 + self._ahead) // 1_000_000
        return bounds(quota.period, seconds)

    def _settle(self, ask: _Ask, answer: Sequence[int], at: int) -> None:
        granted, wait, left = answer[0], answer[1] * 1000, answer[2]
        if ask.limit is _PROBE:
            return
        lease = self.leases.obtain(ask.mark, at)
        lease.left = left
        if granted < len(ask.waiting):
            lease.refused = at + wait
        rate = isinstance(ask.limit.rule, Rate)
        for outcome in ask.waiting:
            if outcome.done():
                # Its client has gone. A quota's call is leased, a rate's was not known as leased.
                granted -= rate
            elif granted > 0:
                granted -= 1
                outcome.set_result(Granted(at))
            else:
                outcome.set_result(Refused(wait))
        lease.grant(max(0, granted), at, at + (LIFE if rate else wait), time.monotonic_ns())

    # -- away and back ----------------------------------------------------------------------

    async def _lost(self, asks: list[_Ask], error: Exception) -> None:
        if not self.away:
            self.away = True
            # The error's own text may show the URL, and with it a password.
            _log.warning(
                "redis is away", purpose="limits", address=self._address, reason=_reason(error)
            )
        self._probe_due = time.monotonic_ns() + self._probe
        # What was sent may still be carried out, after what is sent next: not in our name, then.
        self._process = secrets.token_hex(4)
        _fail(asks)
        self._fail_all()
        await self._disconnect()

    def _found(self) -> None:
        if self.away:
            self.away = False
            _log.info("redis is back", purpose="limits", address=self._address)

    def _fail_all(self) -> None:
        _fail(self._asks.values())
        self._asks.clear()

    async def _disconnect(self) -> None:
        self._script = ""
        if self._client is not None:
            with suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(self._timeout):
                    await self._client.aclose()
            self._client = None  # not when this is cancelled: then `stop` closes it


def _fail(asks: Iterable[_Ask]) -> None:
    for ask in asks:
        for outcome in ask.waiting:
            if not outcome.done():
                outcome.set_result(Away())


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


def _check(ask: _Ask, answer: object) -> None:
    """Raise RedisError for what our script does not answer."""
    match answer:
        case [int(granted), int(), int()] if granted >= 0:
            return
        case [int(), int(), *_] if isinstance(ask.limit.rule, Quota) and not ask.moved:
            return
    raise RedisError("it does not answer as our script does")


def _reason(error: Exception) -> str:
    return "too slow" if isinstance(error, TimeoutError) else type(error).__name__
