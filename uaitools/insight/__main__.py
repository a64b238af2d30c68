"""The program: `python -m uaitools.insight`."""

from __future__ import annotations

import sys
from argparse import (
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from uaitools.auth.config import AuthConfig
from uaitools.command import (
    WRONG,
    add_common_flags,
    cannot_listen,
    common_flags,
    end_in_order,
    migrate_command,
    run_command,
    run_program,
    unguarded,
)
from uaitools.config import ConfigError, Settings, load
from uaitools.insight.config import InsightConfig
from uaitools.insight.errors import SERVICE
from uaitools.insight.importing.errors import Refused
from uaitools.lifecycle import run, settle
from uaitools.limits.config import LimitsConfig

if TYPE_CHECKING:
    from uaitools.postgres.pool import Pool


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, or do what a command says; returns the exit status."""
    options = _parser().parse_args(arguments)
    commands: Mapping[str, Callable[[Settings], int]] = {
        "": _serve,
        "migrate": _migrate,
        "import csv": partial(_import_csv, options),
        "import git": partial(_import_git, options),
    }
    named = " ".join(filter(None, (options.command, getattr(options, "kind", None))))
    try:
        return run_program(
            options, SERVICE, _settings, commands[named], extras="insight,embedded-pg"
        )
    except Refused as error:
        sys.stderr.write(f"{error}\nnothing was imported\n")
        return WRONG


def _settings(options: Namespace, environ: Mapping[str, str]) -> Settings:
    """The configuration with what the command line adds. Raises ConfigError."""
    settings = load(
        {SERVICE: InsightConfig, "auth": AuthConfig, "limits": LimitsConfig},
        file=options.config,
        environ=environ,
        flags=common_flags(options, SERVICE),
    )
    listen = settings.of(InsightConfig).listen
    if problems := unguarded(options, SERVICE, listen, settings.of(AuthConfig)):
        raise ConfigError(problems)
    return settings


def _serve(settings: Settings) -> int:
    from uaitools.insight.server import InsightServer  # noqa: PLC0415 - as below
    from uaitools.insight.service import InsightService  # noqa: PLC0415

    common, config = settings.common, settings.of(InsightConfig)

    async def serve() -> None:
        service = InsightService(
            config, common.data_directory, common.database_url, redis_url=common.redis_url
        )
        auth, limits = settings.of(AuthConfig), settings.of(LimitsConfig)
        await run([InsightServer(config, service, auth=auth, limits=limits)], ready=settle)

    try:
        return run_command(serve)
    except (OSError, UnicodeError) as error:
        return cannot_listen(config.listen, error)


def _migrate(settings: Settings) -> int:
    from uaitools.insight.store.opening import MIGRATIONS  # noqa: PLC0415 - asyncpg is of an extra

    return migrate_command(settings, SERVICE, MIGRATIONS)


def _import_csv(options: Namespace, settings: Settings) -> int:
    from uaitools.insight.importing.files import ranking_files  # noqa: PLC0415 - as above
    from uaitools.insight.importing.rankings import import_rankings  # noqa: PLC0415

    files = ranking_files(options.files)

    async def import_files(pool: Pool) -> str:
        done = await import_rankings(pool, files, options.source, _tell)
        if done.generation is None:
            return ""
        return (
            f"generation {done.generation}: {done.files} files, {done.rows:,} rows,"
            f" {done.refused:,} lines left out"
        )

    return _import(settings, import_files)


def _import_git(options: Namespace, settings: Settings) -> int:
    from uaitools.insight.importing.clones import Clone, import_clones  # noqa: PLC0415 - as above

    clones = [Clone(path, options.name) for path in options.paths]
    config = settings.of(InsightConfig).analysis

    async def import_paths(pool: Pool) -> str:
        done = await import_clones(pool, clones, options.as_of, config, _tell)
        if done.generation is None:
            return ""
        return f"generation {done.generation}: {done.changed} of {done.clones} clones told more"

    return _import(settings, import_paths)


def _import(settings: Settings, work: Callable[[Pool], Awaitable[str]]) -> int:
    """Do the work in a database with its tables; it says what is new, if anything is."""
    import asyncpg  # noqa: PLC0415 - as above

    from uaitools.insight.store.opening import open_store  # noqa: PLC0415
    from uaitools.postgres.errors import SetupError  # noqa: PLC0415

    common, config = settings.common, settings.of(InsightConfig)

    async def run() -> None:
        end_in_order()
        async with open_store(
            common.database_url, common.data_directory, config.pool.settings
        ) as store:
            try:
                said = await work(store.pool)
            except asyncpg.PostgresError as error:
                raise SetupError(f"nothing was imported, the database says: {error}") from error
            sys.stdout.write(f"{said or 'nothing is new'}\n")
            if said:
                await store.tidy()

    return run_command(run)


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError("is a day like 2024-02-11") from error


def _word(text: str) -> str:
    if not text.isprintable() or not 1 <= len(text) <= 100:
        raise ArgumentTypeError("is 1 to 100 characters")
    return text


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m uaitools.insight",
        description="Serve what ranking files and clones tell of repositories, over HTTP.",
        epilog="Flags override the environment (UAITOOLS_INSIGHT__POOL__SIZE=9), and it the file.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    add_common_flags(
        parser,
        table=SERVICE,
        listen="127.0.0.1:8084",
        stores="where the embedded PostgreSQL is, unless DATABASE_URL names one",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("migrate", help="bring the tables of the database up to date, and exit")
    imports = commands.add_parser("import", help="take data, all of it or nothing, and exit")
    kinds = imports.add_subparsers(dest="kind", metavar="KIND", required=True)
    files = kinds.add_parser("csv", help="daily ranking files, with their day in their names")
    files.add_argument("files", type=Path, nargs="+", metavar="FILE")
    files.add_argument(
        "--source", type=_word, default="github-ranking", metavar="NAME", help="whose; %(default)s"
    )
    clones = kinds.add_parser("git", help="local clones, analysed with git")
    clones.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    clones.add_argument(
        "--name", type=_word, metavar="OWNER/NAME", help="of the one PATH; else what its origin is"
    )
    clones.add_argument(
        "--as-of",
        type=_day,
        default=datetime.now(UTC).date(),
        metavar="DAY",
        help="analyse as of the end of this day, UTC; today",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
