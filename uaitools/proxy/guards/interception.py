"""The hooks of one request under way: in a task of their own, before and after the upstream.

The exchange waits for the task before it chooses an endpoint. If a hook has asked for the answer's
head, that is held back until the task ends; else the hooks are over when the request goes on. A
hook that raises is a 500 with the error in the log, one that is slow a 504: its time runs while it
runs, not while it waits for the upstream or for the client's body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from multidict import CIMultiDict

from uaitools.auth.principal import ANONYMOUS
from uaitools.errors import ServiceError
from uaitools.log import get_logger
from uaitools.proxy.ends import COMPLETE, HOOK, REFUSED
from uaitools.proxy.failure import BROKEN
from uaitools.proxy.guards.hooks import HookAnswer, HookRequest, HookResponse, Hooks
from uaitools.proxy.headers import local_head
from uaitools.proxy.http1.fields import settable_in_request, settable_in_response
from uaitools.proxy.http1.grammar import FIELD_VALUE, TARGET, TOKEN
from uaitools.proxy.http1.response import ResponseHead
from uaitools.proxy.http1.target import normalise
from uaitools.tasks import spawn
from uaitools.traffic.concurrency import Slot

if TYPE_CHECKING:
    from uaitools.proxy.exchange import Exchange
    from uaitools.proxy.plan import Plan
    from uaitools.proxy.service import Service

_BODILESS: Final = (204, 205, 304)  # RFC 9110 6.4.1, 15.3.6
SLOW: Final = ServiceError(504, "a hook of this route did not end in time", "proxy")

_log = get_logger(__name__)


class _Call(Protocol):
    async def __call__(self, index: int, *, watched: bool) -> HookResponse | None:
        """See Interception._call."""


class Interception:
    """What the hooks of a route do to one exchange. limit: bytes of a body that they may read."""

    __slots__ = (
        "_arrived",
        "_began",
        "_body",
        "_done",
        "_exchange",
        "_failure",
        "_head",
        "_hooks",
        "_left",
        "_payload",
        "_task",
        "_whole",
        "limit",
        "request",
    )

    def __init__(self, exchange: Exchange, hooks: Hooks) -> None:
        self._exchange = exchange
        self._hooks = hooks
        self.limit = hooks.body
        self._head: ResponseHead | None = None
        self._payload = b""
        self._done = False
        self._arrived: asyncio.Future[ResponseHead] | None = None
        self._body: asyncio.Future[None] | None = None
        self._whole: bytes | None = None
        self._left = hooks.timeout  # seconds that the hooks have, once their clock runs
        self._began = 0.0
        self._failure = REFUSED  # why there is no answer, if a hook raises that
        self._task: asyncio.Task[None] | None = None
        self.request = _request(self, exchange)
        exchange.notes = self.request.log

    def __repr__(self) -> str:
        return f"<Interception {self.request!r} hooks={len(self._hooks.functions)}>"

    # -- the exchange's side ----------------------------------------------------------------

    def start(self) -> None:
        """Run the hooks."""
        self._start_clock()
        self._task = spawn(self._run(), name="hooks")

    def cancel(self) -> None:
        """The exchange is over, whatever the hooks still do."""
        self._exchange.interception = None
        self._hooks.clock.discard(self)
        task = self._task
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def overdue(self, now: float) -> None:
        """The time of the hooks is up: the client is told, whatever they make of it."""
        exchange = self._exchange
        _log.warning(
            "a hook was too slow",
            request_id=exchange.request_id.decode(),
            timeout=self._hooks.timeout,
        )
        self.cancel()
        exchange.refuse(SLOW, now, HOOK)

    def respond(self, head: ResponseHead, payload: bytes, *, done: bool) -> None:
        """The upstream's answer has begun; hold it back until the hooks have seen its head."""
        self._payload = payload
        self._done = done
        assert self._arrived is not None
        self._arrived.set_result(head)

    def fail(self, error: ServiceError, end: bytes) -> bool:
        """There is no answer: let a hook that waits for one raise that. False when none does."""
        if self._arrived is None or self._arrived.done():
            self.cancel()
            return False
        self._failure = end
        self._arrived.set_exception(error)
        return True

    def body_arrived(self) -> None:
        """There is more of the request's body, or it is complete."""
        if self._body is not None and not self._body.done():
            self._body.set_result(None)

    # -- the hooks' side --------------------------------------------------------------------

    async def body(self) -> bytes:
        """The whole body of the request; see HookRequest.body."""
        exchange = self._exchange
        if self._whole is not None:
            return self._whole
        if self._arrived is not None:
            raise RuntimeError("a hook reads the body before it forwards the request")
        self._stop_clock()
        try:
            while not exchange.body_done and exchange.kept <= self.limit:
                self._body = asyncio.get_running_loop().create_future()
                exchange.proceed()
                await self._body
        finally:
            self._start_clock()
        if exchange.kept > self.limit:
            message = f"the body is over the {self.limit} bytes that hooks of it may read"
            raise ServiceError(413, message, "proxy")
        self._whole = exchange.kept_body
        return self._whole

    async def _run(self) -> None:
        exchange = self._exchange
        try:
            response = await self._call(0, watched=False)
            if response is None:
                exchange.plan = self._revised(exchange.plan)
                head = None
            else:
                head = self._changed(response)
        except ServiceError as error:
            self._refuse(error, self._failure)
            return
        except asyncio.CancelledError:
            if exchange.interception is not self:
                raise  # by us
            self._fail()
            return
        except (Exception, SystemExit):  # a hook does not end the process
            self._fail()
            return
        if not self._leave():
            return
        if head is None:
            exchange.admit(monotonic())
        elif isinstance(response, _Local):
            exchange.answer(head, response.body, monotonic(), COMPLETE)
        else:
            exchange.respond_after_hooks(head, self._payload, monotonic(), done=self._done)

    def _leave(self) -> bool:
        """The hooks have nothing more to say. False when nobody has waited so long."""
        exchange = self._exchange
        if exchange.interception is not self:
            return False
        exchange.interception = None
        self._stop_clock()
        return True

    def _fail(self) -> None:
        _log.exception("a hook failed", request_id=self._exchange.request_id.decode())
        self._refuse(BROKEN, HOOK)

    def _refuse(self, error: ServiceError, end: bytes) -> None:
        if self._leave():
            self._exchange.refuse(error, monotonic(), end)

    async def _call(self, index: int, *, watched: bool) -> HookResponse | None:
        """Call the hooks from `index` on; None when the request may go and nobody waits for it.

        watched: a hook further out does.
        """
        functions = self._hooks.functions
        while index < len(functions):
            forward = _Forward(self._call, index + 1)
            answer = await functions[index](self.request, forward)
            if answer is not None:
                return _Local(answer)
            if forward.asked:
                return await forward()
            index += 1
        return await self._forward() if watched else None

    async def _forward(self) -> HookResponse:
        """Send the request on as the hooks have made it, and wait for the answer's head."""
        exchange = self._exchange
        if exchange.interception is not self:
            raise asyncio.CancelledError  # the hook has ignored one: its request is answered
        exchange.plan = self._revised(exchange.plan)
        self._arrived = asyncio.get_running_loop().create_future()
        self._stop_clock()
        exchange.admit(monotonic())
        try:
            head = self._head = await self._arrived
        finally:
            self._left = self._hooks.timeout
            self._start_clock()
        return HookResponse(head.status, head.start.partition(b"\r\n")[2])

    def _revised(self, plan: Plan) -> Plan:
        """The plan for the request as it is now, mostly the one that it had."""
        request, lines, path = self.request, plan.head.lines, plan.destination.path
        service, before = plan.service, path.decode()
        same = request.path == before and request.service == service.name
        if same and not request.changed:
            return plan
        if request.path != before:
            path = _checked(request.path)
        if request.changed:
            lines = _lines(request.headers, settable_in_request, b"\r\n", b"")
        if request.service != service.name:
            service = self._service(request.service)
            self._enter(service)
        return plan.revised(service, path, lines, monotonic())

    def _service(self, name: str) -> Service:
        service = self._hooks.services.get(name)
        if service is None:
            raise ValueError(f"a hook has chosen the service {name!r}; there is none")
        return service

    def _enter(self, service: Service) -> None:
        """Count the request among those of the service that it goes to now."""
        if service.concurrency is not None:
            slot = self._exchange.slot = self._exchange.slot or Slot()
            if not slot.take(service.concurrency, b""):
                raise service.busy()

    def _changed(self, response: HookResponse) -> ResponseHead:
        """The head for the client, with what the hooks have changed."""
        head = self._head
        if head is not None and not isinstance(response, _Local) and not response.changed:
            return head
        lines = _lines(response.headers, settable_in_response, b"", b"\r\n")
        if isinstance(response, _Local):
            date = formatdate(usegmt=True).encode()
            lines += b"" if "Date" in response.headers else b"Date: %b\r\n" % date
            return local_head(response.status, lines, len(response.body))
        assert head is not None
        return head.with_lines(lines)

    def _stop_clock(self) -> None:
        self._left -= monotonic() - self._began
        self._hooks.clock.discard(self)

    def _start_clock(self) -> None:
        if self._exchange.interception is self:  # else nobody waits
            self._began = monotonic()
            self._hooks.clock.add(self, self._began + self._left)


