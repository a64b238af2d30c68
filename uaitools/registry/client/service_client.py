"""A client for calls to one service, whichever of its instances takes them.

    async with ServiceClient("llm-router", urls=["http://127.0.0.1:8083"]) as llm:
        async with llm.post("/v1/chat", json={"messages": [...]}) as response:
            answer = await response.json()

A call's path, file by file: `outgoing` its headers, from `context`; `bodies`; `tries` where it
goes, by the `roster` of instances, over the `pool`; `attempt` one try and what is learnt from
it; `failure` what went wrong. The response is aiohttp's own. Redirects are returned rather than
followed, and cookies are not kept: both would tie a call to something else than its service.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar, Unpack

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from uaitools.log import get_logger
from uaitools.registry.address import web_scheme
from uaitools.registry.client.calls.bodies import encoded, repeatable
from uaitools.registry.client.calls.calling import Calling, Opened, Opening
from uaitools.registry.client.calls.context import CARRIED
from uaitools.registry.client.calls.fixed import fixed_view
from uaitools.registry.client.calls.options import MESSAGE, Options, SocketOptions
from uaitools.registry.client.calls.outgoing import Headers, Outgoing, Voucher
from uaitools.registry.client.calls.policy import CallPolicy
from uaitools.registry.client.calls.pool import open_session, patience
from uaitools.registry.client.calls.response import follow
from uaitools.registry.client.calls.roster import Roster
from uaitools.registry.client.calls.tries import Answer, Send, Terms, Tries
from uaitools.registry.client.registries import REGISTRY
from uaitools.registry.client.reporting import report_for_ever
from uaitools.registry.client.watcher import Watcher
from uaitools.tasks import spawn
from uaitools.traffic.breaker import State

if TYPE_CHECKING:
    from uaitools.auth.principal import Principal
    from uaitools.auth.service_token import ServiceTokens
    from uaitools.registry.client.calls.attempt import Attempt
    from uaitools.registry.client.member import Member
    from uaitools.registry.client.registries import Token
    from uaitools.registry.client.view import View
    from uaitools.registry.observation import Observation
    from uaitools.traffic.endpoint import Endpoint

# RFC 9110 9.2.2; as in the gateway, PUT and DELETE need an Idempotency-Key.
_REPLAYABLE: Final = frozenset((hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS))
_KEY: Final = "Idempotency-Key"
T = TypeVar("T")
_Handshake = aiohttp.ClientWebSocketResponse | aiohttp.WSServerHandshakeError

_log = get_logger(__name__)


class Watching(Protocol):
    """Tells of services' instances, as a Watcher does."""

    def watch(self, service: str, apply: Callable[[View], None]) -> Watched:
        """Call `apply` with each new view of `service`."""

    def observe(self, observations: Iterable[Observation]) -> None:
        """Tell the registry what calls have seen."""


class Watched(Protocol):
    """A service that is being watched."""

    def close(self) -> None:
        """Stop watching it."""


