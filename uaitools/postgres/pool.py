"""Connections to a database: opened when needed, kept for the next, replaced when they are old.

Who needs a connection takes the idle one that was used last, opens one where there is room, or
waits in turn. Since a connection that comes back goes to who waits first, nobody waits while one
is idle or may be opened, and nobody is overtaken. A server that has no room for another connection
lets wait for those that there are; whether it has room again is tried now and then.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import asyncpg

from uaitools.fair_timeout import fair_timeout
from uaitools.log import get_logger
from uaitools.metrics import Family, Sample
from uaitools.postgres.access import Access, json_codecs
from uaitools.postgres.errors import DatabaseAway, PoolExhausted
from uaitools.postgres.loan import UNABLE, Loan
from uaitools.postgres.pool_settings import DEFAULTS, PoolSettings
from uaitools.tasks import spawn

if TYPE_CHECKING:
    from uaitools.postgres.access import Connection

_log = get_logger(__name__)
_SIZE: Final = Family("postgres_connections", "gauge", "Connections that are open or opened.")
_IDLE: Final = Family("postgres_connections_idle", "gauge", "Connections that nobody uses.")
_WAITING: Final = Family("postgres_waiting", "gauge", "Callers that wait for a connection.")
_OPENED: Final = Family("postgres_opened_total", "counter", "Connections that were opened.")
_WAITS: Final = Family("postgres_waits_total", "counter", "Callers that had to wait.")
_REFUSED: Final = Family("postgres_refused_total", "counter", "Callers that got no connection.")
_ASKING: Final = 2.0  # seconds that a connection may take to say that it is well
_ROUND: Final = 5.0  # seconds between two rounds of the task that retires idle connections
_FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    ValueError,
)
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class _Full(DatabaseAway):
    """The server has all the connections that it takes."""


class Pool:
    """At most `settings.size` connections to what `access` names.

        async with pool.acquire() as connection:
            await connection.fetchrow("SELECT ...", key)

    name: the service that speaks in errors, and the label of metrics. init: called with each new
    connection. A connection comes back as it was left, but for a transaction, which is rolled
    back: what changes its session (SET, LISTEN, temporary tables) is undone by who did it.
    """

    def __init__(
        self,
        access: Access,
        settings: PoolSettings = DEFAULTS,
        *,
        name: str,
        init: Callable[[Connection], Awaitable[None]] = json_codecs,
        server_settings: Mapping[str, str] = _NOTHING,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.name = name
        self.waits = self.opened = self.refused = 0
        self.failing = ""  # what the last attempt to open a connection failed with
        still = round(1000 * (settings.still or settings.limit))
        own = {"idle_in_transaction_session_timeout": f"{still}ms"}
        self._access = access.told(
            {"application_name": f"uaitools {name}", **own, **server_settings}
        )
        self._settings = settings
        self._init = init
        self._clock = clock
        self._most = settings.size  # slots, less what the server had no room for
        self._slots = 0  # taken: of connections that are idle, on loan or being opened
        self._idle: deque[Loan] = deque()  # the one used last at the right
        self._loans: set[Loan] = set()
        # Each is told the connection it gets, or None: it has a slot, and opens one.
        self._waiting: deque[asyncio.Future[Loan | None]] = deque()
        self._sweeper: asyncio.Task[None] | None = None
        self._stopping = False
        self._empty = asyncio.Event()

    def __repr__(self) -> str:
        return (
            f"<Pool {self.name} size={self._slots}/{self._settings.size}"
            f" idle={len(self._idle)} waiting={len(self._waiting)}>"
        )

    @property
    def open(self) -> int:
        """Connections that are open or opened."""
        return self._slots

    async def start(self) -> None:
        """Retire old connections from now on. None is opened before somebody needs it."""
        self._sweeper = spawn(self._sweep(), name=f"{self.name} connections")

    async def stop(self) -> None:
        """Close everything; who has a connection gets `grace` to finish."""
        self._stopping = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        while turn := self._next():
            turn.set_exception(DatabaseAway(self.name, "is closed, this service stops"))
        while self._idle:
            self._drop(self._idle.pop())
        if not self._slots:
            return
        try:
            async with asyncio.timeout(self._settings.grace):
                await self._empty.wait()
        except TimeoutError:
            _log.warning("connections taken from who has them", count=len(self._loans))
            for loan in self._loans:
                loan.connection.terminate()

    @asynccontextmanager
    async def acquire(self, limit: float | None = None) -> AsyncIterator[Connection]:
        """Lend a connection. Raises DatabaseAway and PoolExhausted.

        A query that fails because the database went away, takes no writes or has no room raises
        DatabaseAway from the block, and one that is not done when the time is over TooSlow. limit:
        seconds, unless the settings'.
        """
        loan = await self._obtain()
        self._loans.add(loan)
        try:
            async with loan.limited(limit or self._settings.limit, self.name):
                yield loan.connection
        except UNABLE as error:
            loan.connection.terminate()
            raise DatabaseAway(self.name, "takes no writes, or has no room for this") from error
        except Exception as error:
            if not loan.lost(error):
                raise
            loan.connection.terminate()
            raise DatabaseAway(self.name, "went away") from error
        finally:
            self._take_back(loan)

    def retire(self) -> None:
        """Close idle connections that are too old, were idle for too long, or have ended.

        Whether a server that was full has room again is tried from now on.
        """
        now = self._clock()
        idle, self._idle = self._idle, deque()
        for loan in idle:
            if self._is_over(loan, now) or now - loan.used >= self._settings.idle_time:
                self._drop(loan)
            else:
                self._idle.append(loan)
        self._most = self._settings.size
        self._invite()

    def samples(self) -> Iterator[Sample]:
        """What the pool counts."""
        labels = (("pool", self.name),)
        yield Sample(_SIZE, labels, self._slots)
        yield Sample(_IDLE, labels, len(self._idle))
        yield Sample(_WAITING, labels, len(self._waiting))
        yield Sample(_OPENED, labels, self.opened)
        yield Sample(_WAITS, labels, self.waits)
        yield Sample(_REFUSED, labels, self.refused)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_ROUND)
            self.retire()

    async def _obtain(self) -> Loan:
        loan = self._youngest()
        if loan is not None and self._is_fresh(loan):
            return loan  # nearly always, and without a timer
        opening = again = False
        try:
            async with fair_timeout(self._settings.wait):
                while True:
                    if loan is None:
                        loan = await self._turn(first=again)
                    opening = True
                    try:
                        return await self._checked(loan)
                    except _Full:
                        if not self._slots:
                            raise
                    opening, again, loan = False, True, self._youngest()
        except TimeoutError as error:
            self.refused += 1
            if opening:
                raise DatabaseAway(self.name, "does not answer") from error
            raise PoolExhausted(self.name) from error
        except (DatabaseAway, PoolExhausted):
            self.refused += 1
            raise

    def _youngest(self) -> Loan | None:
        """The idle connection that was used last. Raises DatabaseAway when the pool has stopped."""
        if self._stopping:
            raise DatabaseAway(self.name, "is closed, this service stops")
        now = self._clock()
        while self._idle:
            loan = self._idle.pop()
            if not self._is_over(loan, now):
                return loan
            self._drop(loan)
        return None

    async def _turn(self, *, first: bool) -> Loan | None:
        """A connection, or a slot to open one in. Raises PoolExhausted when too many wait.

        first: before all who wait, as one who had a slot in vain.
        """
        if self._slots < self._most and not self._waiting:
            self._slots += 1
            return None
        if len(self._waiting) >= self._settings.waiting:
            raise PoolExhausted(self.name)
        self.waits += 1
        turn: asyncio.Future[Loan | None] = asyncio.get_running_loop().create_future()
        if first:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):  # it has been passed over already
                    self._waiting.remove(turn)
            elif turn.exception() is None:  # it came at the same moment; the next one has it
                self._pass_on(turn.result())
            raise

    async def _checked(self, loan: Loan | None) -> Loan:
        """A connection that is well: this one, or a new one in its place."""
        try:
            if loan is not None and (self._is_fresh(loan) or await self._answers(loan)):
                return loan
            opened = await self._open()
        except _Full:
            self._shrink()
            raise
        except BaseException:
            if loan is not None:
                loan.connection.terminate()
            self._pass_on(None)
            raise
        self._invite()
        return opened

    def _shrink(self) -> None:
        """Have a slot less, in which nothing can be opened; who waits has one of the others."""
        self._slots -= 1
        self._most = self._slots or self._settings.size
        if not self._slots:
            self._empty.set()
            while turn := self._next():
                turn.set_exception(DatabaseAway(self.name, "has no room for a connection"))

    def _invite(self) -> None:
        """Have who waits first open a connection, where the server may have room again."""
        if self._slots < self._most and (turn := self._next()):
            self._slots += 1
            turn.set_result(None)

    async def _answers(self, loan: Loan) -> bool:
        try:
            async with fair_timeout(_ASKING):
                await loan.connection.execute("SELECT 1")
        except (*_FAILURES, TimeoutError):
            loan.connection.terminate()
            return False
        return True

    async def _open(self) -> Loan:
        try:
            connection = await self._access.connect()
            try:
                await self._init(connection)
            except BaseException:
                connection.terminate()
                raise
        except _FAILURES as error:
            if not self.failing:
                _log.warning("no connection", pool=self.name, reason=str(error))
            self.failing = type(error).__name__
            if isinstance(error, asyncpg.TooManyConnectionsError):
                raise _Full(self.name, "has no room for a connection") from error
            raise DatabaseAway(self.name, "cannot be reached") from error
        self.failing = ""
        self.opened += 1
        life = self._settings.lifetime * (1 - random.random() / 10)  # noqa: S311 - no secret
        loan = Loan(connection, self._clock() + life)
        if self._stopping:
            connection.terminate()
            raise DatabaseAway(self.name, "is closed, this service stops")
        return loan

    def _take_back(self, loan: Loan) -> None:
        if loan.closed or loan.settled:
            self._loans.discard(loan)
            self._keep(loan)
        else:
            spawn(self._tidy(loan), name=f"{self.name} tidies a connection")

    async def _tidy(self, loan: Loan) -> None:
        try:
            async with fair_timeout(_ASKING):
                await loan.tidy()
        except (*_FAILURES, TimeoutError):
            loan.connection.terminate()
        except BaseException:
            loan.connection.terminate()
            raise
        finally:
            self._loans.discard(loan)
            self._keep(loan)

    def _keep(self, loan: Loan) -> None:
        """Hand a connection to who waits first, or keep it; not one that has had its time."""
        now = loan.used = self._clock()
        if self._stopping or self._is_over(loan, now):
            self._drop(loan)
        elif turn := self._next():
            turn.set_result(loan)
        elif len(self._idle) < self._settings.idle:
            self._idle.append(loan)
        else:
            self._drop(loan)

    def _drop(self, loan: Loan) -> None:
        # Without a farewell: the server ends an idle session as quietly when it hears nothing.
        loan.connection.terminate()
        self._pass_on(None)

    def _pass_on(self, loan: Loan | None) -> None:
        """Give a connection or a slot that is not needed to who waits first."""
        if loan is not None:
            self._keep(loan)
        elif turn := self._next():
            turn.set_result(None)
        else:
            self._slots -= 1
            if not self._slots:
                self._empty.set()

    def _next(self) -> asyncio.Future[Loan | None] | None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                return turn
        return None

    def _is_over(self, loan: Loan, now: float) -> bool:
        return loan.closed or now >= loan.ends

    def _is_fresh(self, loan: Loan) -> bool:
        """Whether a connection can be used unasked."""
        idle = self._clock() - loan.used
        return not loan.closed and idle < self._settings.health and loan.silent
