"""What an operator or a deploy script asks a running registry: wait, drain, list, explain."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
import orjson

from uaitools.bounded import read_bounded
from uaitools.config import ConfigError, load
from uaitools.registry.config import RegistryConfig
from uaitools.registry.evidence import HEALTHY

SAFE, UNSAFE, FAILED = 0, 1, 2  # exit statuses
_POLL: Final = 10.0  # seconds that one question may wait
_PATIENCE: Final = 5.0  # seconds beyond that
_SENT: Final = "[registry.client] token or UAITOOLS_REGISTRY__CLIENT__TOKEN is what is sent"
_SIZE: Final = 64 * 1024 * 1024  # bytes of an answer
_LOOK: Final = 0.5  # seconds between two looks at an instance


class CommandError(Exception):
    """What was asked cannot be done; the message says why. status: of the answer, if one came."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def add_commands(parser: ArgumentParser) -> None:
    """Add the subcommands; `options.command` is None where there is none."""
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="asking a running registry", metavar="COMMAND")
    drain = commands.add_parser(
        "drain",
        help="have nothing new sent to an instance, and say when it may stop",
        description="Exit status: 0 it may stop, 1 it is not safe yet (what it waits for is on "
        "standard error), 2 it could not be asked for.",
    )
    drain.set_defaults(command=_drain)
    drain.add_argument("id", metavar="ID")
    drain.add_argument("--wait", action="store_true", help="until it is safe, or the deadline")
    drain.add_argument(
        "--deadline", type=float, default=90.0, metavar="SECONDS", help="90 by default"
    )
    wait = commands.add_parser(
        "wait",
        help="until an instance is passing or degraded",
        description="Exit status: 0 it is passing or degraded, 1 it was not by the deadline (why "
        "is on standard error), 2 nobody could be asked.",
    )
    wait.set_defaults(command=_wait)
    wait.add_argument("id", metavar="ID")
    wait.add_argument(
        "--deadline", type=float, default=60.0, metavar="SECONDS", help="60 by default"
    )
    undrain = commands.add_parser("undrain", help="have things sent to it again")
    undrain.set_defaults(command=_undrain)
    undrain.add_argument("id", metavar="ID")
    show = commands.add_parser("list", help="services, or the instances of one")
    show.set_defaults(command=_list)
    show.add_argument("service", metavar="SERVICE", nargs="?")
    explain = commands.add_parser("explain", help="why instances are in their state")
    explain.set_defaults(command=_explain)
    explain.add_argument("name", metavar="SERVICE|ID")
    for one in (wait, drain, undrain, show, explain):
        one.add_argument("--url", help="of the registry, unless [registry.client] says it")


def run_command(options: Namespace, environ: Mapping[str, str]) -> int:
    """Do what the subcommand says; returns the exit status.

    Which registry, and the token for it: what [registry.client] says, in the file or in `environ`;
    without it the registry that the file describes.
    """
    try:
        config = load({"registry": RegistryConfig}, file=options.config, environ=environ).of(
            RegistryConfig
        )
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    client = config.client
    urls = client.url if client is not None else (f"http://{config.listen}",)
    token = client.credential if client is not None else None

    async def ask() -> int:
        async with Caller((options.url,) if options.url else urls, token) as caller:
            status: int = await options.command(caller, options)
            return status

    try:
        return asyncio.run(ask())
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    except (KeyError, TypeError) as error:
        sys.stderr.write(f"what answers is no registry: {error!r}\n")
        return FAILED
    except KeyboardInterrupt:
        return 130


class Caller:
    """Asks the first of the registries at `urls` that answers. token: where they want one."""

    def __init__(self, urls: Sequence[str], token: str | None) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._session = aiohttp.ClientSession(headers=headers)

    def __repr__(self) -> str:
        return f"<Caller {' '.join(self._urls)}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._session.close()

    async def ask(
        self, method: str, path: str, body: object = None, *, wait: float = 0.0
    ) -> dict[str, Any]:
        """One question. Raises CommandError."""
        timeout = aiohttp.ClientTimeout(total=wait + _PATIENCE)
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json"}
        complaint = ""
        for url in self._urls:
            try:
                async with self._session.request(
                    method, f"{url}{path}", data=data, headers=headers, timeout=timeout
                ) as response:
                    document: object = orjson.loads(await read_bounded(response, _SIZE) or b"{}")
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                reason = str(error) or "no answer in time"
                complaint = f"the registry at {url} cannot be asked: {reason}"
                continue
            if not isinstance(document, dict):
                raise CommandError(f"what answers at {url} is no registry")
            if response.status >= 400:
                message = document.get("message", f"status {response.status}")
                if response.status in (401, 403):
                    message += f" ({_SENT})"
                raise CommandError(message, response.status)
            return document
        raise CommandError(complaint)