class ServiceClient:
    """Calls the service of that name.

    urls: of registries that hold the same. token: for them; cache: a file for the last known list,
    for starts without a registry. Or watcher: one that the caller starts, stops and shares. Or
    members: a fixed list of instances or of their URLs. zone: the caller's own, preferred.
    wait: seconds that a call waits for the first word of the registry. tokens: sign who a call is
    made for (X-User-Token): the `principal` of the call, else of its context, else of this
    client. tls: for https, as aiohttp's `ssl`.

    Calls raise ServiceError (502, 503, 504) when there is no answer; an answer that breaks off
    raises aiohttp's exceptions where it is read.
    """

    __slots__ = (
        "_known",
        "_own",
        "_principal",
        "_reporting",
        "_roster",
        "_session",
        "_tls",
        "_tokens",
        "_wait",
        "_watched",
        "_watcher",
        "policy",
    )

    def __init__(
        self,
        service: str,
        *,
        urls: Sequence[str] = (),
        token: Token = None,
        cache: Path | None = None,
        watcher: Watching | None = None,
        members: Iterable[Member | str] | None = None,
        zone: str = "",
        wait: float = 2.0,
        policy: CallPolicy | None = None,
        tokens: ServiceTokens | None = None,
        principal: Principal | None = None,
        tls: ssl.SSLContext | bool = True,
    ) -> None:
        if bool(urls) + (watcher is not None) + (members is not None) > 1:
            raise ValueError("a ServiceClient has instances by urls, by a watcher or by members")
        self._own: Watcher | None = None
        if watcher is None and members is None:
            watcher = self._own = Watcher(urls or (REGISTRY,), token=token, cache=cache)
        self.policy = policy or CallPolicy()
        self._roster = Roster(service, self.policy, monotonic(), zone=zone, tell=self._tell)
        self._watcher = watcher
        self._watched: Watched | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._known = asyncio.Event()
        self._wait = wait
        self._tokens = tokens
        self._principal = principal
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        if members is not None:
            self._apply(fixed_view(service, members))

    def __repr__(self) -> str:
        state = "closed" if self._session is None else "open"
        return f"<ServiceClient {self.service} {state} {self._roster!r}>"

    @property
    def service(self) -> str:
        """The name of the service."""
        return self._roster.name

    @property
    def view(self) -> View | None:
        """What is known of the instances; None before the first word. Says whether it is stale."""
        return self._roster.view

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The instances that may get something new, with their health and their counts."""
        return self._roster.endpoints

    @property
    def requests(self) -> int:
        """Calls so far."""
        return self._roster.requests

    @property
    def retries(self) -> int:
        """Tries so far beyond the first of each call."""
        return self._roster.retries

    async def start(self) -> None:
        """Begin to watch; a registry that is away is no failure."""
        self._session = open_session(self.policy, self._tls)
        if self._own is not None:
            await self._own.start()
        if self._watcher is not None:
            self._watched = self._watcher.watch(self.service, self._apply)
            self._reporting = spawn(
                report_for_ever(
                    self._roster.sightings.take, self._watcher.observe, lambda: self.policy.report
                ),
                name=f"report {self.service}",
            )

    async def close(self) -> None:
        """Stop watching and close all connections, those of calls under way as well."""
        reporting, self._reporting = self._reporting, None
        if reporting is not None:
            reporting.cancel()
            await asyncio.wait({reporting})
        watched, self._watched = self._watched, None
        if watched is not None:
            watched.close()
        if self._own is not None:
            await self._own.stop()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # -- calls ------------------------------------------------------------------------------

    def get(self, path: str, **options: Unpack[Options]) -> Calling:
        """GET: see `request`."""
        return self.request(hdrs.METH_GET, path, **options)

    def head(self, path: str, **options: Unpack[Options]) -> Calling:
        """HEAD: see `request`."""
        return self.request(hdrs.METH_HEAD, path, **options)

    def options(self, path: str, **options: Unpack[Options]) -> Calling:
        """OPTIONS: see `request`."""
        return self.request(hdrs.METH_OPTIONS, path, **options)

    def post(self, path: str, **options: Unpack[Options]) -> Calling:
        """POST: see `request`."""
        return self.request(hdrs.METH_POST, path, **options)

    def put(self, path: str, **options: Unpack[Options]) -> Calling:
        """PUT: see `request`."""
        return self.request(hdrs.METH_PUT, path, **options)

    def patch(self, path: str, **options: Unpack[Options]) -> Calling:
        """PATCH: see `request`."""
        return self.request(hdrs.METH_PATCH, path, **options)

    def delete(self, path: str, **options: Unpack[Options]) -> Calling:
        """DELETE: see `request`."""
        return self.request(hdrs.METH_DELETE, path, **options)

    def request(self, method: str, path: str, **options: Unpack[Options]) -> Calling:
        """Call the service: await the result, or enter it. path: "/...", with a query or without.

        A call may be tried again if its body is bytes, text, JSON or a form of texts: after a
        timeout, a reset or a 502, 503 or 504 only GET, HEAD, OPTIONS and what has an
        Idempotency-Key; whatever it is, where it surely never left.
        """
        _known(options, Options)
        return Calling(self._request(method.upper(), _target(path), options))

    def ws_connect(self, path: str, **options: Unpack[SocketOptions]) -> Opening:
        """A WebSocket to an instance; enter it. An answer other than 101 raises, as in aiohttp.

        It counts as one of the instance's connections, and the handshake as a GET.
        """
        _known(options, SocketOptions)
        return Opening(partial(self._open, _target(path), options))

    async def _request(self, method: str, target: URL, options: Options) -> aiohttp.ClientResponse:
        outgoing = self._outgoing(options.get("headers"), options.get("principal"))
        data = encoded(options.get("data"), options.get("json"), outgoing.headers)
        terms = Terms(
            self._due(options.get("timeout", self.policy.timeout), outgoing),
            replayable=method in _REPLAYABLE or _KEY in outgoing.headers,
            repeatable=repeatable(data),
        )
        params = options.get("params")

        async def send(attempt: Attempt, left: float) -> Answer[aiohttp.ClientResponse]:
            response = await self._live_session.request(
                method,
                _url(attempt.member, target),
                params=params,
                data=data,
                headers=outgoing.head(left),
                timeout=patience(self.policy, None if left == math.inf else left),
                allow_redirects=False,
            )
            return Answer(response.status, response.headers, response, response.close)

        answer, attempt = await self._run(terms, send)
        response = answer.value
        follow(attempt, response)
        if options.get("raise_for_status"):
            response.raise_for_status()
        return response

    async def _open(self, target: URL, options: SocketOptions) -> Opened:
        outgoing = self._outgoing(options.get("headers"), options.get("principal"))
        due = self._due(options.get("timeout", self.policy.timeout), outgoing)

        async def send(attempt: Attempt, left: float) -> Answer[_Handshake]:
            try:
                opened = await self._live_session.ws_connect(
                    _url(attempt.member, target),
                    params=options.get("params"),
                    headers=outgoing.head(left),
                    protocols=options.get("protocols", ()),
                    origin=options.get("origin"),
                    heartbeat=options.get("heartbeat"),
                    max_msg_size=options.get("max_msg_size", MESSAGE),
                    compress=options.get("compress", 0),
                )
            except aiohttp.WSServerHandshakeError as error:
                if error.status == 101:
                    raise
                return Answer(error.status, error.headers or CIMultiDict(), error, _nothing)
            return Answer(101, CIMultiDict(), opened, _nothing)

        answer, attempt = await self._run(Terms(due, replayable=True, repeatable=True), send)
        if isinstance(answer.value, aiohttp.WSServerHandshakeError):
            attempt.completed(monotonic())
            raise answer.value
        attempt.judge(monotonic())
        return answer.value, lambda: attempt.release(monotonic())

    async def _run(self, terms: Terms, send: Send[T]) -> tuple[Answer[T], Attempt]:
        _ = self._live_session  # who has not begun is told so, and not that nothing is known yet
        if self._wait > 0 and not self._known.is_set():
            await self._first_word(terms.due)
        return await Tries(self._roster, self.policy, terms, send).run()

    async def _first_word(self, due: float) -> None:
        """Wait until something is known of the service, but not for ever."""
        try:
            async with asyncio.timeout(min(self._wait, due - monotonic())):
                await self._known.wait()
        except TimeoutError as error:
            raise self._roster.unavailable(monotonic()) from error

    def _outgoing(self, headers: Headers | None, principal: Principal | None) -> Outgoing:
        carried = CARRIED.get()
        voucher = None
        if self._tokens is not None:
            whom = principal or carried.principal or self._principal
            if whom is not None and whom.kind != "anonymous":
                voucher = Voucher(self._tokens, whom, self.service)
        return Outgoing(headers, carried, voucher)

    def _due(self, timeout: float | None, outgoing: Outgoing) -> float:
        """When a call has to be over: the soonest of what it, its headers and its context say."""
        seconds = min(math.inf if timeout is None else timeout, outgoing.timeout)
        return min(monotonic() + seconds, CARRIED.get().deadline)

    @property
    def _live_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError(f"use `async with ServiceClient({self.service!r})`, or start it")
        return self._session

    # -- views ------------------------------------------------------------------------------

    def _apply(self, view: View) -> None:
        self._roster.apply(view)
        if view.members or not view.stale:  # a registry that is empty and not sure says nothing
            self._known.set()

    def _tell(self, endpoint: Endpoint, old: State, new: State) -> None:
        cause = endpoint.breaker.cause
        tell = _log.warning if new is State.EJECTED else _log.info
        tell(
            "instance changed state",
            upstream=self.service,
            instance=endpoint.address,
            old=old.value,
            new=new.value,
            cause=None if cause is None else cause.value,
        )


def _known(options: Mapping[str, object], kind: type) -> None:
    """Raise TypeError for what aiohttp may know, but a call to a service does not."""
    unknown = options.keys() - kind.__annotations__.keys()
    if unknown:
        raise TypeError(f"a call to a service takes no {', '.join(sorted(unknown))}")


def _target(path: str) -> URL:
    """Where within the service. Raises ValueError: the client chooses where the service is."""
    target = URL(path)
    if target.absolute or not path.startswith("/"):
        raise ValueError("a call names a path, such as /v1/chat; its service is known")
    return target


def _url(member: Member, target: URL) -> URL:
    return URL(
        f"{web_scheme(member.scheme)}://{member.host}:{member.port}{target.raw_path_qs}",
        encoded=True,
    )


def _nothing() -> None:
    """A handshake that was refused holds nothing."""
