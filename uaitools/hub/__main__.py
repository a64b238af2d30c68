"""The program: `python -m uaitools.hub`."""

from __future__ import annotations

import os
import resource
import signal
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from typing import Final

from uaitools import log
from uaitools.auth.config import AuthConfig
from uaitools.command import add_common_flags
from uaitools.config import ConfigError, Flag, Settings, load
from uaitools.hub.config import HubConfig
from uaitools.registry.client import RegistryTable

SERVICE: Final = "hub"
_WRONG: Final = 2  # the exit status of a wrong configuration, as argparse's of a wrong command line
_log = log.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # by default it ends a process
    options = _parser().parse_args(arguments)
    log.configure("info", SERVICE)
    try:
        settings = _settings(options, os.environ)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return _WRONG
    if options.check:
        sys.stdout.write(f"ok: {options.config or 'no file (--config names one)'}\n")
        return 0
    return _serve(settings, echo=options.echo)


def _settings(options: Namespace, environ: Mapping[str, str]) -> Settings:
    """The configuration with what the command line adds. Raises ConfigError."""
    settings = load(
        {"hub": HubConfig, "auth": AuthConfig, "registry": RegistryTable},
        file=options.config,
        environ=environ,
        flags=[
            Flag("--listen", ("hub", "listen"), options.listen),
            Flag("--workers", ("hub", "workers"), options.workers),
            Flag("--data-dir", ("data_dir",), options.data_dir and str(options.data_dir)),
            Flag("--log-level", ("log_level",), options.log_level),
        ],
    )
    config, common = settings.of(HubConfig), settings.common
    problems = []
    if not (config.listen.loopback or settings.of(AuthConfig).enabled or options.insecure):
        problem = f"hub.listen: others can reach {config.listen}, and there is no authentication"
        problems.append(f"{problem}; set [auth], listen on 127.0.0.1, or add --insecure")
    if config.workers > 1 and common.redis_url is None:
        problem = "hub.workers: several processes share messages through Redis"
        problems.append(f"{problem}; set redis_url, or have one worker")
    if problems:
        raise ConfigError(problems)
    return settings


def _serve(settings: Settings, *, echo: bool) -> int:
    from uaitools.hub.program import Program  # noqa: PLC0415 - 0.2 s that --check saves

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each client costs a descriptor
    common = settings.common
    log.configure(common.log_level, SERVICE, environment=common.environment)
    if not settings.of(AuthConfig).enabled:
        _log.warning("there is no authentication: everyone is accepted", principal="anonymous")
    return Program(settings, echo=echo).run()


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m uaitools.hub",
        description="A WebSocket hub: channels with history, presence and recovery.",
        epilog="Flags override the environment (UAITOOLS_HUB__LISTEN=...), and it the file.\n"
        "SIGTERM sends clients elsewhere, hub.reconnects a second, at most 30 s.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    add_common_flags(parser, table=SERVICE, listen="127.0.0.1:8082", stores="nothing of the hub")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes that share the port; needs redis_url"
    )
    parser.add_argument(
        "--echo", action="store_true", help="serve /echo, for tests of the WebSocket protocol"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
