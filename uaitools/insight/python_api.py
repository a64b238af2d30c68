"""Whether the service that analyses repositories answers, asked now and then."""

from __future__ import annotations

import aiohttp

from uaitools.log import get_logger
from uaitools.rounds import Rounds

_EVERY = 5.0  # seconds
_PATIENCE = 2.0

_log = get_logger(__name__)


class PythonApi(Rounds):
    """Asks until it is stopped. url: without one nobody is asked.

    works: whether the last answer was 2xx, None while there is none to be had.
    """

    def __init__(self, url: str | None, *, every: float = _EVERY) -> None:
        super().__init__(self.ask, every, "ask the python api")
        self.works: bool | None = None
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Ask from now on."""
        if self._url is not None:
            self.works = False  # until it has answered
            timeout = aiohttp.ClientTimeout(total=_PATIENCE)
            self._session = aiohttp.ClientSession(timeout=timeout)
            await super().start()

    async def stop(self) -> None:
        """Ask no more."""
        await super().stop()
        if self._session is not None:
            await self._session.close()

    async def ask(self) -> None:
        """Ask once."""
        assert self._session is not None
        assert self._url is not None
        reason = ""
        try:
            async with self._session.get(self._url, allow_redirects=False) as answer:
                if answer.status // 100 != 2:
                    reason = f"it answers {answer.status}"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}".rstrip(": ")
        if reason and self.works is not False:
            _log.warning("the python api does not answer", reason=reason)
        elif not reason and self.works is False:
            _log.info("the python api answers")
        self.works = not reason
