"""The registry's REST API, as one that is registered there needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final, TypeVar
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from uaitools.bounded import read_bounded
from uaitools.registry.client.errors import Away, Refused
from uaitools.registry.client.fields import Fields, Garbled
from uaitools.registry.client.member import INDEX
from uaitools.registry.client.registries import NoToken, Registries
from uaitools.registry.client.timing import Timing
from uaitools.registry.model import Instance, Load

_SIZE: Final = 1024 * 1024  # bytes of an answer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Registered:
    """The registry knows an instance. ttl: seconds between heartbeats at most, 0: none needed."""

    generation: int
    epoch: str
    ttl: float


@dataclass(frozen=True, slots=True)
class Heard:
    """The registry has heard a heartbeat. health: how it thinks that the instance is.

    current: whether others that share what it knows hear of it as well. draining: somebody wants
    the instance to stop.
    """

    health: str
    epoch: str
    current: bool = True
    draining: bool = False


@dataclass(frozen=True, slots=True)
class DrainProgress:
    """How far a drain is. behind: watchers that may still send; overdue: its time is over.

    in_flight: None as long as the instance has not said it since. begun: False when somebody has
    ended the drain.
    """

    safe: bool
    overdue: bool
    behind: tuple[str, ...]
    in_flight: int | None
    begun: bool


class RegistryApi:
    """Calls the registries in turn, each at most once a call.

    Every method raises Refused for what a registry will not do, and Away when none can be asked.
    """

    __slots__ = ("_registries", "_session", "_timing")

    def __init__(
        self, session: aiohttp.ClientSession, registries: Registries, timing: Timing
    ) -> None:
        self._session = session
        self._registries = registries
        self._timing = timing

    def __repr__(self) -> str:
        return f"<RegistryApi {self._registries!r}>"

    async def register(self, instance: Instance) -> Registered:
        """Register an instance, or say again that it is so."""
        return await self._call(_registered, "POST", "", _document(instance))

    async def heartbeat(self, name: str, generation: int, load: Load | None) -> Heard:
        """Say that the instance with that id lives."""
        body: dict[str, object] = {"generation": generation}
        if load is not None:
            body["load"] = asdict(load)
        heard = await self._call(_heard, "PUT", f"/{_quoted(name)}/heartbeat", body)
        if not heard.current:
            self._registries.turn()  # one that is cut off from the others keeps nobody alive there
        return heard

    async def drain(self, name: str, generation: int, seconds: float) -> DrainProgress:
        """Have nothing new sent to it, and wait up to `seconds` for what is under way."""
        path = f"/{_quoted(name)}/drain?generation={generation}"
        return await self._call(_progress, "POST", path, {"deadline": seconds})

    async def progress(self, name: str) -> DrainProgress:
        """How far that is."""
        return await self._call(_progress, "GET", f"/{_quoted(name)}/drain")

    async def weigh(self, name: str, generation: int, weight: int) -> None:
        """Give it another weight than it has registered with."""
        path = f"/{_quoted(name)}?generation={generation}"
        await self._call(_nothing, "PATCH", path, {"weight": weight})

    async def deregister(self, name: str, generation: int) -> None:
        """Take it out."""
        await self._call(_nothing, "DELETE", f"/{_quoted(name)}?generation={generation}")

    async def _call(
        self, read: Callable[[Fields], T], method: str, path: str, body: object = None
    ) -> T:
        """What `read` makes of the first answer that is one."""
        reason = ""
        for _ in self._registries.urls:
            try:
                async with asyncio.timeout(self._timing.call):
                    return read(await self._ask(method, path, body))
            except TimeoutError:
                reason = "it does not answer in time"
            except (aiohttp.ClientError, OSError, ValueError, Garbled, NoToken) as error:
                reason = str(error) or type(error).__name__
            self._registries.turn()
        raise Away(reason)

    async def _ask(self, method: str, path: str, body: object) -> Fields:
        """One call to the registry whose turn it is. Raises Garbled, ValueError for no answer."""
        async with self._session.request(
            method,
            URL(f"{self._registries.url}/v1/services{path}", encoded=True),
            data=None if body is None else orjson.dumps(body),
            headers={"Content-Type": "application/json", **self._registries.headers()},
            allow_redirects=False,
        ) as response:
            data = await read_bounded(response, _SIZE)
            status = response.status
        if status == 204:
            return Fields({})
        if 400 <= status < 500 and status not in (408, 429):
            raise Refused(status, _message(data))
        if not 200 <= status < 300:
            raise Garbled(f"status {status}: {_message(data)}")
        return Fields(orjson.loads(data))


def _registered(fields: Fields) -> Registered:
    ttl = fields.number("ttl", 0.0)
    return Registered(fields.integer("generation", INDEX), fields.text("epoch"), ttl)


def _heard(fields: Fields) -> Heard:
    current = fields.flag("current", default=True)
    draining = fields.flag("draining", default=False)
    return Heard(fields.text("health"), fields.text("epoch"), current, draining)


def _progress(fields: Fields) -> DrainProgress:
    return DrainProgress(
        fields.flag("safe", default=False),
        fields.flag("overdue", default=False),
        tuple(fields.texts("behind")),
        fields.integer("in_flight", INDEX) if fields.known("in_flight") else None,
        fields.known("deadline"),
    )


def _nothing(_: Fields) -> None:
    return None


def _message(data: bytes) -> str:
    """What an error document says, with the fields that are wrong."""
    try:
        error = Fields(orjson.loads(data))
        details = error.objects("details") if error.known("details") else []
        wrong = [f"{one.text('field', '')} {one.text('message', '')}" for one in details]
        return ": ".join(filter(None, (error.text("message", ""), "; ".join(wrong))))
    except (orjson.JSONDecodeError, Garbled):
        return "no reason is given"


def _document(instance: Instance) -> dict[str, object]:
    """The JSON of a registration; the registry sets its generation."""
    document: dict[str, object] = asdict(instance)
    del document["generation"]
    return {**document, "tags": sorted(instance.tags)}


def _quoted(name: str) -> str:
    """An id as one segment of a path."""
    return quote(name, safe="")
