"""The cluster of a data directory, used by several processes that need not know each other."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from uaitools.log import get_logger
from uaitools.postgres.embedded.identity import Identity, identity_for
from uaitools.postgres.embedded.initdb import create
from uaitools.postgres.embedded.install import Install, can_execute, from_wheel
from uaitools.postgres.embedded.locks import alone, is_free, locks, opened
from uaitools.postgres.embedded.log import bound
from uaitools.postgres.embedded.server import (
    EVERY,
    PORT,
    Server,
    emptied,
    launch,
    place_of,
    private_directory,
    remove,
    stop,
    told_by,
)
from uaitools.postgres.errors import ClusterError

_log = get_logger(__name__)
CONNECTIONS: Final = 500  # for the pools of all components, over several processes
_PATIENCE: Final = 300.0  # seconds: a recovery reads what was written since the last checkpoint
_STOPPING: Final = 30.0
_SILENCE: Final = 10.0  # of a server that should be listening
LOG_SIZE: Final = 1_000_000  # bytes, after which the server's log is begun anew
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Cluster:
    """The PostgreSQL in `directory`/postgres, which runs while somebody uses it.

    settings: of the server, over ours. install: its programs; the wheel's unless given. Everything
    here blocks: `enter` takes half a second the first time, 30 ms when no server runs.
    """

    def __init__(
        self,
        directory: Path,
        *,
        settings: Mapping[str, str] = _NOTHING,
        install: Install | None = None,
    ) -> None:
        self._directory = directory.resolve()
        self._folder = self._directory / "postgres"
        self._data = self._folder / "data"
        self._settings = settings
        self._install = install
        self._identity = Identity(os.geteuid(), os.getegid())
        self._using = -1  # a descriptor, locked while we use the cluster
        self._server: Server | None = None

    def __repr__(self) -> str:
        where = self._server.sockets if self._server is not None else "not entered"
        return f"<Cluster {self._folder} {where}>"

    def enter(self) -> Server:
        """Use the cluster: attach to its server, or start it, or make it. Raises ClusterError."""
        try:
            self._prepare()
            with alone(self._lock("start"), self._identity, _PATIENCE):
                using = opened(self._lock("use"), self._identity)
                if not locks(using, shared=True):
                    os.close(using)
                    raise ClusterError(
                        f"{self._lock('use')} is locked by a program of another kind"
                    )
                try:
                    self._server = self._running() or self._start()
                except BaseException:
                    os.close(using)
                    raise
                self._using = using
        except OSError as error:
            raise ClusterError(f"the embedded PostgreSQL cannot be started: {error}") from error
        return self._server

    def revive(self) -> Server:
        """Start the server again if it has ended; its socket stays where it was."""
        try:
            with alone(self._lock("start"), self._identity, _PATIENCE):
                self._server = self._running() or self._start()
        except OSError as error:
            raise ClusterError(f"the embedded PostgreSQL cannot be started: {error}") from error
        return self._server

    def tend(self) -> None:
        """Keep the server's log short. Raises OSError."""
        bound(self._folder / "log", LOG_SIZE)

    def leave(self) -> bool:
        """Use the cluster no more. Who leaves last stops the server: whether that were we."""
        if self._using < 0:
            return False
        with alone(self._lock("start"), self._identity, _PATIENCE):
            os.close(self._using)
            self._using, self._server = -1, None
            if not is_free(self._lock("use")):
                return False
            server = self._running()
            if server is not None:
                stop(server, self._has_ended, _STOPPING)
                remove(server.sockets)
            return True

    def _lock(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    def _has_ended(self) -> bool:
        return is_free(self._lock("server"))

    def _prepare(self) -> None:
        """Make the directories that are missing, and see who runs the server."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._identity = identity_for(self._data, self._directory)
        try:
            self._folder.mkdir()
        except FileExistsError:
            return
        self._folder.chmod(0o755)  # the server's user has to pass, whatever the umask is
        if self._directory.stat().st_uid == self._identity.uid:
            self._identity.give(self._folder)  # who may come without us another time

    def _running(self) -> Server | None:
        """The server, when it takes queries. One that nobody uses any more is as good as any."""
        deadline = time.monotonic() + _PATIENCE
        while not self._has_ended():
            found = told_by(self._data)
            if found is not None and found.ready:
                if found.answers():
                    return found
                # Sessions of a killed one still end; or it is one that we cannot see.
                patience = _SILENCE if found.socket.exists() else 0
                deadline = min(deadline, time.monotonic() + patience)
            if time.monotonic() > deadline:
                where = "has begun" if found is None else f"is said to listen at {found.sockets}"
                raise ClusterError(
                    f"the server of {self._data} {where}, and does not answer here. If it runs in "
                    "another container, give each its data directory, or set database_url"
                )
            time.sleep(EVERY)
        return None

    def _start(self) -> Server:
        install = self._install or from_wheel(self._major())
        install.clean(self._folder)
        # Beside the data; where the server's user cannot get there, beside the socket.
        beside = self._identity.reaches(self._folder / "_")
        sockets = self._sockets(executable=not beside)
        try:
            placed = install.placed(self._folder if beside else sockets, self._identity)
            if not self._data.exists():
                create(placed, self._data, self._identity)
                _log.info("embedded PostgreSQL made", directory=str(self._data))
            return self._launch(placed, sockets)
        except BaseException:
            if self._server is None:  # nobody knows of it yet
                remove(sockets)
            raise

    def _sockets(self, *, executable: bool) -> Path:
        """Where the socket is to be: where it was before, since others look for it there."""
        before = told_by(self._data) or self._server
        if before is not None and emptied(before.sockets, self._identity):
            if can_execute(before.sockets) or not executable:
                return before.sockets
            remove(before.sockets)
        return private_directory(self._identity, executable=executable)

    def _major(self) -> int | None:
        """The version that the data is of."""
        try:
            return int((self._data / "PG_VERSION").read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ClusterError(f"{self._data} holds no cluster of PostgreSQL") from error

    def _launch(self, install: Install, sockets: Path) -> Server:
        # No process of an earlier server lives, or the lock would not be free. What its file says
        # would only be mistaken, for another process that has its number by now.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        log = self._folder / "log"
        log.touch()
        bound(log, LOG_SIZE)
        self._identity.give(log)
        lock = opened(self._lock("server"), self._identity)
        try:
            if not locks(lock):
                raise ClusterError(f"{self._lock('server')} is locked by a program of another kind")
            launch(
                install,
                self._data,
                self._identity,
                self._all_settings(install, sockets),
                log=log,
                lock=lock,
            )
        finally:
            os.close(lock)
        server = self._running()
        if server is None:
            raise ClusterError(f"PostgreSQL does not start; {log} ends with: {_end_of(log)}")
        _log.info("embedded PostgreSQL started", directory=place_of(self._data, self._identity))
        return server

    def _all_settings(self, install: Install, sockets: Path) -> dict[str, str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            "max_connections": str(CONNECTIONS),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
            "jit": "off",
            "wal_level": "minimal",  # nobody replicates it
            "max_wal_senders": "0",
            "shared_preload_libraries": "",
        }
        if install.major >= 18:
            settings["io_method"] = "sync"  # three processes and 8 MB less
        return {**settings, **self._settings}


def _end_of(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 1000))
        return file.read().decode(errors="replace").strip()
