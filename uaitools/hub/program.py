"""What the program runs: the hub as its only process, or as each of several."""

from __future__ import annotations

import socket
import sys
import tempfile
from pathlib import Path
from typing import Final

from uaitools.auth.config import AuthConfig
from uaitools.command import cannot_listen
from uaitools.config import Settings
from uaitools.forks import Forks
from uaitools.hub.broker.port import Broker
from uaitools.hub.config import HubConfig
from uaitools.hub.errors import SERVICE, Unavailable
from uaitools.hub.server import HubServer
from uaitools.hub.siblings import Siblings
from uaitools.lifecycle import Service, run, run_main, settle
from uaitools.registry.client import Announced, RegistryTable
from uaitools.sockets import listening_sockets

_FAILED: Final = 1


class Program:
    """The hub with its settings. echo: see HubServer."""

    def __init__(self, settings: Settings, *, echo: bool) -> None:
        self._settings = settings
        self._config = settings.of(HubConfig)
        self._echo = echo

    def __repr__(self) -> str:
        return f"<Program {self._config.listen} workers={self._config.workers}>"

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit status."""
        listen, count = self._config.listen, self._config.workers
        try:
            listeners = listening_sockets(listen.host, listen.port, count)
        except (OSError, UnicodeError) as error:
            return cannot_listen(listen, error)
        if count == 1:
            return self._work(listeners[0], None)
        with tempfile.TemporaryDirectory(prefix="uaitools-hub-") as directory:
            shared = Path(directory)

            def work(index: int) -> int:
                for other in listeners:
                    # What is kept open would be given connections that nobody accepts.
                    if other is not listeners[index]:
                        other.close()
                siblings = Siblings(shared, index)
                return self._work(listeners[index], siblings, first=not index)

            return Forks(count, work, over=lambda index: listeners[index].close()).run()

    def _work(
        self, listener: socket.socket, siblings: Siblings | None, *, first: bool = True
    ) -> int:
        config = self._config

        async def serve() -> None:
            server = HubServer(
                config,
                auth=self._settings.of(AuthConfig),
                broker=self._broker(),
                sockets=[listener],
                siblings=siblings,
                echo=self._echo,
            )
            await run([self._announced(server) if first else server], ready=settle)

        try:
            run_main(serve)
        except Unavailable as error:
            sys.stderr.write(f"{error.message}\n")
            return _FAILED
        return 0

    def _announced(self, server: HubServer) -> Service:
        client = self._settings.of(RegistryTable).client
        if client is None or client.address is None:
            return server
        return Announced(server, SERVICE, client, weight=lambda: int(not server.hub.budget.full))

    def _broker(self) -> Broker | None:
        url = self._settings.common.redis_url
        if url is None:
            return None
        # It takes 6 MB, and only who shares needs it.
        from uaitools.hub.broker.redis import RedisBroker  # noqa: PLC0415

        return RedisBroker(url, away=self._config.away)
