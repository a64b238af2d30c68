"""REST resources of an aiohttp application: what each takes and says, by pydantic models.

    Resource("POST", "/v1/things", self._create, "Make a thing", said=Thing, body=NewThing)

`serve` adds them to an application, with /openapi.json, which is made of the same models. What a
client sends is read by `body` and `query`; what does not fit is answered with its fields. A handler
that says more than JSON makes its response by `answer`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

import orjson
from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from uaitools.auth.middleware import PRINCIPAL, Access, access
from uaitools.auth.principal import require
from uaitools.errors import ServiceError, invalid
from uaitools.unpacking import unpacked

if TYPE_CHECKING:
    from uaitools.openapi import Described

M = TypeVar("M", bound=BaseModel)
Handler = Callable[[web.Request], Awaitable[BaseModel | bytes | web.StreamResponse | None]]


@dataclass(frozen=True, slots=True)
class Direct:
    """A function to which a gateway in front hands requests. name: in its metrics and its log."""

    name: str
    answer: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """One method and path.

    handler: returns what `said` describes, as a model or as JSON in bytes, None for 204, or a
    response of its own. direct: answers instead, and without a handler the application only
    describes it; one with others on its path needs a handler, for Allow. said: the model of the
    answer, None for none. body, query: the models of what comes. status: of a good answer. scope:
    what the principal needs, '' for nothing. errors: statuses beside those that follow from the
    rest. access: see auth.middleware.access. streams: media types of answers that go on; takes: of
    bodies that do. tagged: answers have an ETag, and If-None-Match gets 304. also: other statuses
    of good answers. headers: of requests, their patterns by name; patterns: of variables in the
    path, by name. OpenAPI tells of both, the handler checks them.
    """

    method: str
    path: str
    handler: Handler | None
    summary: str
    said: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    status: int = 200
    scope: str = ""
    errors: tuple[int, ...] = ()
    access: Access = "required"
    streams: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    tagged: bool = False
    also: tuple[int, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    direct: Direct | None = None
    patterns: Mapping[str, str] = field(default_factory=dict)


def serve(
    app: web.Application, service: str, resources: Iterable[Resource], described: Described
) -> None:
    """Add `resources` and GET /openapi.json to an application of uaitools.web's."""
    from uaitools import openapi  # noqa: PLC0415 - it stands on this module

    resources = tuple(resources)
    for resource in resources:
        if resource.handler is not None:
            handle = _handle(resource, resource.handler, service)
            app.router.add_route(resource.method, resource.path, access(resource.access)(handle))
    document = orjson.dumps(openapi.document(resources, described))

    async def get_document(_request: web.Request) -> web.Response:
        return answer(document)

    app.router.add_get("/openapi.json", get_document)


class Answer(web.Response):
    """A response that lets go of its body when it is sent.

    aiohttp keeps the last response of a connection until its next one, and a gateway in front has
    many connections that nobody uses just then.
    """

    async def write_eof(self, data: bytes = b"") -> None:
        """See web.Response."""
        await super().write_eof(data)
        self.body = None


def answer(
    json: bytes, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})
) -> web.Response:
    """A response of JSON, which nobody stores."""
    return Answer(
        body=json,
        status=status,
        content_type="application/json",
        headers={hdrs.CACHE_CONTROL: "no-store", **headers},
    )


async def body(request: web.Request, model: type[M], service: str) -> M:
    """The body as `model`. Raises ServiceError 415, 400 or 422."""
    return parse(await unpacked(request, service), request.content_type, model, service)


def parse(data: bytes, content_type: str, model: type[M], service: str) -> M:
    """A body as `model`, none at all being {}. Raises ServiceError 415, 400 or 422."""
    if not data and not needed(model):
        return model()
    if content_type != "application/json":
        raise ServiceError(415, "send JSON as application/json", service)
    try:
        # Strictly: false is no 0, and "5" is no 5.
        return model.model_validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            reason = first["msg"].removeprefix("Invalid JSON: ")
            raise ServiceError(400, f"the body is not JSON: {reason}", service) from error
        raise invalid(error, service) from error


def needed(model: type[BaseModel]) -> bool:
    """Whether a body has to have any field."""
    try:
        model()
    except ValidationError:
        return True
    return False


def query(request: web.Request, model: type[M]) -> M:
    """The query as `model`: what may come several times is a tuple there.

    Raises ValidationError (422), also for what `model` does not know, and for what comes twice: who
    reads it before us may take the other one.
    """
    values: dict[str, Any] = {}
    for name in request.query:
        found = model.model_fields.get(name)
        several = found is not None and get_origin(found.annotation) is tuple
        all_of = request.query.getall(name)
        values[name] = all_of if several or len(all_of) > 1 else all_of[0]
    return model.model_validate(values)


def _handle(resource: Resource, handler: Handler, service: str) -> Callable[[web.Request], Any]:
    status = resource.status
    scopes = (resource.scope,) if resource.scope else ()

    async def handle(request: web.Request) -> web.StreamResponse:
        if scopes:
            require(request[PRINCIPAL], scopes, (), service)
        said = await handler(request)
        match said:
            case None:
                return web.Response(status=204)
            case bytes():
                return answer(said, status)
            case BaseModel():
                return answer(said.model_dump_json().encode(), status)
        return said

    return handle
