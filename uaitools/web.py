"""The aiohttp application that every component starts from: /health, /metrics and errors.

Whatever goes wrong in a handler is answered in one shape, `errors.error_body`, by one middleware
that stands outermost. A component adds its routes and, further in, its own middlewares.
"""

import re
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from pydantic import ValidationError

import uaitools
from uaitools import log, metrics
from uaitools.auth.errors import AuthError
from uaitools.auth.middleware import PRINCIPAL, authentication
from uaitools.cors import CorsSettings, enable
from uaitools.errors import ServiceError, error_body, invalid
from uaitools.http_metrics import HttpMetrics
from uaitools.limits.middleware import limiting, tell

if TYPE_CHECKING:
    from uaitools.auth.authenticator import Authenticator
    from uaitools.limits.front import Limits
    from uaitools.limits.limit import Limit

REQUEST_ID = web.RequestKey("request_id", str)
_REQUEST_ID_HEADER = "X-Request-Id"
# A client's identifier is repeated in answers and logs: printable, and of a bounded length.
_ACCEPTED_ID = re.compile(r"[!-~]{1,128}", re.ASCII)
Times = Literal["seconds", "words"]
"""How /health tells of time: its `timestamp` in unix seconds and its `uptime` in seconds, or in RFC
3339 and as 72h15m30s."""
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STATES = {True: "healthy", False: "unhealthy", None: "not configured"}

_log = log.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """How a service is.

    dependencies: whether each works, by name; None for one that is not configured. draining: the
    service is about to stop and wants no new work. required: dependencies without which it can do
    nothing.
    """

    dependencies: Mapping[str, bool | None]
    draining: bool = False
    required: Collection[str] = ()

    @property
    def status(self) -> Literal["healthy", "degraded", "draining"]:
        """Draining before degraded: who asks has to go elsewhere, whatever else is wrong."""
        if self.draining:
            return "draining"
        return "degraded" if False in self.dependencies.values() else "healthy"

    @property
    def able(self) -> bool:
        """Whether it is worth sending requests to."""
        return not self.draining and all(self.dependencies[name] for name in self.required)

    def document(self, service: str, up: float, times: Times) -> dict[str, object]:
        """The body of GET /health. up: seconds since the start."""
        now = time.time()
        words = times == "words"
        return {
            "status": self.status,
            "service": service,
            "timestamp": rfc3339(now) if words else round(now, 3),
            "version": uaitools.__version__,
            "uptime": duration(up) if words else round(up, 3),
            "dependencies": {name: _STATES[works] for name, works in self.dependencies.items()},
        }


def application(
    service: str,
    *,
    health: Callable[[], Health],
    snapshot: Callable[[], Awaitable[metrics.Snapshot]],
    app: web.Application | None = None,
    authenticator: "Authenticator | None" = None,
    limits: "Limits | None" = None,
    rules: "Sequence[Limit]" = (),
    cors: CorsSettings | None = None,
    requests: HttpMetrics | None = None,
    message_as: str = "",
    times: Times = "seconds",
) -> web.Application:
    """An application that answers GET /health, GET /metrics and every error.

    service: the name in answers and logs. health, snapshot: asked at each request. app: one that
    is not running yet, to add this to instead of a new one. authenticator: asked who sends each
    request, `request[PRINCIPAL]` (uaitools.auth.middleware); without one it is everyone. limits:
    checks every request but those of /health by all of `rules`. cors: what pages of other origins
    may do with it, also by routes that are added later. requests: counts them, outermost.
    message_as: a further field of errors, see errors.error_body. times: see Times.
    Authenticator and limits are started and stopped by the caller.
    """
    started = time.monotonic()

    async def get_health(_request: web.Request) -> web.Response:
        now = health()
        document = now.document(service, time.monotonic() - started, times)
        return json_response(document, status=200 if now.able else 503)

    async def get_metrics(_request: web.Request) -> web.Response:
        text = metrics.render(await snapshot())
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: _METRICS_TYPE})

    app = app if app is not None else web.Application()
    outermost = [_errors(service, message_as), authentication(authenticator, service)]
    if limits is not None and rules:
        outermost.append(limiting(service, limits, rules, principal=_principal))
        app.on_response_prepare.append(tell)
    if requests is not None:
        outermost.insert(0, requests.middleware())
    app.middlewares[:0] = outermost
    app.router.add_get("/health", get_health)
    app.router.add_get("/metrics", get_metrics)
    if cors is not None:
        enable(app, cors)
    return app


def rfc3339(moment: float) -> str:
    """A moment in UTC, to the second. moment: unix seconds."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> str:
    """As 72h15m30s, from the largest unit that it has."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"


def json_response(document: object, *, status: int = 200) -> web.Response:
    """Answer with a document that orjson can write."""
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")


def _principal(request: web.Request) -> str | None:
    return request[PRINCIPAL].user


def _errors(service: str, message_as: str) -> Middleware:
    @web.middleware
    async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = _request_id(request)
        try:
            return await handler(request)
        except Exception as error:
            if request.writer.output_size > 0:
                raise  # the answer has begun: aiohttp logs this and breaks off the connection
            if isinstance(error, web.HTTPException) and error.status < 400:
                raise  # a redirect is no error
            told = _translate(error, request, service)
            body = error_body(told, request[REQUEST_ID], message_as=message_as)
            return _answer(told, error, body)

    return errors


def _request_id(request: web.Request) -> str:
    given = request.headers.get(_REQUEST_ID_HEADER, "")
    return given if _ACCEPTED_ID.fullmatch(given) else uuid.uuid4().hex


def _translate(error: Exception, request: web.Request, service: str) -> ServiceError:
    """Say what a handler raised in the words of a client; what is our fault goes to the log."""
    match error:
        case ServiceError():
            return error
        case web.HTTPException():
            return ServiceError(error.status, _http_message(error, request), service)
        case ValidationError():
            return invalid(error, service)
        case web.RequestPayloadError():
            return ServiceError(400, "the body cannot be read; is it as its headers say?", service)
    _log.error(
        "request failed",
        method=request.method,
        path=request.path,
        request_id=request[REQUEST_ID],
        exc_info=error,
    )
    return ServiceError(500, "internal error; the log has it under the request_id", service)


def _http_message(error: web.HTTPException, request: web.Request) -> str:
    match error:
        case web.HTTPMethodNotAllowed():
            return f"{request.method} is not allowed here, only {error.headers[hdrs.ALLOW]}"
        case web.HTTPNotFound() if error.text == f"404: {error.reason}":
            return f"nothing is served at {request.path}"
    return (error.text or error.reason).removeprefix(f"{error.status}: ")


def _answer(error: ServiceError, cause: Exception, body: bytes) -> web.Response:
    """The response of an error, with the headers that aiohttp's own carried (Allow and others)."""
    response = web.Response(status=error.code, body=body, content_type="application/json")
    if isinstance(cause, web.RequestPayloadError):
        # aiohttp closes the connection behind it: who asks next by it has to know.
        response.force_close()
    if isinstance(cause, web.HTTPException):
        ours = {hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH}
        response.headers.extend((k, v) for k, v in cause.headers.items() if k not in ours)
    if isinstance(error, AuthError):
        response.headers[hdrs.WWW_AUTHENTICATE] = error.challenge
    if error.retry_seconds is not None:
        response.headers[hdrs.RETRY_AFTER] = str(error.retry_seconds)
    return response