class _Forward:
    """What a hook calls to send the request on: once, whatever comes of it, however often."""

    __slots__ = ("_call", "_error", "_index", "_response", "asked")

    def __init__(self, call: _Call, index: int) -> None:
        self._call = call
        self._index = index
        self._response: HookResponse | None = None
        self._error: ServiceError | None = None
        self.asked = False

    async def __call__(self) -> HookResponse:
        if self._error is not None:
            raise self._error
        if self._response is None:
            self.asked = True
            try:
                self._response = await self._call(self._index, watched=True)
            except ServiceError as error:
                self._error = error
                raise
            assert self._response is not None
        return self._response


class _Local(HookResponse):
    """The head of a hook's own answer."""

    __slots__ = ("body",)

    def __init__(self, answer: HookAnswer) -> None:
        kind: object = answer  # whatever a hook has returned
        if not isinstance(kind, HookAnswer) or type(kind.body) is not bytes:
            raise TypeError("a hook returns None or a HookAnswer whose body is bytes")
        if not 200 <= answer.status <= 599:
            raise ValueError(f"a hook has answered with the status {answer.status}")
        if answer.body and answer.status in _BODILESS:
            raise ValueError(f"an answer with the status {answer.status} has no body")
        super().__init__(answer.status, b"")
        self.headers.extend(answer.headers)
        self.body = answer.body


