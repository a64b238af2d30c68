"""The program: `python -m uaitools.registry`, and what an operator asks a running one."""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence

from uaitools.auth.config import AuthConfig
from uaitools.command import (
    add_common_flags,
    cannot_listen,
    common_flags,
    run_program,
    unguarded,
)
from uaitools.config import ConfigError, Settings, load
from uaitools.lifecycle import run, run_main
from uaitools.registry.command import add_commands, run_command
from uaitools.registry.config import RegistryConfig
from uaitools.registry.errors import SERVICE


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, or do what the subcommand says; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.command is not None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # by default it ends a process
        return run_command(options, os.environ)
    return run_program(options, SERVICE, _settings, _serve)


def _settings(options: Namespace, environ: Mapping[str, str]) -> Settings:
    """The configuration with what the command line adds. Raises ConfigError."""
    settings = load(
        {"registry": RegistryConfig, "auth": AuthConfig},
        file=options.config,
        environ=environ,
        flags=common_flags(options, SERVICE),
    )
    listen = settings.of(RegistryConfig).listen
    if problems := unguarded(options, SERVICE, listen, settings.of(AuthConfig)):
        raise ConfigError(problems)
    return settings


def _serve(settings: Settings) -> int:
    from uaitools.registry.server import RegistryServer  # noqa: PLC0415 - 0.2 s that --check saves
    from uaitools.registry.store.embedded import EmbeddedStore  # noqa: PLC0415
    from uaitools.registry.store.port import Store, StoreError  # noqa: PLC0415
    from uaitools.registry.store.redis import RedisStore  # noqa: PLC0415

    common, config, auth = settings.common, settings.of(RegistryConfig), settings.of(AuthConfig)

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
        return cannot_listen(config.listen, error)
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
