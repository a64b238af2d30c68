"""The route of the data plane that a route of the configuration means."""

from __future__ import annotations

from collections.abc import Mapping

from uaitools.proxy.config.actions import FieldEdits
from uaitools.proxy.config.routes import RouteSettings
from uaitools.proxy.guards.guard import Guard
from uaitools.proxy.http1.grammar import COMMON_METHODS
from uaitools.proxy.patience import Overrides
from uaitools.proxy.routing.conditions import HEADER, QUERY, Condition
from uaitools.proxy.routing.cors import Cors
from uaitools.proxy.routing.edits import Edits
from uaitools.proxy.routing.reply import Redirect, Reply
from uaitools.proxy.routing.router import Route
from uaitools.proxy.routing.split import Split


def route_of(settings: RouteSettings, guard: Guard | None = None) -> Route:
    """What `settings` mean; they have been checked. guard: what the route asks of requests."""
    split = settings.split
    return Route(
        path=settings.path.encode(),
        service=settings.service,
        methods=frozenset(method.encode() for method in settings.methods),
        rewrite=_encoded(settings.rewrite),
        max_body=settings.max_body,
        label=settings.label,
        host=settings.host.encode(),
        exact=settings.exact,
        conditions=_conditions(settings),
        split=Split([(t.service, t.weight) for t in split], settings.sticky) if split else None,
        answer=_answer(settings),
        host_header=_encoded(settings.host_header),
        request_edits=_edits(settings.request_headers),
        response_edits=_edits(settings.response_headers),
        patience=Overrides(**settings.timeouts.model_dump(), total=settings.timeout),
        guard=guard,
        cors=_cors(settings),
    )


def _cors(settings: RouteSettings) -> Cors | None:
    rules = settings.cors
    if rules is None:
        return None
    methods = rules.methods or settings.methods or sorted(m.decode() for m in COMMON_METHODS)
    return Cors(
        rules.origins,
        methods,
        headers=rules.headers,
        expose=rules.expose,
        credentials=rules.credentials,
        max_age=rules.max_age,
    )


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _conditions(settings: RouteSettings) -> list[Condition]:
    headers = {name.lower(): value for name, value in settings.headers.items()}
    return [*_asked(HEADER, headers), *_asked(QUERY, settings.query)]


def _asked(where: str, values: Mapping[str, str]) -> list[Condition]:
    return [
        Condition(where, name.encode(), None if value == "*" else value.encode())
        for name, value in values.items()
    ]


def _answer(settings: RouteSettings) -> Reply | Redirect | None:
    if settings.redirect is not None:
        return Redirect(settings.redirect.to.encode(), settings.redirect.status)
    if settings.respond is not None:
        given = settings.respond
        content = given.body.encode()
        lines = b"Content-Type: %b\r\n" % given.content_type.encode() if content else b""
        return Reply(given.status, lines, content)
    return None


def _edits(settings: FieldEdits) -> Edits | None:
    if settings == FieldEdits():
        return None
    return Edits(_fields(settings.set), _fields(settings.add), map(str.encode, settings.remove))


def _fields(values: Mapping[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in values.items()}
