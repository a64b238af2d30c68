"""The program: `python -m uaitools.registry`, and what an operator asks a running one."""

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
from uaitools.lifecycle import run, run_main
from uaitools.registry.command import add_commands, run_command
from uaitools.registry.config import RegistryConfig
from uaitools.registry.errors import SERVICE

_WRONG: Final = 2  # the exit status of a wrong configuration, as argparse's of a wrong command line
_log = log.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, or do what the subcommand says; returns the exit status."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # by default it ends a process
    options = _parser().parse_args(arguments)
    if options.command is not None:
        return run_command(options, os.environ)
    log.configure("info", SERVICE)
    try:
        settings = _settings(options, os.environ)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return _WRONG
    if options.check:
        sys.stdout.write(f"ok: {options.config or 'no file (--config names one)'}\n")
        return 0
    return _serve(settings)


def _settings(options: Namespace, environ: Mapping[str, str]) -> Settings:
    """The configuration with what the command line adds. Raises ConfigError."""
    settings = load(
        {"registry": RegistryConfig, "auth": AuthConfig},
        file=options.config,
        environ=environ,
        flags=[
            Flag("--listen", ("registry", "listen"), options.listen),
            Flag("--data-dir", ("data_dir",), options.data_dir and str(options.data_dir)),
            Flag("--log-level", ("log_level",), options.log_level),
        ],
    )
    listen = settings.of(RegistryConfig).listen
    if not (listen.loopback or settings.of(AuthConfig).enabled or options.insecure):
        problem = f"registry.listen: others can reach {listen}, and there is no authentication"
        raise ConfigError([f"{problem}; set [auth], listen on 127.0.0.1, or add --insecure"])
    return settings


def _serve(settings: Settings) -> int:
    from uaitools.registry.server import RegistryServer  # noqa: PLC0415 - 0.2 s that --check saves
    from uaitools.registry.store.embedded import EmbeddedStore  # noqa: PLC0415
    from uaitools.registry.store.port import Store, StoreError  # noqa: PLC0415
    from uaitools.registry.store.redis import RedisStore  # noqa: PLC0415

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each instance costs a descriptor
    common, config, auth = settings.common, settings.of(RegistryConfig), settings.of(AuthConfig)
    log.configure(common.log_level, SERVICE, environment=common.environment)
    if not auth.enabled:
        _log.warning("there is no authentication: everyone is accepted", principal="anonymous")

    async def serve() -> None:
        store: Store
        if common.redis_url is not None:
            store = RedisStore(common.redis_url, policy=config.policy)
        else:
            store = EmbeddedStore(common.data_directory / SERVICE, policy=config.policy)
        await run([RegistryServer(config, store, auth=auth)])

    try:
        run_main(serve)
    except StoreError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        sys.stderr.write(f"cannot listen on {config.listen}: {reason}\n")
        return 1
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m uaitools.registry",
        description="Service discovery: registration, health, watches and drains.",
        epilog="Flags override the environment (UAITOOLS_REGISTRY__LISTEN=...), and it the file.\n"
        "SIGTERM sends watchers elsewhere and finishes what runs, at most 30 s.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    add_common_flags(
        parser,
        table=SERVICE,
        listen="127.0.0.1:8083",
        stores="where registrations are kept over restarts, in its directory `registry`",
    )
    add_commands(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
