"""The hooks of one request under way: in a task of their own, before and after the upstream.

The exchange waits for the task before it chooses an endpoint, and holds the answer's head back
until the task ends. A hook that raises is a 500 with the error in the log, one that is slow a 504:
its time runs while it runs, not while it waits for the upstream or for the client's body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from time import monotonic
from typing import TYPE_CHECKING, Final

from multidict import CIMultiDict

from uaitools.auth.principal import ANONYMOUS
from uaitools.errors import ServiceError
from uaitools.log import get_logger
from uaitools.proxy.ends import COMPLETE
from uaitools.proxy.failure import BROKEN
from uaitools.proxy.headers import local_head
from uaitools.proxy.hooks import HookAnswer, HookRequest, HookResponse, Hooks
from uaitools.proxy.http1.fields import settable_in_request, settable_in_response
from uaitools.proxy.http1.grammar import FIELD_VALUE, TARGET, TOKEN
from uaitools.proxy.http1.response import ResponseHead
from uaitools.proxy.http1.target import normalise
from uaitools.tasks import spawn

if TYPE_CHECKING:
    from uaitools.proxy.exchange import Exchange
    from uaitools.proxy.site import Plan

SLOW: Final = ServiceError(504, "a hook of this route did not end in time", "proxy")

_log = get_logger(__name__)


class Interception:
    """What the hooks of a route do to one exchange. limit: bytes of a body that they may read."""

    __slots__ = (
        "_arrived",
        "_body",
        "_clock",
        "_done",
        "_exchange",
        "_head",
        "_hooks",
        "_payload",
        "_task",
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
        self._clock = asyncio.timeout(hooks.timeout)
        self.request = _request(self, exchange)
        self._task = spawn(self._run(), name="hooks")

    def __repr__(self) -> str:
        return f"<Interception {self.request!r} hooks={len(self._hooks.functions)}>"

    # -- the exchange's side ----------------------------------------------------------------

    def cancel(self) -> None:
        """The exchange is over."""
        if self._task is not asyncio.current_task():
            self._task.cancel()

    def respond(self, head: ResponseHead, payload: bytes, *, done: bool) -> None:
        """The upstream's answer has begun; hold it back until the hooks have seen its head."""
        self._payload = payload
        self._done = done
        assert self._arrived is not None
        self._arrived.set_result(head)

    def fail(self, error: ServiceError) -> bool:
        """There is no answer: let a hook that waits for one raise that. False when none does."""
        if self._arrived is None or self._arrived.done():
            self.cancel()
            return False
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
        self._stop_clock()
        try:
            while not exchange.body_done:
                if exchange.kept > self.limit:
                    message = f"the body is over the {self.limit} bytes that hooks of it may read"
                    raise ServiceError(413, message, "proxy")
                self._body = asyncio.get_running_loop().create_future()
                exchange.proceed()
                await self._body
        finally:
            self._start_clock()
        return exchange.kept_body

    async def _run(self) -> None:
        exchange = self._exchange
        try:
            async with self._clock:
                response = await self._call(0)
            head = self._changed(response)
        except TimeoutError:
            self._refuse(SLOW)
        except ServiceError as error:
            self._refuse(error)
        except Exception:
            _log.exception("a hook failed", request_id=exchange.request_id.decode())
            self._refuse(BROKEN)
        else:
            exchange.interception = None
            if isinstance(response, _Local):
                exchange.answer(head, response.body, monotonic(), COMPLETE)
            elif self._head is not None:
                exchange.respond_after_hooks(head, self._payload, monotonic(), done=self._done)

    def _refuse(self, error: ServiceError) -> None:
        self._exchange.interception = None
        self._exchange.refuse(error, monotonic())

    async def _call(self, index: int) -> HookResponse:
        """Call the hook at `index`, and those further in when it forwards."""
        if index == len(self._hooks.functions):
            return await self._forward()
        response: HookResponse | None = None

        async def forward() -> HookResponse:
            nonlocal response
            if response is None:
                response = await self._call(index + 1)
            return response

        answer = await self._hooks.functions[index](self.request, forward)
        return await forward() if answer is None else _Local(answer)

    async def _forward(self) -> HookResponse:
        """Send the request on as the hooks have made it."""
        exchange, request = self._exchange, self.request
        exchange.notes = request.log
        exchange.plan = self._revised(exchange.plan)
        self._arrived = asyncio.get_running_loop().create_future()
        self._stop_clock()
        exchange.admit(monotonic())
        try:
            head = self._head = await self._arrived
        finally:
            self._start_clock()
        return HookResponse(head.status, _fields(head.start.partition(b"\r\n")[2]))

    def _revised(self, plan: Plan) -> Plan:
        request = self.request
        path = request.path.encode()
        if TARGET.fullmatch(path) is None or b"?" in path or normalise(path) != path:
            raise ValueError(f"a hook has set the path {request.path!r}, which is not normal")
        lines = _lines(request.headers, settable_in_request, b"\r\n", b"")
        service = self._hooks.services.get(request.service)
        if service is None:
            raise ValueError(f"a hook has chosen the service {request.service!r}; there is none")
        return plan.revised(service, path, lines, monotonic())

    def _changed(self, response: HookResponse) -> ResponseHead:
        """The head for the client, with what the hooks have changed."""
        lines = _lines(response.headers, settable_in_response, b"", b"\r\n")
        if isinstance(response, _Local):
            date = formatdate(usegmt=True).encode()
            lines += b"" if "Date" in response.headers else b"Date: %b\r\n" % date
            return local_head(response.status, lines, len(response.body))
        head = self._head
        assert head is not None
        return head.with_lines(lines)

    def _stop_clock(self) -> None:
        self._clock.reschedule(None)

    def _start_clock(self) -> None:
        self._clock.reschedule(asyncio.get_running_loop().time() + self._hooks.timeout)


class _Local(HookResponse):
    """The head of a hook's own answer."""

    __slots__ = ("body",)

    def __init__(self, answer: HookAnswer) -> None:
        if not 200 <= answer.status <= 599:
            raise ValueError(f"a hook has answered with the status {answer.status}")
        super().__init__(answer.status, CIMultiDict(answer.headers))
        self.body = answer.body


def _request(source: Interception, exchange: Exchange) -> HookRequest:
    plan = exchange.plan
    return HookRequest(
        source,
        method=plan.head.method.decode(),
        path=plan.destination.path.decode(),
        query=plan.head.query.decode(),
        service=plan.service.name,
        headers=_fields(plan.head.lines.removeprefix(b"\r\n")),
        client=exchange.address.decode(),
        principal=plan.caller.identity.principal if plan.caller is not None else ANONYMOUS,
        request_id=exchange.request_id.decode(),
    )


def _fields(lines: bytes) -> CIMultiDict[str]:
    fields: CIMultiDict[str] = CIMultiDict()
    for line in lines.split(b"\r\n"):
        if line:
            name, _, value = line.partition(b":")
            fields.add(name.decode(), value.strip(b" \t").decode("utf-8", "surrogateescape"))
    return fields


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
