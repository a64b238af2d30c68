import pytest

from uaitools.errors import ServiceError
from uaitools.proxy.http1.grammar import MessageError
from uaitools.proxy.patience import NEVER, Overrides, Patience
from uaitools.proxy.plan import Plan
from uaitools.proxy.routing.cors import Preflight
from uaitools.proxy.routing.reply import Reply
from uaitools.proxy.routing.router import NativeRoute, Route, RouteError, Router
from uaitools.proxy.series import Requests
from uaitools.proxy.service import Service, ServicePolicy
from uaitools.proxy.site import Site

NATIVE = Service("proxy", ServicePolicy(), 0.0)
CHAT = Service("chat", ServicePolicy(), 0.0)
ROUTES = [
    Route(b"/api/chat", "chat", frozenset({b"POST"}), max_body=10, label="/api/chat"),
    Route(b"/api/memory", "chat", rewrite=b"/memories", label="/api/memory"),
    Route(b"/gone", "gone", label="/gone"),
]


@pytest.fixture
def requests() -> Requests:
    return Requests()


@pytest.fixture
def site(requests: Requests) -> Site:
    native = [NativeRoute(b"/health", Route(b"/", None, label="/health"))]
    return Site(Router(ROUTES, native), {"chat": CHAT}, NATIVE, requests)


def raw(line: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join((line + b" HTTP/1.1", b"Host: a", *fields))


def plan(site: Site, line: bytes, *fields: bytes, trusted: bool = False) -> Plan:
    return site.plan(raw(line, *fields), 0.0, trusted=trusted)


def code(answer: ServiceError | Reply | Preflight | None) -> int | None:
    return answer.code if isinstance(answer, ServiceError) else None


def test_a_plan_leads_to_the_route_s_service_and_rewritten_path(site: Site) -> None:
    chosen = plan(site, b"GET /api//memory/7?q")

    assert chosen.service is CHAT
    assert chosen.answer is None
    assert chosen.prefix.startswith(b"GET /memories/7?q HTTP/1.1\r\n")


def test_a_native_path_leads_to_the_gateway_s_own_application(site: Site) -> None:
    assert plan(site, b"GET /health").service is NATIVE


def test_what_no_route_takes_is_refused_in_the_plan(site: Site) -> None:
    missing = plan(site, b"GET /nothing").answer
    wrong = plan(site, b"GET /api/chat").answer

    assert code(missing) == 404
    assert code(wrong) == 405
    assert isinstance(wrong, RouteError)
    assert wrong.allow == b"POST"


def test_a_body_over_the_route_s_limit_is_413_before_it_is_sent(site: Site) -> None:
    assert plan(site, b"POST /api/chat", b"Content-Length: 10").answer is None
    assert code(plan(site, b"POST /api/chat", b"Content-Length: 11").answer) == 413
    chunked = plan(site, b"POST /api/chat", b"Transfer-Encoding: chunked")
    assert chunked.answer is None
    assert chunked.max_body == 10


def test_a_malformed_head_is_not_planned(site: Site) -> None:
    for _ in range(3):
        with pytest.raises(MessageError):
            plan(site, b"GET /", b"X : a")


def test_equal_heads_share_one_plan_from_the_third_on(site: Site) -> None:
    for _ in range(2):
        plan(site, b"GET /api/memory")

    assert plan(site, b"GET /api/memory") is plan(site, b"GET /api/memory")


def test_a_remembered_refusal_keeps_nothing_of_the_request_that_met_it_first(site: Site) -> None:
    refusal = plan(site, b"GET /nowhere").answer

    assert isinstance(refusal, ServiceError)
    assert refusal.__traceback__ is None
    assert refusal.__context__ is None


def test_a_plan_for_a_trusted_peer_is_never_used_for_another(site: Site) -> None:
    forged = b"X-User-Id: admin"
    for _ in range(3):
        assert forged in plan(site, b"GET /api/memory", forged, trusted=True).prefix
        assert forged not in plan(site, b"GET /api/memory", forged, trusted=False).prefix


def test_the_connection_does_not_outlive_an_upgrade_that_may_be_refused(site: Site) -> None:
    assert plan(site, b"GET /api/memory").keep_alive
    upgrade = (b"Connection: upgrade", b"Upgrade: websocket")
    assert not plan(site, b"GET /api/memory", *upgrade).keep_alive


def test_requests_are_counted_by_method_and_route_with_a_bounded_set_of_names(
    site: Site, requests: Requests
) -> None:
    for line in (b"POST /api/chat", b"GET /x", b"GET /y", b"PROPFIND /x", b"BREW /api/memory/1"):
        plan(site, line)

    assert {labels for labels, _ in requests.items()} == {
        ("POST", "/api/chat"),
        ("GET", "unmatched"),
        ("OTHER", "unmatched"),
        ("OTHER", "/api/memory"),
    }


def test_series_are_found_by_their_route(requests: Requests) -> None:
    get, post = requests.series(b"GET", "/a"), requests.series(b"POST", "/a")
    requests.series(b"GET", "/b")

    assert requests.of_endpoints(frozenset({"/a"})) == [get, post]
    assert requests.series(b"GET", "/a") is get


def test_a_route_s_patience_stands_over_its_service_s(requests: Requests) -> None:
    policy = ServicePolicy(connect=1, first_byte=2, between_bytes=3)
    service = Service("chat", policy, 0.0)
    routes = [
        Route(b"/own", "chat", patience=Overrides(first_byte=9, total=30)),
        Route(b"/none", "chat"),
    ]
    site = Site(Router(routes), {"chat": service}, NATIVE, requests)

    assert plan(site, b"GET /own").patience == Patience(1, 9, 3, 30)
    assert plan(site, b"GET /none").patience == Patience(1, 2, 3, NEVER)


@pytest.mark.parametrize(
    ("route", "client", "timeout"),
    [
        (None, None, NEVER),
        (30.0, None, 30),
        (None, b"2500", 2.5),
        (30.0, b"2500", 2.5),
        (30.0, b"999999999", 30),
    ],
)
@pytest.mark.parametrize("trusted", [False, True])
def test_a_client_can_shorten_its_time_and_never_lengthen_it(
    requests: Requests, route: float | None, client: bytes | None, timeout: float, *, trusted: bool
) -> None:
    routes = [Route(b"/", "chat", patience=Overrides(total=route))]
    site = Site(Router(routes), {"chat": CHAT}, NATIVE, requests)
    fields = [] if client is None else [b"X-Request-Timeout: " + client]
    chosen = plan(site, b"GET /", *fields, trusted=trusted)

    assert chosen.timeout == timeout
    assert (chosen.deadlines is None) == (timeout == NEVER)
    assert b"timeout" not in chosen.prefix.lower(), "what is left is said when it is sent"


@pytest.mark.parametrize(
    "value", [b"", b"0", b"007", b"-1", b"+1", b"1.5", b"30s", b"1_0", b"1" * 10, b"1, 2", b"NaN"]
)
def test_a_malformed_x_request_timeout_is_400(site: Site, value: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        plan(site, b"GET /api/memory", b"X-Request-Timeout: " + value)

    assert caught.value.code == 400


def test_a_second_x_request_timeout_is_400(site: Site) -> None:
    with pytest.raises(MessageError):
        plan(site, b"GET /api/memory", b"X-Request-Timeout: 5", b"x-request-timeout: 5")


def test_an_x_request_timeout_that_connection_names_is_hop_by_hop(site: Site) -> None:
    fields = (b"Connection: X-Request-Timeout", b"X-Request-Timeout: 5")
    assert plan(site, b"GET /api/memory", *fields).deadlines is None
