"""Work that is done again and again: when there is news, and every few seconds anyhow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from uaitools import log
from uaitools.errors import ServiceError
from uaitools.tasks import spawn

_log = log.get_logger(__name__)


class Rounds:
    """Does `work` until it is stopped; what fails is tried again in the next round. A base class.

    every: seconds between two rounds, unless there is news. name: of the task, and in the log.
    rest: seconds after a round for which news gathers, to be done together.
    """

    def __init__(
        self, work: Callable[[], Awaitable[object]], every: float, name: str, rest: float = 0.0
    ) -> None:
        self._work = work
        self._every = every
        self._name = name
        self._rest = rest
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name} every={self._every:g}>"

    async def start(self) -> None:
        """Begin with a round: with what was left the last time."""
        self._task = spawn(self._run(), name=self._name)

    async def stop(self) -> None:
        """End, and leave the rest to the next time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def notify(self) -> None:
        """There is news: begin the next round at once."""
        self._news.set()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                await self._work()
            except ServiceError as error:  # the database is away
                _log.warning("it has to wait", work=self._name, reason=str(error))
            except Exception:  # a defect in one round is no reason to do no more
                _log.exception("a round failed", work=self._name)
            await asyncio.sleep(self._rest)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._news.wait()