async def _wait(caller: Caller, options: Namespace) -> int:
    until = monotonic() + options.deadline
    path = f"/v1/explain/{quote(options.id, safe='')}"
    said = "it is not registered"
    while True:
        try:
            found = (await caller.ask("GET", path))["instances"]
        except CommandError as error:
            if error.status != 404:
                raise
            found = []
        for one in found:
            if one["id"] == options.id:
                if one["health"] in HEALTHY:
                    sys.stdout.write(f"{options.id} is {one['health']}\n")
                    return SAFE
                said = f"it is {one['health']}: {one['cause']}"
        if monotonic() >= until:
            sys.stderr.write(f"{options.id} is not healthy: {said}\n")
            return UNSAFE
        await asyncio.sleep(min(_LOOK, max(0.0, until - monotonic())))


async def _drain(caller: Caller, options: Namespace) -> int:
    path = f"/v1/services/{quote(options.id, safe='')}/drain"
    epoch, missing = (await caller.ask("GET", "/v1/services"))["epoch"], 0
    progress = await caller.ask("POST", path, {"deadline": options.deadline})
    until = monotonic() + options.deadline
    while options.wait and not _over(progress) and monotonic() < until + _PATIENCE:
        wait = min(_POLL, max(0.5, until - monotonic()))
        try:
            progress = await caller.ask("GET", f"{path}?wait={wait:.3f}s", wait=wait)
        except CommandError as error:
            # One that lags behind the others does not know everybody yet, but soon does.
            missing = missing + 1 if error.status == 404 else 0
            if missing > 1 and (await caller.ask("GET", "/v1/services"))["epoch"] == epoch:
                return await _gone(caller, options)
            # A registry that is away for a moment has not forgotten what it was told, and one that
            # has forgotten hears of the instance again.
            if error.status not in (None, 404, 503) or monotonic() >= until:
                raise
            await asyncio.sleep(1.0)
    if progress["safe"]:
        sys.stdout.write(f"{options.id} may stop\n")
        return SAFE
    sys.stderr.write(f"{options.id} is not safe to stop: {_missing(progress)}\n")
    return UNSAFE


async def _gone(caller: Caller, options: Namespace) -> int:
    """What became of an instance that is no longer there: only who left by itself has finished."""
    try:
        found = await caller.ask("GET", f"/v1/explain/{quote(options.id, safe='')}")
        causes = [one["cause"] for one in found["gone"] if one["id"] == options.id]
    except CommandError as error:
        if error.status != 404:
            raise
        causes = []
    if causes[-1:] == ["deregistered"]:
        sys.stdout.write(f"{options.id} has left by itself\n")
        return SAFE
    why = f"it is gone: {causes[-1]}" if causes else "nobody knows what became of it"
    sys.stderr.write(f"{options.id} is not safe to stop: {why}\n")
    return UNSAFE


def _over(progress: Mapping[str, Any]) -> bool:
    """Whether waiting would change nothing; without a deadline it does not drain any more."""
    return progress["safe"] or progress["overdue"] or progress["deadline"] is None


def _missing(progress: Mapping[str, Any]) -> str:
    if progress["deadline"] is None:
        return "it does not drain any more"
    waits = [f"waiting for {name}" for name in progress["behind"]]
    if progress["in_flight"] is None:
        waits.append("it has not said what is under way")
    elif progress["in_flight"]:
        waits.append(f"{progress['in_flight']} requests are under way")
    return "; ".join(waits)


async def _undrain(caller: Caller, options: Namespace) -> int:
    await caller.ask("DELETE", f"/v1/services/{quote(options.id, safe='')}/drain")
    sys.stdout.write(f"{options.id} gets new work again\n")
    return 0


async def _list(caller: Caller, options: Namespace) -> int:
    if options.service is None:
        for one in (await caller.ask("GET", "/v1/services"))["services"]:
            states = ", ".join(f"{count} {state}" for state, count in one["health"].items())
            sys.stdout.write(f"{one['name']:<32} {states or 'no instance'}\n")
        return 0
    found = await caller.ask("GET", f"/v1/services/{quote(options.service, safe='')}")
    for one in found["instances"]:
        where = f"{one['scheme']}://{one['address']}:{one['port']}"
        sys.stdout.write(f"{one['id']:<38} {one['health']:<12} {where:<32} {one['cause']}\n")
    if not found["instances"]:
        sys.stderr.write(f"no instance: {found['cause']}\n")
    if not found["authoritative"]:
        sys.stderr.write("this registry may not know all of them yet\n")
    return 0


async def _explain(caller: Caller, options: Namespace) -> int:
    found = await caller.ask("GET", f"/v1/explain/{quote(options.name, safe='')}")
    for one in found["instances"]:
        sys.stdout.write(f"{one['id']} is {one['health']}: {one['cause']}\n")
        _show(one["timeline"])
        for following in one["next"]:
            sys.stdout.write(f"  {following['at']}  next: {following['what']}\n")
    for one in found["gone"]:
        sys.stdout.write(f"{one['id']} is gone since {one['at']}: {one['cause']}\n")
        _show(one["timeline"])
    if not found["instances"] and not found["gone"]:
        sys.stderr.write(f"nothing is known of {options.name} any more\n")
    return 0


def _show(timeline: Sequence[Mapping[str, Any]]) -> None:
    for moment in timeline:
        sys.stdout.write(f"  {moment['at']}  {moment['health']:<12} {moment['cause']}\n")
