"""The program: `python -m uaitools.proxy`, a gateway in one process or in several."""

from __future__ import annotations

import os
import resource
import signal
import sys

# Not typer: it takes 0.07 s of the 0.5 s until the first answer.
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from uaitools import log
from uaitools.config import ConfigError
from uaitools.proxy.config import ProxyConfig
from uaitools.proxy.demo import Demo
from uaitools.proxy.flags import RouteFlag, load_with
from uaitools.proxy.program import SERVICE, Program
from uaitools.proxy.sockets import listening_sockets
from uaitools.proxy.tls.check import examine

_WRONG = 2  # the exit status of a wrong configuration, as argparse's of a wrong command line


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # by default it ends a process
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each client costs a descriptor
    log.configure("info", SERVICE)
    options = _parser().parse_args(arguments)
    demo = Demo() if options.demo and not options.check else None
    loading = partial(load_with, options, os.environ, demo)
    try:
        settings = loading()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return _WRONG
    config = settings.of(ProxyConfig)
    if options.check:
        sys.stdout.write(_summary(config, options.config))
        return 0
    address = config.listen
    redirect = config.tls.redirect if config.tls is not None else None
    try:
        listeners = listening_sockets(address.host, address.port, config.workers)
        if redirect is not None:
            address = redirect
        plain = None if redirect is None else listening_sockets(address.host, address.port, 1)[0]
    except (OSError, UnicodeError) as error:  # UnicodeError: of a name that cannot be one
        reason = getattr(error, "strerror", None) or error
        sys.stderr.write(f"cannot listen on {address}: {reason}\n")
        return 1
    return Program(settings, loading, demo).run(listeners, plain)


def _summary(config: ProxyConfig, file: Path | None) -> str:
    """What `--check` has found: no mistake, but perhaps something that was not meant."""
    source = str(file) if file is not None else "no file (--config names one)"
    lines = [f"ok: {source}, {len(config.routes)} routes, {len(config.services)} services"]
    for index, route in enumerate(config.routes):
        known = config.services.get(route.service)
        if known is None or not known.endpoints:
            lines.append(
                f"warning: proxy.routes[{index}] ({route.path}): the service {route.service} "
                f"has no endpoint; set proxy.services.{route.service}.endpoints"
            )
    lines += [f"warning: {warning}" for warning in examine(config)[1]]
    return "".join(f"{line}\n" for line in lines)


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
        type=RouteFlag.parse,
        action="append",
        default=[],
        metavar="PREFIX=URL[,URL...]",
        help="send paths below PREFIX to these endpoints; may be repeated",
    )
    add("--workers", metavar="N", help="processes that serve, 1 by default")
    add(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where components store; the proxy stores nothing",
    )
    add("--demo", action="store_true", help="add two sample chat upstreams behind /api/chat")
    add("--check", action="store_true", help="validate the configuration and exit")
    add("--log-level", metavar="LEVEL", help="debug, info, warning or error")
    add(
        "--insecure",
        action="store_true",
        help="listen on an address that others can reach, although everyone is accepted",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
