"""The program: `python -m uaitools.memory`."""

from __future__ import annotations

import sys
from argparse import (
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

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
from uaitools.fields import user_id
from uaitools.lifecycle import run, settle
from uaitools.memory.config import MemoryConfig
from uaitools.memory.errors import SERVICE, McpMissing

if TYPE_CHECKING:
    from uaitools.memory.service import MemoryService


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, or do what a command says; returns the exit status."""
    options = _parser().parse_args(arguments)
    commands: Mapping[str | None, Callable[[Settings], int]] = {
        None: _serve,
        "migrate": _migrate,
        "mcp": partial(_assist, options),
        "eval": partial(_evaluate, options),
    }
    act = commands[options.command]
    return run_program(options, SERVICE, _settings, act, extras="memory,embedded-pg,embed")


def _settings(options: Namespace, environ: Mapping[str, str]) -> Settings:
    """The configuration with what the command line adds. Raises ConfigError."""
    settings = load(
        {SERVICE: MemoryConfig, "auth": AuthConfig},
        file=options.config,
        environ=environ,
        flags=common_flags(options, SERVICE),
    )
    listen = settings.of(MemoryConfig).listen
    if problems := unguarded(options, SERVICE, listen, settings.of(AuthConfig)):
        raise ConfigError(problems)
    return settings


def _service(settings: Settings, *, guest: bool = False) -> MemoryService:
    from uaitools.memory.service import MemoryService  # noqa: PLC0415 - 0.2 s that --check saves

    common = settings.common
    return MemoryService(
        settings.of(MemoryConfig),
        common.data_directory,
        common.database_url,
        redis_url=common.redis_url,
        guest=guest,
    )


def _serve(settings: Settings) -> int:
    from uaitools.memory.malloc import return_large_blocks  # noqa: PLC0415 - as above
    from uaitools.memory.server import MemoryServer  # noqa: PLC0415

    config = settings.of(MemoryConfig)
    return_large_blocks()

    async def serve() -> None:
        server = MemoryServer(config, _service(settings), auth=settings.of(AuthConfig))
        await run([server], ready=settle)

    try:
        return run_command(serve)
    except (OSError, UnicodeError) as error:
        return cannot_listen(config.listen, error)


def _migrate(settings: Settings) -> int:
    from uaitools.memory.service import MIGRATIONS  # noqa: PLC0415

    return migrate_command(settings, SERVICE, MIGRATIONS)


def _assist(options: Namespace, settings: Settings) -> int:
    async def assist() -> None:
        service = _service(settings, guest=True)
        try:
            from uaitools.memory.mcp.stdio import StdioServer, claimed  # noqa: PLC0415
        except ImportError as error:
            raise McpMissing from error
        pipes = claimed()  # before anything is written
        server = StdioServer(service, options.user, pipes)
        await run([server], ended=server.ended)

    return run_command(assist)


def _user(text: str) -> str:
    try:
        return user_id(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def _evaluate(options: Namespace, settings: Settings) -> int:
    from uaitools.memory.evaluation.program import Wishes, read, report  # noqa: PLC0415

    try:
        labelled = read(options.file)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{options.file}: {getattr(error, 'strerror', None) or error}\n")
        return WRONG
    wishes = Wishes(options.k, options.misses, json=options.json)

    async def evaluate() -> None:
        end_in_order()
        sys.stdout.write(await report(settings.of(MemoryConfig), labelled, wishes))

    return run_command(evaluate)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m uaitools.memory",
        description="Memories of users, kept in PostgreSQL and found by meaning and by word.",
        epilog="Flags override the environment (UAITOOLS_MEMORY__LISTEN=...), and it the file.\n"
        "SIGTERM finishes what runs, at most 30 s.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    add_common_flags(
        parser,
        table=SERVICE,
        listen="127.0.0.1:8017",
        stores="where the embedded PostgreSQL is, unless DATABASE_URL names one",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("migrate", help="bring the tables of the database up to date, and exit")
    mcp = commands.add_parser(
        "mcp", help="serve the assistant that starts this program, over standard input and output"
    )
    mcp.add_argument("--user", type=_user, default="me", metavar="ID", help="whose memories; me")
    _add_evaluation(commands.add_parser("eval", help=_EVAL, description=f"{_EVAL}. {_OWN}"))
    return parser


def _add_evaluation(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="NDJSON, see docs/memory.md; else a sample",
    )
    add("-k", type=_few, default=10, metavar="N", help="memories asked for a question: 10")
    add("--json", action="store_true", help="for machines")
    add(
        "--misses",
        type=_few,
        nargs="?",
        const=10,
        default=0,
        metavar="N",
        help="list the questions that were answered worst: 10",
    )


def _few(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise ArgumentTypeError("is 1 to 100")
    return int(text)


_EVAL: Final = "score retrieval on labelled questions, and compare its modes"
_OWN: Final = (
    "It uses the embedder and the index that are configured, and a database of its own that is"
    " gone afterwards."
)


if __name__ == "__main__":
    sys.exit(main())
