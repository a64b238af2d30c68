"""`python -m uaitools keys`: make, list and revoke API keys.

A new key goes to standard output, alone, so that a script can take it; everything else is said on
standard error. Exit status: 0 done, 1 not possible, 2 not understood.
"""

from __future__ import annotations

import math
import os
import re
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import ConfigDict

from uaitools.auth.keyfile import KeyFileError, change, read
from uaitools.auth.keys import MOST, KeyRecord, id_of, new_key
from uaitools.config import ConfigError, Model, load

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([mhdw])", re.ASCII)
_COLUMNS: Final = ("ID", "NAME", "STATE", "SCOPES", "ROLES", "CREATED", "EXPIRES")


class _Impossible(Exception):
    """What was asked for cannot be done."""


class _FileSetting(Model):
    """Of `[auth]` what is needed here: a first key is made before its file exists."""

    model_config = ConfigDict(extra="ignore")

    keys_file: Path | None = None


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Do what the command line says; returns the exit status. arguments: after `keys`."""
    options = _parser().parse_args(arguments)
    run: Callable[[Namespace, Path], None] = options.run
    try:
        run(options, _keys_file(options, environ))
    except ConfigError as error:
        _say(error)
        return 2
    except (KeyFileError, _Impossible) as error:
        _say(error)
        return 1
    return 0


def _new(options: Namespace, path: Path) -> None:
    try:
        text, record = new_key(
            options.name,
            scopes=options.scope,
            roles=options.role,
            created=_now(),
            expires=options.expires,
        )
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    change(path, lambda records: (_added(records, record), None))
    # The key first: should standard error fail, it is not lost.
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    until = f"until {_shown(record.expires)}" if record.expires is not None else "without end"
    _say(f"key {record.id} ({record.name}) is in {path}, valid {until}.")
    _say("It is shown this once and stored nowhere. Send it as X-API-Key or Authorization: Bearer.")


def _list(_options: Namespace, path: Path) -> None:
    now = time.time()
    rows = [_COLUMNS, *(_row(record, now) for record in read(path))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _revoke(options: Namespace, path: Path) -> None:
    own_id = id_of(options.id)  # who pastes the whole key means it, and must not read it again

    def revoke(records: tuple[KeyRecord, ...]) -> tuple[Iterable[KeyRecord], KeyRecord]:
        for index, record in enumerate(records):
            if record.id == own_id:
                revoked = record.revoked or _now()
                after = record.model_copy(update={"revoked": revoked})
                return (*records[:index], after, *records[index + 1 :]), after
        raise _Impossible(f"{path}: no key has this id; `keys list` shows them")

    if not path.exists():
        raise KeyFileError(f"{path}: no such file")
    record = change(path, revoke)
    _say(f"key {record.id} ({record.name}) is revoked since {_shown(record.revoked)}.")


def _added(records: tuple[KeyRecord, ...], record: KeyRecord) -> tuple[KeyRecord, ...]:
    if len(records) >= MOST:
        raise _Impossible(f"the file has {MOST} keys already; use another one")
    return (*records, record)


def _row(record: KeyRecord, now: float) -> tuple[str, ...]:
    expires = record.expires.timestamp() if record.expires is not None else math.inf
    state = "revoked" if record.revoked else "valid" if now < expires else "expired"
    scopes, roles = " ".join(record.scopes) or "-", " ".join(record.roles) or "-"
    times = _shown(record.created), _shown(record.expires)
    return record.id, record.name, state, scopes, roles, *times


def _shown(when: datetime | None) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%MZ}" if when is not None else "never"


def _keys_file(options: Namespace, environ: Mapping[str, str]) -> Path:
    if options.keys_file is not None:
        return Path(options.keys_file)
    setting = load({"auth": _FileSetting}, file=options.config, environ=environ).of(_FileSetting)
    if setting.keys_file is None:
        where = f"{options.config} has no auth.keys_file" if options.config else "no key file given"
        raise ConfigError([f"{where}; name it with --keys-file FILE, or --config uaitools.toml"])
    return setting.keys_file


def _when(text: str) -> datetime:
    """A time ahead: `90d`, `12h`, `2027-01-01`, or RFC 3339. Raises ArgumentTypeError."""
    span = _SPAN.fullmatch(text)
    try:
        if span is not None:
            return _now() + timedelta(**{_UNITS[span[2]]: int(span[1])})
        when = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f"must be like 90d, 12h or 2027-01-01, got {text!r}") from None
    when = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    if when <= _now():
        raise ArgumentTypeError(f"must be in the future, got {text!r}")
    return when


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _say(what: object) -> None:
    sys.stderr.write(f"{what}\n")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m uaitools keys",
        description="API keys: make, list and revoke them. Running servers notice within seconds.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    new = commands.add_parser("new", help="make a key and print it, this once")
    new.add_argument("--name", required=True, help="whose it is, for people")
    new.add_argument("--scope", action="append", default=[], metavar="SCOPE", help="repeatable")
    new.add_argument("--role", action="append", default=[], metavar="ROLE", help="repeatable")
    new.add_argument("--expires", type=_when, metavar="WHEN", help="90d, 12h, 2027-01-01; or never")
    new.set_defaults(run=_new)
    listing = commands.add_parser("list", help="show all keys, without their secrets")
    listing.set_defaults(run=_list)
    revoke = commands.add_parser("revoke", help="refuse a key from now on")
    revoke.add_argument("id", metavar="ID", help="as `keys list` shows it")
    revoke.set_defaults(run=_revoke)
    for command in (new, listing, revoke):
        place = command.add_mutually_exclusive_group()
        place.add_argument("--keys-file", metavar="FILE", help="the file of keys")
        place.add_argument("--config", type=Path, metavar="FILE", help="uaitools.toml with [auth]")
    return parser
