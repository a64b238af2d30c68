"""The program: `python -m uaitools.hub`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from functools import partial

from uaitools.auth.config import AuthConfig
from uaitools.command import add_common_flags, common_flags, run_program, unguarded
from uaitools.config import ConfigError, Flag, Settings, load
from uaitools.hub.config import HubConfig
from uaitools.hub.errors import SERVICE
from uaitools.registry.client import RegistryTable


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    options = _parser().parse_args(arguments)
    return run_program(options, SERVICE, _settings, partial(_serve, echo=options.echo))


def _settings(options: Namespace, environ: Mapping[str, str]) -> Settings:
    """The configuration with what the command line adds. Raises ConfigError."""
    settings = load(
        {"hub": HubConfig, "auth": AuthConfig, "registry": RegistryTable},
        file=options.config,
        environ=environ,
        flags=[
            *common_flags(options, SERVICE),
            Flag("--workers", (SERVICE, "workers"), options.workers),
        ],
    )
    config, common = settings.of(HubConfig), settings.common
    problems = unguarded(options, SERVICE, config.listen, settings.of(AuthConfig))
    if config.workers > 1 and common.redis_url is None:
        problem = "hub.workers: several processes share messages through Redis"
        problems.append(f"{problem}; set redis_url, or have one worker")
    if problems:
        raise ConfigError(problems)
    return settings


def _serve(settings: Settings, *, echo: bool) -> int:
    from uaitools.hub.program import Program  # noqa: PLC0415 - 0.2 s that --check saves

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