def _request(source: Interception, exchange: Exchange) -> HookRequest:
    plan = exchange.plan
    head = plan.head
    return HookRequest(
        source,
        method=head.method.decode(),
        path=plan.destination.path.decode(),
        query=head.query.decode(),
        service=plan.service.name,
        lines=head.lines,
        client=exchange.address.decode(),
        principal=plan.caller.identity.principal if plan.caller is not None else ANONYMOUS,
        request_id=exchange.request_id.decode(),
    )


def _checked(text: str) -> bytes:
    """A path that a hook has set. Raises ValueError for one that could be read in two ways."""
    path = text.encode()
    if TARGET.fullmatch(path) is None or b"?" in path or normalise(path) != path:
        raise ValueError(f"a hook has set the path {text!r}, which is not normal")
    return path


def _lines(
    fields: CIMultiDict[str], settable: Callable[[bytes], bool], before: bytes, after: bytes
) -> bytes:
    """The lines of `fields`. Raises ValueError for what a hook may not have set."""
    lines = b""
    for text, content in fields.items():
        name, value = text.encode(), content.encode("utf-8", "surrogateescape")
        if TOKEN.fullmatch(name) is None or FIELD_VALUE.fullmatch(value) is None:
            raise ValueError(f"a hook has set a malformed header: {text}")
        if not settable(name):
            raise ValueError(f"a hook has set {text}, which the gateway decides about")
        lines += b"%b%b: %b%b" % (before, name, value, after)
    return lines
