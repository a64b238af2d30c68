"""The program: `python -m uaitools.proxy`, a gateway in one process or in several."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from argparse import (  # not typer: it takes 0.07 s of the 0.5 s until the first answer
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import socket

import orjson

from uaitools import log
from uaitools.config import Common, ConfigError, Flag, Settings, load
from uaitools.lifecycle import run, run_main
from uaitools.proxy.config import EndpointUrl, ProxyConfig, RouteSettings, ServiceSettings
from uaitools.proxy.demo import ROUTE as DEMO_ROUTE
from uaitools.proxy.demo import SERVICE as DEMO_SERVICE
from uaitools.proxy.demo import Demo
from uaitools.proxy.directory import Ejection
from uaitools.proxy.gateway import Gateway
from uaitools.proxy.report import Report
from uaitools.proxy.sockets import listening_socket
from uaitools.proxy.workers.channel import WorkerEnd
from uaitools.proxy.workers.supervisor import Supervisor
from uaitools.tasks import spawn

_SERVICE = "proxy"
_WRONG = 2  # the exit status of a wrong configuration, as argparse's of a wrong command line
_log = log.get_logger("uaitools.proxy")

Load = Callable[[], Settings]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # by default it ends a process
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each client costs a descriptor
    log.configure("info", _SERVICE)
    options = _parser().parse_args(arguments)
    demo = Demo() if options.demo and not options.check else None
    loading = partial(_load, options, os.environ, demo)
    try:
        settings = loading()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return _WRONG
    if options.check:
        sys.stdout.write("ok\n")
        return 0
    log.configure(settings.common.log_level, _SERVICE)
    config = settings.of(ProxyConfig)
    try:
        listeners = _listen(config)
    except (OSError, UnicodeError) as error:  # UnicodeError: of a name that cannot be one
        reason = getattr(error, "strerror", None) or error
        sys.stderr.write(f"cannot listen on {config.listen}: {reason}\n")
        return 1
    _log.warning("there is no authentication: everyone is accepted", principal="anonymous")
    program = Program(settings, loading, demo)
    if len(listeners) == 1:
        program.serve(listeners[0])
        return 0
    return Supervisor(program, listeners).run()


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m uaitools.proxy",
        description="A reverse proxy: routing, balancing, circuit breakers, streaming.",
        epilog="Flags override the environment (UAITOOLS_PROXY__LISTEN=...), and it the file.\n"
        "SIGHUP reads the configuration again; SIGTERM finishes what runs, at most 30 s.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="uaitools.toml; see its [proxy] table")
    add("--listen", metavar="HOST:PORT", help="127.0.0.1:8081 by default; port 0: any free one")
    add(
        "--route",
        type=_route,
        action="append",
        default=[],
        metavar="PREFIX=URL[,URL...]",
        help="send paths below PREFIX to these endpoints; may be repeated",
    )
    add("--workers", metavar="N", help="processes that serve, 1 by default")
    add("--data-dir", type=Path, metavar="DIR", help="for all components; the proxy stores nothing")
    add("--demo", action="store_true", help="add two sample chat upstreams behind /api/chat")
    add("--check", action="store_true", help="validate the configuration and exit")
    add("--log-level", metavar="LEVEL", help="debug, info, warning or error")
    add(
        "--insecure",
        action="store_true",
        help="listen on an address that others can reach, although everyone is accepted",
    )
    return parser


# -- configuration --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Route:
    """A `--route`."""

    prefix: str
    urls: tuple[str, ...]

    @property
    def service(self) -> str:
        return self.prefix.strip("/").replace("/", "-") or "root"


def _route(text: str) -> _Route:
    prefix, _, urls = text.partition("=")
    if not prefix.startswith("/") or not urls:
        raise ArgumentTypeError(f"must be /PREFIX=URL[,URL...], got {text!r}")
    return _Route(prefix, tuple(urls.split(",")))


def _load(options: Namespace, environ: Mapping[str, str], demo: Demo | None) -> Settings:
    """The configuration with everything that the command line adds. Raises ConfigError."""
    routes: list[_Route] = options.route
    flags = [
        Flag("--listen", ("proxy", "listen"), options.listen),
        Flag("--workers", ("proxy", "workers"), options.workers),
        Flag("--log-level", ("log_level",), options.log_level),
    ]
    names = [route.service for route in routes]
    if len(set(names)) < len(names):
        raise ConfigError([f"flag --route: two prefixes make one service name: {sorted(names)}"])
    for route in routes:
        key = ("proxy", "services", route.service, "endpoints")
        flags.append(Flag("--route", key, list(route.urls)))
    read = partial(load, {"proxy": ProxyConfig}, file=options.config, environ=environ)
    settings = read(flags=flags)
    config = settings.of(ProxyConfig)
    if routes:
        kept = config.routes if "routes" in config.model_fields_set else ()
        merged = Flag("--route", ("proxy", "routes"), _merged(kept, routes))
        config = read(flags=[*flags, merged]).of(ProxyConfig)
    if not (config.listen.loopback or options.insecure):
        problem = f"proxy.listen: others can reach {config.listen}, and there is no authentication"
        raise ConfigError([f"{problem}; listen on 127.0.0.1, or add --insecure"])
    if demo is not None:
        config = _with_demo(config, demo)
    return Settings((settings.common, config))


def _merged(kept: Sequence[RouteSettings], added: Sequence[_Route]) -> list[object]:
    """The routes of the file, without those whose path the command line takes, and its own."""
    taken = {route.prefix.rstrip("/") for route in added}
    return [
        *(r.model_dump(mode="json") for r in kept if r.path.rstrip("/") not in taken),
        *({"path": route.prefix, "service": route.service} for route in added),
    ]


def _with_demo(config: ProxyConfig, demo: Demo) -> ProxyConfig:
    """Give the sample upstreams to their service, and it a route, where there are none."""
    if DEMO_ROUTE.path not in {route.path for route in config.routes}:
        config = config.model_copy(update={"routes": (*config.routes, DEMO_ROUTE)})
    service = config.services.get(DEMO_SERVICE, ServiceSettings())
    if service.endpoints:
        return config
    endpoints = tuple(EndpointUrl(url=url) for url in demo.urls)
    service = service.model_copy(update={"endpoints": endpoints})
    return config.model_copy(update={"services": {**config.services, DEMO_SERVICE: service}})


def _listen(config: ProxyConfig) -> list[socket]:
    """A listening socket for each worker, all of one address. Raises OSError."""
    host, port = config.listen.host, config.listen.port
    if config.workers == 1:
        return [listening_socket(host, port)]
    if port:
        # SO_REUSEPORT would share the address with another program of the same user, who would
        # wonder where half of the requests go.
        listening_socket(host, port).close()
    listeners = [listening_socket(host, port, reuse_port=True)]
    host, port = listeners[0].getsockname()[:2]
    while len(listeners) < config.workers:
        listeners.append(listening_socket(host, port, reuse_port=True))
    return listeners


# -- serving --------------------------------------------------------------------------------


class Program:
    """The gateway as a process, or as each of several.

    settings: those in force. loading: reads them again. demo: served beside the gateway, if any.
    """

    def __init__(self, settings: Settings, loading: Load, demo: Demo | None) -> None:
        self._settings = settings
        self._load = loading
        self._services = [demo] if demo is not None else []

    def __repr__(self) -> str:
        config = self._config
        return f"<Program {config.listen} workers={config.workers} routes={len(config.routes)}>"

    @property
    def _config(self) -> ProxyConfig:
        return self._settings.of(ProxyConfig)

    def serve(self, listener: socket) -> None:
        """Be the only process."""

        async def serve() -> None:
            gateway = Gateway(self._config, sockets=[listener])
            reloads = _Reloads(gateway)

            def reload() -> None:
                if self._reread():
                    reloads.submit(self._config)

            await run([*self._services, gateway], on_reload=reload, ready=reloads.begin)

        run_main(serve)

    def work(self, listener: socket, channel: socket) -> int:
        """Be one of several processes, which obeys its parent; its exit status."""

        async def serve() -> None:
            parent = WorkerEnd(channel)
            gateway = Gateway(
                self._config,
                sockets=[listener],
                gather=parent.gather,
                on_ejection=parent.announce,
            )
            reloads = _Reloads(gateway)
            parent.served = _Served(gateway, reloads)
            await run([parent, *self._services, gateway], ready=reloads.begin)

        run_main(serve)
        return 0

    def reload(self) -> bytes | None:
        """Read the configuration again; what to send to workers, None when it is wrong."""
        if not self._reread():
            return None
        config = self._config.model_dump(mode="json", exclude={"listen", "workers"})
        return orjson.dumps({"log_level": self._settings.common.log_level, "proxy": config})

    def _reread(self) -> bool:
        """Put the configuration into force if it is right, otherwise say why not."""
        try:
            settings = self._load()
        except ConfigError as error:
            _log.error("configuration is wrong, the old one stays", problems=error.problems)
            return False
        old, new = self._config, settings.of(ProxyConfig)
        kept = {"listen": old.listen, "workers": old.workers}
        if (old.listen, old.workers) != (new.listen, new.workers):
            _log.warning("listen and workers change with a restart only")
        self._settings = Settings((settings.common, new.model_copy(update=kept)))
        log.configure(settings.common.log_level, _SERVICE)
        _log.info("configuration read again")
        return True


class _Served:
    """What the parent of this worker may ask of it."""

    __slots__ = ("_gateway", "_reloads")

    def __init__(self, gateway: Gateway, reloads: _Reloads) -> None:
        self._gateway = gateway
        self._reloads = reloads

    def report(self) -> Report:
        return self._gateway.report()

    def eject(self, ejection: Ejection) -> None:
        self._gateway.eject(ejection)

    def reload(self, configuration: bytes) -> None:
        document = orjson.loads(configuration)
        log.configure(Common(log_level=document["log_level"]).log_level, _SERVICE)
        own = self._gateway.config
        kept = {"listen": own.listen, "workers": own.workers}
        self._reloads.submit(ProxyConfig.model_validate({**document["proxy"], **kept}))


class _Reloads:
    """Puts configurations into force one after the other; of those that wait the last one wins."""

    __slots__ = ("_gateway", "_ready", "_running", "_waiting")

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._waiting: ProxyConfig | None = None
        self._ready = False
        self._running = False

    def begin(self) -> None:
        """The gateway has started, and no longer puts its first configuration into force."""
        # What the start has made stays: a full collection that walked it would stop the loop for
        # tens of milliseconds.
        gc.collect()
        gc.freeze()
        self._ready = True
        self._advance()

    def submit(self, config: ProxyConfig) -> None:
        """Put `config` into force soon, unless another one comes before it can be."""
        self._waiting = config
        self._advance()

    def _advance(self) -> None:
        if self._ready and not self._running and self._waiting is not None:
            self._running = True
            config, self._waiting = self._waiting, None
            spawn(self._apply(config), name="reload")

    async def _apply(self, config: ProxyConfig) -> None:
        try:
            await self._gateway.reload(config)
            _log.info("configuration in force", routes=len(config.routes))
        finally:
            self._running = False
            self._advance()


if __name__ == "__main__":
    sys.exit(main())
