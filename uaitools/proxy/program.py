"""What the program runs: the gateway as its only process or as each of several, and its reloads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from secrets import token_bytes
from socket import socket
from typing import TYPE_CHECKING, Final

import orjson

from uaitools import log
from uaitools.auth.config import AuthConfig
from uaitools.auth.keyfile import KeyFileError
from uaitools.command import warn_of_everyone
from uaitools.config import Common, ConfigError, Settings
from uaitools.errors import ServiceError
from uaitools.lifecycle import Service, run, run_main, settle
from uaitools.limits.config import LimitsConfig
from uaitools.limits.front import Limits
from uaitools.proxy.config import KEPT, ProxyConfig, RegistryTable
from uaitools.proxy.demo import Demo
from uaitools.proxy.discovery import Source
from uaitools.proxy.ejection import Ejection
from uaitools.proxy.gateway import Gateway
from uaitools.proxy.orders import Order
from uaitools.proxy.report import Report
from uaitools.proxy.workers.channel import WorkerEnd
from uaitools.proxy.workers.supervisor import Supervisor
from uaitools.registry.client import Announced
from uaitools.secret import REVEALED
from uaitools.tasks import spawn

if TYPE_CHECKING:
    from uaitools.proxy.admin.server import Admin

SERVICE: Final = "proxy"  # the name in the log
_log = log.get_logger(__name__)


class Program:
    """The gateway as a process, or as each of several.

    settings: those in force. loading: reads them again. demo: served beside the gateway, if any.
    admin: the listening socket of the admin API, if any; all workers accept from it.
    """

    def __init__(
        self,
        settings: Settings,
        loading: Callable[[], Settings],
        demo: Demo | None,
        admin: socket | None = None,
    ) -> None:
        self._admin = admin
        folder = settings.common.data_dir
        self._folder = None if folder is None else folder / SERVICE
        self._first: socket | None = None
        self._settings = settings
        self._load = loading
        # One for all workers, their successors and all reloads, unless the configuration has one.
        self._secret = token_bytes(32)
        self._services = [demo] if demo is not None else []
        self._limits: Limits | None = None
        self._redirect: socket | None = None

    def __repr__(self) -> str:
        config = self._config
        return f"<Program {config.listen} workers={config.workers} routes={len(config.routes)}>"

    @property
    def _config(self) -> ProxyConfig:
        return self._settings.of(ProxyConfig)

    def run(self, listeners: Sequence[socket], redirect: socket | None = None) -> int:
        """Serve until SIGTERM or SIGINT, in a worker for each listener when there are several.

        redirect: the listening socket of tls.redirect, which all workers share.
        Returns the exit status. Call it in the main thread, without an event loop.
        """
        _configure_log(self._settings.common)
        if not self._settings.of(AuthConfig).enabled:
            warn_of_everyone()
        # Before the fork: workers count together in memory that they inherit.
        limits = self._settings.of(LimitsConfig)
        redis_url = self._settings.common.redis_url
        self._limits = Limits(limits, redis_url=redis_url, workers=len(listeners))
        self._redirect = redirect
        self._first = listeners[0]
        if len(listeners) > 1:
            shared = () if redirect is None else (redirect,)
            return Supervisor(self, listeners, shared=shared).run()
        self._serve(listeners[0])
        return 0

    def work(self, listener: socket, channel: socket) -> int:
        """Be one of several processes, which obeys its parent; its exit status."""

        async def serve() -> None:
            parent = WorkerEnd(channel)
            gateway = Gateway(
                self._config,
                sockets=[listener],
                auth=self._settings.of(AuthConfig),
                limits=self._limits,
                redirect=self._redirect,
                gather=parent.gather,
                on_ejection=parent.announce,
                secret=self._secret,
                registry=self.source,
            )
            reloads = _Reloads(gateway, self)
            parent.served = _Served(self, gateway, reloads)

            def order(order: Order) -> None:
                gateway.obey(order)
                parent.order(order)

            def reload() -> None:
                self._check()
                parent.order(Order("reload"))

            admin = self._admin_of(gateway, order, reload, parent.survey)
            serving = self._announced(gateway, listener)
            await run([parent, *self._services, serving, *admin], ready=reloads.begin)

        run_main(serve)
        return 0

    def reload(self) -> bytes | None:
        """Read the configuration again; what to send to workers, None when it is wrong."""
        if not self._reread():
            return None
        return orjson.dumps(
            {
                "common": self._settings.common.model_dump(include={"log_level", "environment"}),
                "proxy": self._config.model_dump(mode="json", exclude=set(KEPT), context=REVEALED),
                "auth": self._settings.of(AuthConfig).model_dump(mode="json", context=REVEALED),
                "limits": self._settings.of(LimitsConfig).model_dump(mode="json"),
                "registry": self._settings.of(RegistryTable).model_dump(
                    mode="json", context=REVEALED
                ),
            }
        )

    def accept(self, settings: Settings) -> None:
        """Hold these settings from now on; the gateway is left as it is."""
        self._settings = settings
        _configure_log(settings.common)

    def report(self, gateway: Gateway) -> Report:
        """What this process has to tell of itself."""
        return replace(gateway.report(), environment=self._settings.common.environment)

    def _serve(self, listener: socket) -> None:
        """Be the only process."""

        async def serve() -> None:
            async def gather() -> Report:
                return self.report(gateway)

            gateway = Gateway(
                self._config,
                sockets=[listener],
                redirect=self._redirect,
                gather=gather,
                auth=self._settings.of(AuthConfig),
                limits=self._limits,
                secret=self._secret,
                registry=self.source,
            )
            reloads = _Reloads(gateway, self)

            def reload() -> None:
                gateway.reopen_logs()
                if self._reread():
                    reloads.submit(self._settings)

            def reload_checked() -> None:
                self._check()
                reload()

            admin = self._admin_of(gateway, gateway.obey, reload_checked)
            serving = self._announced(gateway, listener)
            services = [*self._services, serving, *admin]
            await run(services, on_reload=reload, ready=reloads.begin)

        run_main(serve)

    @property
    def source(self) -> Source | None:
        """Where services are found."""
        return Source.of(self._settings.of(RegistryTable).client, self._folder)

    def _announced(self, gateway: Gateway, listener: socket) -> Service:
        """What to run: the gateway, registered by the first of the processes if it is to be."""
        client = self._settings.of(RegistryTable).client
        if client is None or client.address is None or listener is not self._first:
            return gateway
        return Announced(gateway, "proxy", client, secure=self._config.tls is not None)

    def _admin_of(
        self,
        gateway: Gateway,
        order: Callable[[Order], None],
        reload: Callable[[], None],
        survey: Callable[[bytes, int], Awaitable[list[bytes]]] | None = None,
    ) -> list[Admin]:
        if self._admin is None:
            return []
        from uaitools.proxy.admin.server import Admin  # noqa: PLC0415 - where there is none, not

        return [Admin(gateway, sock=self._admin, order=order, reload=reload, survey=survey)]

    def _check(self) -> None:
        """Raise ServiceError 422 when the configuration could not be read again."""
        try:
            self._load()
        except ConfigError as error:
            details = [{"field": "configuration", "message": one} for one in error.problems]
            message = "the configuration is wrong, the old one stays; see details"
            raise ServiceError(422, message, SERVICE, details=details) from error

    def _reread(self) -> bool:
        """Put the configuration into force if it is right, otherwise say why not."""
        try:
            settings = self._load()
        except ConfigError as error:
            _log.error("configuration is wrong, the old one stays", problems=error.problems)
            return False
        old, new = self._config, settings.of(ProxyConfig)
        kept = new.keeping(old)
        pinned = new.pinned(kept)
        limits, common = settings.of(LimitsConfig), settings.common
        if common.redis_url != self._settings.common.redis_url:
            pinned.append("redis_url")
        if common.data_dir != self._settings.common.data_dir:
            pinned.append("data_dir")
        if limits.slots != self._settings.of(LimitsConfig).slots:
            pinned.append("limits.slots")
        registry = settings.of(RegistryTable)
        if registry.address != self._settings.of(RegistryTable).address:
            pinned.append("registry.client.address")
        if pinned:
            _log.warning("some settings change with a restart only", settings=pinned)
        # So that each reload tells it again, until the restart.
        before = self._settings.common
        kept_common = {"redis_url": before.redis_url, "data_dir": before.data_dir}
        common = common.model_copy(update=kept_common)
        limits = limits.model_copy(update={"slots": self._settings.of(LimitsConfig).slots})
        registry = registry.at(self._settings.of(RegistryTable).address)
        self.accept(Settings((common, kept, settings.of(AuthConfig), limits, registry)))
        _log.info("configuration read again")
        return True


def _configure_log(common: Common) -> None:
    log.configure(common.log_level, SERVICE, environment=common.environment)


class _Served:
    """What the parent of this worker may ask of it."""

    __slots__ = ("_gateway", "_program", "_reloads")

    def __init__(self, program: Program, gateway: Gateway, reloads: _Reloads) -> None:
        self._program = program
        self._gateway = gateway
        self._reloads = reloads

    def report(self) -> Report:
        return self._program.report(self._gateway)

    def eject(self, ejection: Ejection) -> None:
        self._gateway.eject(ejection)

    def answer(self, question: bytes) -> bytes:
        from uaitools.proxy.admin.connections import answer  # noqa: PLC0415 - it has been, or not

        return answer(self._gateway.clients, question)

    def obey(self, order: Order) -> None:
        self._gateway.obey(order)

    def reload(self, configuration: bytes) -> None:
        self._gateway.reopen_logs()
        document = orjson.loads(configuration)
        own = self._gateway.config
        kept = {name: getattr(own, name) for name in KEPT}
        config = ProxyConfig.model_validate({**document["proxy"], **kept})
        try:
            auth = AuthConfig.model_validate(document["auth"])
        except ValueError as error:  # a file of keys has changed since the parent read it
            _log.error("configuration is wrong, the old one stays", problems=[str(error)])
            return
        limits = LimitsConfig.model_validate(document["limits"])
        registry = RegistryTable.model_validate(document["registry"])
        settings = Settings((Common(**document["common"]), config, auth, limits, registry))
        self._program.accept(settings)
        self._reloads.submit(settings)


class _Reloads:
    """Puts configurations into force one after the other; of those that wait the last one wins."""

    __slots__ = ("_gateway", "_program", "_ready", "_running", "_waiting")

    def __init__(self, gateway: Gateway, program: Program) -> None:
        self._gateway = gateway
        self._program = program
        self._waiting: Settings | None = None
        self._ready = False
        self._running = False

    def begin(self) -> None:
        """The gateway has started, and no longer puts its first configuration into force."""
        settle()
        self._ready = True
        self._advance()

    def submit(self, settings: Settings) -> None:
        """Put `settings` into force soon, unless others come before they can be."""
        self._waiting = settings
        self._advance()

    def _advance(self) -> None:
        if self._ready and not self._running and self._waiting is not None:
            self._running = True
            waiting, self._waiting = self._waiting, None
            spawn(self._apply(waiting), name="reload")

    async def _apply(self, settings: Settings) -> None:
        config = settings.of(ProxyConfig)
        try:
            source = self._program.source
            await self._gateway.reload(config, settings.of(AuthConfig), source)
            self._gateway.limits.configure(settings.of(LimitsConfig))
            _log.info("configuration in force", routes=len(config.routes))
        except (KeyFileError, ValueError) as error:
            # A file that the configuration names has changed since that was read.
            _log.error("configuration is wrong, the old one stays", problems=[str(error)])
        finally:
            self._running = False
            self._advance()
