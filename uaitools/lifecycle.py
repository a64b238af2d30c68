"""The life of a program: start its services, serve until a signal, drain, stop.

SIGINT and SIGTERM drain: take no new work, finish what runs, within a grace period; then stop. A
second one stops at once, and a third is the kernel's: it kills. SIGHUP reloads; a program that has
nothing to reload ignores it.
"""

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Protocol, Self

from uaitools import log
from uaitools.tasks import spawn

_log = log.get_logger(__name__)
_ENDING = (signal.SIGINT, signal.SIGTERM)


class Service(Protocol):
    """What `run` takes through its life. A start that fails or is cancelled cleans up itself."""

    async def start(self) -> None:
        """Acquire what it needs and begin to serve."""

    async def drain(self, deadline: float) -> None:
        """Take no new work and return when the rest is done; cancelled at `deadline`.

        deadline: on the clock of the running loop (`loop.time()`), in seconds.
        """

    async def stop(self) -> None:
        """Release everything at once. Called once after every start that succeeded."""


async def run(
    services: Iterable[Service],
    *,
    on_reload: Callable[[], object] | None = None,
    ready: Callable[[], object] | None = None,
    ended: Callable[[], Awaitable[object]] | None = None,
    grace: float = 30.0,
) -> None:
    """Start the services in order, serve until SIGINT or SIGTERM, drain, stop in reverse order.

    on_reload: called at each SIGHUP. ready: called when every service has started. ended: returns
    when there is nobody left to serve, which is as good as a first signal. grace: seconds that
    draining may take. A start that fails stops those that had started and is raised; a signal
    during the start does the same and returns. Runs in the main thread only.
    """
    started: list[Service] = []
    with _Signals(on_reload) as signals:
        async with AsyncExitStack() as stack:
            async with signals.ends_next(None):
                for service in services:
                    await service.start()
                    stack.push_async_callback(service.stop)
                    started.append(service)
                if ready is not None:
                    ready()
                await (ended or asyncio.Event().wait)()
                signals.first()
            deadline = asyncio.get_running_loop().time() + grace
            async with signals.ends_next(deadline):
                await _drain(started, deadline)


async def _drain(services: list[Service], deadline: float) -> None:
    """Drain all at the same time; one that fails is logged and keeps no other from draining."""
    drains = [spawn(s.drain(deadline), name=f"drain {type(s).__name__}") for s in services]
    try:
        outcomes = await asyncio.gather(*drains, return_exceptions=True)
    except asyncio.CancelledError:
        _log.warning("drain cut short", services=[t.get_name() for t in drains])
        raise
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            _log.error("drain failed", exc_info=outcome)


class _Signals:
    """Signal handlers while it is entered. Each ending signal ends one phase of `run`, in turn."""

    def __init__(self, on_reload: Callable[[], object] | None) -> None:
        self._on_reload = on_reload
        self._received = 0
        self._entered = 0
        self._phase: asyncio.Timeout | None = None

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self._end, number)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload or (lambda: None))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in (*_ENDING, signal.SIGHUP):
            loop.remove_signal_handler(number)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the default would kill what still ends

    @asynccontextmanager
    async def ends_next(self, deadline: float | None) -> AsyncIterator[None]:
        """Cancel the block, and go on after it, at the next ending signal or the deadline."""
        self._entered += 1
        if self._received >= self._entered:  # both signals came in one turn of the loop
            deadline = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(deadline) as self._phase:
                yield
        except TimeoutError:
            if self._phase is None or not self._phase.expired():
                raise
        finally:
            self._phase = None

    def first(self) -> None:
        """Take it that there was one."""
        self._received = max(1, self._received)

    def _end(self, number: signal.Signals) -> None:
        self._received += 1
        _log.info("signal received", signal=number.name)
        loop = asyncio.get_running_loop()
        phase = self._phase
        if phase is not None and not phase.expired() and self._received == self._entered:
            phase.reschedule(loop.time())
        if self._received > 1:
            for ending in _ENDING:
                loop.remove_signal_handler(ending)
                signal.signal(ending, signal.SIG_DFL)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """An event loop of uvloop's where it is installed, otherwise asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def settle() -> None:
    """Keep what the start has made: a `ready` of `run`.

    A full collection that walked it would stop the loop for tens of milliseconds, each time.
    """
    gc.collect()
    gc.freeze()


def run_main(
    main: Callable[[], Coroutine[Any, Any, None]],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = new_event_loop,
) -> None:
    """Run a program's main coroutine; Ctrl-C before it handles signals exits with status 130.

    Call it in the first lines: SIGHUP, which by default ends a process, is ignored from here on
    until `run` handles it.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
