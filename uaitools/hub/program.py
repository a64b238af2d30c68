"""What the program runs: the hub as its only process, or as each of several."""

from __future__ import annotations

import socket
import sys
import tempfile
from pathlib import Path
from typing import Final

from uaitools import log
from uaitools.auth.config import AuthConfig
from uaitools.config import Settings
from uaitools.forks import Forks
from uaitools.hub.broker.port import SERVICE, Unavailable
from uaitools.hub.broker.redis import RedisBroker
from uaitools.hub.config import HubConfig
from uaitools.hub.server import BACKLOG, HubServer
from uaitools.hub.siblings import Siblings
from uaitools.lifecycle import Service, run, run_main
from uaitools.registry.client import Announced, RegistryTable

_FAILED: Final = 1
_log = log.get_logger(__name__)


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
        count = self._config.workers
        try:
            listeners = self._listeners(count) if count > 1 else []
            if not listeners:
                return self._work([], None, first=True)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            sys.stderr.write(f"cannot listen on {self._config.listen}: {reason}\n")
            return _FAILED
        with tempfile.TemporaryDirectory(prefix="uaitools-hub-") as directory:
            shared = Path(directory)

            def work(index: int) -> int:
                siblings = Siblings(shared, index)
                return self._work([listeners[index]], siblings, first=not index)

            return Forks(count, work).run()

    def _work(
        self, listeners: list[socket.socket], siblings: Siblings | None, *, first: bool
    ) -> int:
        common, config = self._settings.common, self._config

        async def serve() -> None:
            url = common.redis_url
            server = HubServer(
                config,
                auth=self._settings.of(AuthConfig),
                broker=None if url is None else RedisBroker(url, away=config.away),
                sockets=listeners,
                siblings=siblings,
                echo=self._echo,
            )
            await run([self._announced(server) if first else server])

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

    def _listeners(self, count: int) -> list[socket.socket]:
        """A socket for each worker: who takes the place of one that died takes its socket too."""
        first = self._listener(self._config.listen.port)
        port = first.getsockname()[1]
        return [first, *(self._listener(port) for _ in range(count - 1))]

    def _listener(self, port: int) -> socket.socket:
        host = self._config.listen.host
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=True)
