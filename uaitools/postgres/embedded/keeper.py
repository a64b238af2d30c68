"""A cluster in use by a program on an event loop: its server is started again when it ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from uaitools.log import get_logger
from uaitools.postgres.embedded.cluster import Cluster
from uaitools.postgres.embedded.server import Server
from uaitools.postgres.errors import ClusterError
from uaitools.tasks import spawn, to_its_end

_log = get_logger(__name__)
_PAUSE: Final = 1.0  # seconds between two attempts, and looks where the kernel does not tell
_TENDING: Final = 10.0  # seconds between two looks at the log
T = TypeVar("T")


class Keeper:
    """Enters a cluster, watches its server and leaves."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        # What waits for locks and processes blocks, and must not hold up who reads files.
        self._thread = ThreadPoolExecutor(1, "postgres")
        self._watches: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Keeper {self._cluster!r}>"

    async def start(self) -> Server:
        """Enter the cluster. Raises ClusterError."""
        try:
            server = await to_its_end(self._run(self._cluster.enter))
        except BaseException:
            await self.stop()  # who is cancelled may have entered
            raise
        self._watches = [
            spawn(self._keep(server), name="embedded postgres"),
            spawn(self._tend(), name="embedded postgres log"),
        ]
        return server

    async def stop(self) -> None:
        """Leave the cluster; who is the last stops its server."""
        while self._watches:
            self._watches.pop().cancel()
        try:
            await to_its_end(self._run(self._cluster.leave))
        except (ClusterError, OSError) as error:
            _log.error("embedded PostgreSQL was not stopped", reason=str(error))
        finally:
            self._thread.shutdown(wait=False)

    async def _keep(self, server: Server) -> None:
        while True:
            await _ended(server)
            _log.error("embedded PostgreSQL has ended; starting it again")
            try:
                server = await self._run(self._cluster.revive)
            except ClusterError as error:
                _log.error("embedded PostgreSQL cannot be started", reason=str(error))
                await asyncio.sleep(_PAUSE)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(_TENDING)
            try:
                await self._run(self._cluster.tend)
            except OSError as error:
                _log.warning("embedded PostgreSQL has a long log", reason=str(error))

    def _run(self, function: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, function)


async def _ended(server: Server) -> None:
    """Wait for the end of a server's process."""
    try:
        descriptor = os.pidfd_open(server.pid())
    except (AttributeError, PermissionError):  # a kernel before 5.3, or one that is told not to
        while server.answers():  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(_PAUSE)
        return
    except OSError:
        return  # it has
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
