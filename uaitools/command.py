"""What every component's program does alike: its flags, its start, and what it refuses."""

from __future__ import annotations

import os
import resource
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

from uaitools import log
from uaitools.addresses import Address
from uaitools.auth.config import AuthConfig
from uaitools.config import ConfigError, Flag, Settings
from uaitools.errors import ServiceError
from uaitools.lifecycle import run_main

WRONG: Final = 2  # the exit status of a wrong configuration, as argparse's of a wrong command line
_log = log.get_logger(__name__)


def add_common_flags(parser: ArgumentParser, *, table: str, listen: str, stores: str) -> None:
    """Add them. table: of the file. listen: by default. stores: what --data-dir is for."""
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help=f"uaitools.toml; see its [{table}] table")
    add("--listen", metavar="HOST:PORT", help=f"{listen} by default; port 0: any free one")
    add("--data-dir", type=Path, metavar="DIR", help=stores)
    add("--check", action="store_true", help="validate the configuration and exit")
    add("--log-level", metavar="LEVEL", help="debug, info, warning or error")
    add(
        "--insecure",
        action="store_true",
        help="listen on an address that others can reach, although everyone is accepted",
    )


def common_flags(options: Namespace, table: str) -> list[Flag]:
    """What the flags of `add_common_flags` override. table: of the component."""
    return [
        Flag("--listen", (table, "listen"), options.listen),
        Flag("--data-dir", ("data_dir",), options.data_dir and str(options.data_dir)),
        Flag("--log-level", ("log_level",), options.log_level),
    ]


def unguarded(options: Namespace, table: str, listen: Address, auth: AuthConfig) -> list[str]:
    """The problem of an address that others can reach where everyone is accepted, if it is one."""
    if listen.loopback or auth.enabled or options.insecure:
        return []
    problem = f"{table}.listen: others can reach {listen}, and there is no authentication"
    return [f"{problem}; set [auth], listen on 127.0.0.1, or add --insecure"]


def run_program(
    options: Namespace,
    service: str,
    read: Callable[[Namespace, Mapping[str, str]], Settings],
    serve: Callable[[Settings], int],
    *,
    extras: str = "",
) -> int:
    """Read the configuration and serve, or only check it; the exit status.

    read: may raise ConfigError. extras: what to install where a library of others is missing.
    """
    try:
        return _run_program(options, service, read, serve)
    except ModuleNotFoundError as error:
        if not extras or error.name is None or error.name.startswith("uaitools"):
            raise
        hint = f'{error.name} is missing: pip install "uaitools[{extras}]"'
        sys.stderr.write(f"{hint}\n")
        return WRONG


def _run_program(
    options: Namespace,
    service: str,
    read: Callable[[Namespace, Mapping[str, str]], Settings],
    serve: Callable[[Settings], int],
) -> int:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # by default it ends a process
    log.configure("info", service)
    try:
        settings = read(options, os.environ)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG
    if options.check:
        sys.stdout.write(f"ok: {options.config or 'no file (--config names one)'}\n")
        return 0
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection costs a descriptor
    common = settings.common
    log.configure(common.log_level, service, environment=common.environment)
    if not settings.of(AuthConfig).enabled:
        warn_of_everyone()
    return serve(settings)


def warn_of_everyone() -> None:
    """Say that everyone is accepted."""
    _log.warning("there is no authentication: everyone is accepted", principal="anonymous")


def cannot_listen(listen: Address, error: Exception) -> int:
    """Say why an address cannot be had; the exit status."""
    reason = getattr(error, "strerror", None) or error
    sys.stderr.write(f"cannot listen on {listen}: {reason}\n")
    return 1


def run_command(main: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run what uses a database to the end; the exit status, and why it could not be done."""
    from uaitools.postgres.errors import SetupError  # noqa: PLC0415 - asyncpg is of an extra

    try:
        run_main(main)
    except (SetupError, ConfigError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except ServiceError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


def migrate_command(settings: Settings, service: str, package: str) -> int:
    """Bring the tables of a component up to date, and say what was done; the exit status.

    package: of its migrations.
    """
    from uaitools.postgres.database import open_database  # noqa: PLC0415 - asyncpg is of an extra

    common = settings.common

    async def migrate() -> None:
        database = await open_database(common.database_url, common.data_directory, service)
        try:
            applied = await database.migrate(package)
        finally:
            await database.close()
        for one in applied:
            sys.stdout.write(f"applied {one.name}\n")
        if not applied:
            sys.stdout.write("the tables are up to date\n")

    return run_command(migrate)


def end_in_order() -> None:
    """In what `run_command` runs: let SIGTERM end it as Ctrl-C does."""
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt == signal.SIG_IGN:  # begun in the background of a script
        interrupt = signal.default_int_handler
    signal.signal(signal.SIGTERM, interrupt)
