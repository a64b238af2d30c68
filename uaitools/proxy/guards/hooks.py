"""Python on a request's way: an async function that sees its head, and that of its answer.

    async def tag(request: HookRequest, forward: Forward) -> HookAnswer | None:
        request.headers["X-Tenant"] = tenant_of(request.principal.id)
        response = await forward()
        response.headers["X-Served-By"] = "the gateway"
        return None

What stands before `forward` happens before an endpoint is chosen, what stands behind it before the
client gets the answer's head. A hook that does not call it only looks at requests; one that
returns a HookAnswer, or raises a ServiceError, has answered. Hooks of a route nest, the first one
outermost. `interception` runs them.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from multidict import CIMultiDict, getversion

if TYPE_CHECKING:
    from uaitools.auth.principal import Principal
    from uaitools.proxy.deadlines import Deadlines
    from uaitools.proxy.service import Service


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """An answer in place of the upstream's. headers: beside Content-Length, which is `body`'s."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Head:
    """The fields of a message, read when they are first asked for: most hooks look at none."""

    __slots__ = ("_fields", "_lines", "_version")

    def __init__(self, lines: bytes) -> None:
        self._lines = lines  # separated by CR LF
        self._fields: CIMultiDict[str] | None = None
        self._version = 0

    @property
    def headers(self) -> CIMultiDict[str]:
        """The fields, which may be changed."""
        fields = self._fields
        if fields is None:
            fields = self._fields = _parsed(self._lines)
            self._version = _version(fields)
        return fields

    @property
    def changed(self) -> bool:
        """Somebody has changed `headers`."""
        return self._fields is not None and _version(self._fields) != self._version


class HookResponse(Head):
    """The head of an answer. headers: may be changed; those about framing are not among them."""

    __slots__ = ("status",)

    def __init__(self, status: int, lines: bytes) -> None:
        super().__init__(lines)
        self.status = status

    def __repr__(self) -> str:
        return f"<HookResponse {self.status}>"


class Body(Protocol):
    """Reads the body of a request that waits for its hooks."""

    async def body(self) -> bytes:
        """See HookRequest.body."""


class HookRequest(Head):
    """A request before its endpoint is chosen.

    method, query (with its `?`), client (its address), principal (who sends it), request_id: as
    they are. path: the one its upstream will be asked for; service: by name; headers: those to
    forward, without credentials and what the gateway adds. These three may be changed. log: values
    to be written with the request into the access log.
    """

    __slots__ = (
        "_source",
        "client",
        "log",
        "method",
        "path",
        "principal",
        "query",
        "request_id",
        "service",
    )

    def __init__(
        self,
        source: Body,
        *,
        method: str,
        path: str,
        query: str,
        service: str,
        lines: bytes,
        client: str,
        principal: Principal,
        request_id: str,
    ) -> None:
        super().__init__(lines)
        self._source = source
        self.method = method
        self.path = path
        self.query = query
        self.service = service
        self.client = client
        self.principal = principal
        self.request_id = request_id
        self.log: dict[str, object] = {}

    def __repr__(self) -> str:
        return f"<HookRequest {self.method} {self.path} service={self.service}>"

    async def body(self) -> bytes:
        """The whole body, which is forwarded nevertheless.

        Raises ServiceError 413 for one over the route's `hook_body` bytes.
        """
        return await self._source.body()


Forward = Callable[[], Awaitable[HookResponse]]
"""Sends the request on and returns the answer's head. Raises ServiceError if there is none."""

Hook = Callable[[HookRequest, Forward], Awaitable[HookAnswer | None]]


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of a route.

    timeout: seconds for all of them together, before the upstream and again after it. body: bytes
    that they may read of a request's. services: that they may choose. clock: of those that run.
    """

    functions: tuple[Hook, ...]
    timeout: float
    body: int
    services: Mapping[str, Service]
    clock: Deadlines


def load_hook(name: str) -> Hook:
    """The hook at `package.module:function`. Raises ValueError that says what is wrong with it."""
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise ValueError(f"a hook is written package.module:function, not {name!r}")
    try:
        found: Any = import_module(module_name)
    except Exception as error:
        # Whatever the module raises is about the module, which the operator has named.
        reason = f"cannot import {module_name}: {error}"
        if isinstance(error, ModuleNotFoundError):
            reason += "; modules are looked for where Python is started and in PYTHONPATH"
        raise ValueError(reason) from error
    for part in attribute.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise ValueError(f"there is no {attribute} in {module_name}")
    call = found if inspect.isroutine(found) else getattr(found, "__call__", None)  # noqa: B004
    if not inspect.iscoroutinefunction(call):
        raise ValueError(f"{attribute} in {module_name} is no async function")
    try:
        inspect.signature(found).bind("request", "forward")
    except TypeError as error:
        raise ValueError(f"{attribute} in {module_name} has to take (request, forward)") from error
    return found  # type: ignore[no-any-return]


def _parsed(lines: bytes) -> CIMultiDict[str]:
    fields: CIMultiDict[str] = CIMultiDict()
    for line in lines.split(b"\r\n"):
        if line:
            name, _, value = line.partition(b":")
            fields.add(name.decode(), value.strip(b" \t").decode("utf-8", "surrogateescape"))
    return fields


def _version(fields: CIMultiDict[str]) -> int:
    return getversion(fields)  # type: ignore[arg-type]  # declared for values of type object only
