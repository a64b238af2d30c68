"""The program: `python -m uaitools.proxy`, a gateway in one process or in several."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys

# Not typer: it takes 0.07 s of the 0.5 s until the first answer.
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from uaitools import log
from uaitools.command import add_common_flags
from uaitools.config import ConfigError
from uaitools.proxy.access.writer import STDOUT, open_log
from uaitools.proxy.config import ProxyConfig
from uaitools.proxy.demo import Demo
from uaitools.proxy.flags import RouteFlag, load_with
from uaitools.proxy.program import SERVICE, Program
from uaitools.proxy.tls.check import examine
from uaitools.sockets import listening_socket, listening_sockets

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
    if config.access_log.enabled:
        try:
            _try_log(config.access_log.file)
        except OSError as error:
            sys.stderr.write(f"cannot write to {config.access_log.file}: {error.strerror}\n")
            return 1
    address = config.listen
    redirect = config.tls.redirect if config.tls is not None else None
    admin = plain = None
    try:
        listeners = listening_sockets(address.host, address.port, config.workers)
        if config.admin is not None:
            address = config.admin
            admin = listening_socket(address.host, address.port)
        if redirect is not None:
            address = redirect
            plain = listening_socket(address.host, address.port)
    except (OSError, UnicodeError) as error:  # UnicodeError: of a name that cannot be one
        reason = getattr(error, "strerror", None) or error
        sys.stderr.write(f"cannot listen on {address}: {reason}\n")
        return 1
    return Program(settings, loading, demo, admin).run(listeners, plain)


def _try_log(file: str) -> None:
    """Open the access log once, so that a wrong path stops the start. Raises OSError."""
    try:
        descriptor = open_log(file)
    except OSError as error:
        if error.errno != errno.ENXIO:  # a pipe whose reader is still to come
            raise
    else:
        if file != STDOUT:
            os.close(descriptor)


def _summary(config: ProxyConfig, file: Path | None) -> str:
    """What `--check` has found: no mistake, but perhaps something that was not meant."""
    source = str(file) if file is not None else "no file (--config names one)"
    lines = [f"ok: {source}, {len(config.routes)} routes, {len(config.services)} services"]
    for index, route in enumerate(config.routes):
        for name in route.service_names:
            known = config.services.get(name)
            if known is None or not (known.endpoints or known.registry):
                alike = get_close_matches(name, config.services.keys() - {name}, n=1)
                lines.append(
                    f"warning: proxy.routes[{index}] ({route.label}): the service {name} "
                    f"has no endpoint; set proxy.services.{name}.endpoints"
                    + (f", or did you mean {alike[0]}?" if alike else "")
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
    add_common_flags(
        parser,
        table="proxy",
        listen="127.0.0.1:8081",
        stores="where to keep what the registry has said last, for a start without it",
    )
    add = parser.add_argument
    add(
        "--route",
        type=RouteFlag.parse,
        action="append",
        default=[],
        metavar="PREFIX=URL[,URL...]",
        help="send paths below PREFIX to these endpoints; may be repeated",
    )
    add("--workers", metavar="N", help="processes that serve, 1 by default")
    add("--demo", action="store_true", help="add two sample chat upstreams behind /api/chat")
    return parser


if __name__ == "__main__":
    sys.exit(main())
