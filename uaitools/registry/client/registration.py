"""Keeps one instance registered for as long as it runs, and takes it out without losing a request.

On its way out it drains first: the registry tells all watchers to send nothing new, waits until
each has said that this is in force and until nothing is under way, and only then does it go.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

import aiohttp

from uaitools import log
from uaitools.registry.client.api import DrainProgress, RegistryApi
from uaitools.registry.client.errors import Away, Refused
from uaitools.registry.client.lease import Lease, Step
from uaitools.registry.client.registries import Registries, Token
from uaitools.registry.client.timing import USUAL, Timing
from uaitools.registry.model import TTL, Check, Instance, Load, Scheme
from uaitools.tasks import spawn

_TAKEN: Final = 409  # somebody else has registered the id since
_UNKNOWN: Final = 404
_CALL: Final = 0.5  # seconds that a call may take at least

_log = log.get_logger(__name__)


def register(
    *,
    name: str,
    address: str,
    port: int,
    urls: Sequence[str],
    id: str = "",  # noqa: A002 - the word of the API
    scheme: Scheme = "http",
    version: str = "",
    zone: str = "",
    weight: int = 1,
    ttl: float = TTL,
    tags: Iterable[str] = (),
    meta: Mapping[str, str] | None = None,
    checks: Iterable[Check] = (),
    load: Callable[[], Load] | None = None,
    token: Token = None,
    drain: float = 30.0,
    session: aiohttp.ClientSession | None = None,
    timing: Timing = USUAL,
) -> Registration:
    """Keep an instance of the service `name` registered while a block runs.

        async with register(name="llm-router", address="10.0.0.1", port=9001, urls=[...]):
            await serve()

    id: of its own unless given; who comes back with the same one takes its place. ttl: seconds
    after which silence counts against it, 0: its checks alone judge. load: called for each
    heartbeat, of which there are none without a ttl. drain: seconds that leaving the block waits,
    at most, for watchers and for what is under way. The others are the registry's words for an
    instance; see `Watcher` for urls, token and session. A registry that is away keeps nothing from
    starting. Raises ValueError.
    """
    if load is not None and not ttl:
        raise ValueError("a load is told by heartbeats: give a ttl")
    instance = Instance(
        id=id or str(uuid.uuid4()),
        name=name,
        address=address,
        port=port,
        generation=0,
        scheme=scheme,
        version=version,
        zone=zone,
        weight=weight,
        ttl=ttl,
        tags=frozenset(tags),
        meta=dict(meta or {}),
        checks=tuple(checks),
    )
    registries = Registries(urls, token)
    return Registration(
        instance, registries, load=load, drain=drain, session=session, timing=timing
    )


class Registration:
    """An instance that is kept registered between `start` and `stop`; see `register`.

    lost: somebody else has registered its id, and it says nothing any more. health: how the
    registry thought it was when it last said so, '' before.
    """

    def __init__(
        self,
        instance: Instance,
        registries: Registries,
        *,
        load: Callable[[], Load] | None = None,
        drain: float = 30.0,
        session: aiohttp.ClientSession | None = None,
        timing: Timing = USUAL,
    ) -> None:
        self.instance = instance
        self.health = ""
        self.lost = False
        self._registries = registries
        self._load = load
        self._drain = drain
        self._given = session
        # A registry that does not answer leaves time to ask another one within the ttl.
        call = min(timing.call, max(_CALL, instance.ttl / 3)) if instance.ttl else timing.call
        self._timing = replace(timing, call=call)
        self._session: aiohttp.ClientSession | None = None
        self._lease: Lease | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._known = asyncio.Event()
        self._refusal: Refused | None = None  # of the last attempt
        self._complaint = ""

    def __repr__(self) -> str:
        here = "unregistered" if self.generation is None else self.health or "registered"
        state = "lost" if self.lost else here
        return f"<Registration {self.instance.name}/{self.id} {state}>"

    @property
    def id(self) -> str:
        """By which the registry knows it."""
        return self.instance.id

    @property
    def generation(self) -> int | None:
        """Which registration of this id is ours; None before the first has succeeded."""
        return None if self._lease is None else self._lease.generation

    async def registered(self) -> None:
        """Wait until a registry knows it; for as long as none can be reached.

        Raises Refused when the registry will not have it as it is, or not with this credential,
        which is tried again all the same, or when somebody else has taken its id.
        """
        await self._known.wait()
        if self.lost:
            raise Refused(_TAKEN, f"somebody else has registered the id {self.id!r}")
        if self._refusal is not None:
            raise self._refusal

    # -- its life -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to register it."""
        self._session = self._given or aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self._lease = Lease(_now(), self._timing)
        self._api = RegistryApi(self._session, self._registries, self._timing)
        self._keeping = spawn(self._keep(self._lease), name=f"keep {self.instance.name} registered")

    async def drain(self, deadline: float) -> None:
        """Have nothing new sent to it, and return once nobody does, or at `deadline`.

        deadline: on the clock of the running loop. It stays registered and goes on working.
        """
        await self._end_keeping()
        lease = self._lease
        if lease is None or lease.generation is None or self.lost:
            return
        try:
            async with asyncio.timeout_at(deadline + self._timing.look):
                progress = await self._drained(lease, deadline)
        except TimeoutError:
            _log.warning("the registry has not said in time that this instance may go", id=self.id)
        except (Away, Refused) as error:
            _log.warning(
                "this instance goes undrained: the registry cannot be asked",
                id=self.id,
                reason=_reason(error),
            )
        else:
            if not progress.safe:
                _log.warning(
                    "this instance goes before all is done",
                    id=self.id,
                    behind=list(progress.behind),
                    in_flight=progress.in_flight,
                )

    async def weigh(self, weight: int) -> bool:
        """Have callers give it another share of what is new, 0 for nothing.

        Whether the registry was told; the weight with which it has registered is in force again
        when a registry that has forgotten it gets it back.
        """
        generation = self.generation
        if generation is None or self.lost:
            return False
        try:
            await self._api.weigh(self.id, generation, weight)
        except (Away, Refused) as error:
            self._complain("the registry does not hear of another weight", error)
            return False
        return True

    async def stop(self) -> None:
        """Take it out of the registry. Again, it does nothing."""
        await self._end_keeping()
        generation, self._lease = self.generation, None
        try:
            if generation is not None and not self.lost:
                async with asyncio.timeout(self._timing.leave):
                    await self._api.deregister(self.id, generation)
        except (Away, Refused, TimeoutError) as error:
            if isinstance(error, Refused) and error.code in (_UNKNOWN, _TAKEN):
                return  # it is out already
            _log.warning(
                "this instance could not be deregistered; it will expire",
                id=self.id,
                reason=_reason(error),
            )
        finally:
            if self._session is not None and self._given is None:
                await self._session.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            # After a failure there is nobody who would answer while it drains.
            if self._drain > 0 and (error is None or isinstance(error, asyncio.CancelledError)):
                await self.drain(_now() + self._drain)
        finally:
            await self.stop()

    # -- what it says -------------------------------------------------------------------------

    async def _keep(self, lease: Lease) -> None:
        while not self.lost:
            await asyncio.sleep(max(0.0, lease.due - _now()))
            try:
                await self._say(lease)
            except Away as error:
                lease.failed(_now())
                self._complain("the registry cannot be reached, it is tried again", error)
            except Refused as error:
                lease.refused(self._timing.refused, _now())
                self._refusal = error
                self._known.set()
                self._complain("the registry refuses this instance, it is tried again", error)
            else:
                self._complaint = ""

    async def _say(self, lease: Lease) -> None:
        """What is due. Raises Away and Refused."""
        if lease.step is Step.HEARTBEAT and lease.generation is not None:
            await self._beat(lease, lease.generation)
            return
        reply = await self._api.register(self.instance)
        if reply.generation != lease.generation:
            _log.info(
                "registered", id=self.id, name=self.instance.name, generation=reply.generation
            )
        lease.registered(reply.generation, reply.epoch, reply.ttl, self._timing.full, _now())
        self._refusal = None
        self._known.set()

    async def _beat(self, lease: Lease, generation: int) -> None:
        try:
            reply = await self._api.heartbeat(self.id, generation, self._loaded())
        except Refused as error:
            if error.code == _UNKNOWN:
                _log.warning("the registry has forgotten this instance", id=self.id)
                lease.forgotten(_now())
            elif error.code == _TAKEN:
                self._lose()
            else:
                raise
        else:
            self.health = reply.health
            lease.heard(reply.epoch, _now(), draining=reply.draining)

    def _loaded(self) -> Load | None:
        if self._load is None:
            return None
        try:
            return self._load()
        except Exception as error:
            _log.error("the load of this instance cannot be told", id=self.id, exc_info=error)
            return None

    def _lose(self) -> None:
        self.lost = True
        self._known.set()
        _log.error(
            "somebody else has registered the id of this instance; it says nothing any more",
            id=self.id,
            name=self.instance.name,
        )

    def _complain(self, event: str, error: Away | Refused) -> None:
        """Say it once, until something succeeds or the reason is another one."""
        reason = _reason(error)
        if reason != self._complaint:
            self._complaint = reason
            _log.warning(event, id=self.id, name=self.instance.name, reason=reason)

    # -- how it ends --------------------------------------------------------------------------

    async def _drained(self, lease: Lease, deadline: float) -> DrainProgress:
        """Drain until it is safe or overdue, over a restart of the registry.

        Raises Away and Refused.
        """
        draining: tuple[int | None, str] | None = None  # which registration, in which epoch
        patience = _now() + self._timing.leave
        while True:
            try:
                await self._confirm(lease)
                if draining == (lease.generation, lease.epoch):
                    progress = await self._api.progress(self.id)
                else:
                    assert lease.generation is not None  # it has just been confirmed
                    left = max(0.0, deadline - _now())
                    progress = await self._api.drain(self.id, lease.generation, left)
                draining = (lease.generation, lease.epoch) if progress.begun else None
            except (Away, Refused) as error:
                if error.code == _UNKNOWN:  # it has restarted, and forgotten
                    lease.forgotten(_now())
                    draining = None
                elif isinstance(error, Refused):
                    raise
                if _now() >= patience:
                    raise
            else:
                if progress.safe or progress.overdue:
                    return progress
                patience = _now() + self._timing.leave
            await asyncio.sleep(self._timing.look)

    async def _confirm(self, lease: Lease) -> None:
        """Say how much is in flight, and make sure that the id is still ours.

        Raises Away and Refused.
        """
        await self._say(lease)
        if lease.step is Step.REGISTER:
            await self._say(lease)
        if self.lost:
            raise Refused(_TAKEN, "somebody else has registered the id")

    async def _end_keeping(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
            self._keeping = None


def _now() -> float:
    return asyncio.get_running_loop().time()


def _reason(error: Away | Refused | TimeoutError) -> str:
    match error:
        case Away():
            return error.reason
        case Refused():
            return f"{error.code}: {error.message}"
        case _:
            return "it does not answer in time"
