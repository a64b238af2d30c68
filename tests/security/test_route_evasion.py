"""Spellings of a path that try to slip past a guarded route: which route, and what upstreams see.

Whatever a client writes, the route is the one that the oracle names for the path that the upstream
is asked for. So there is no second reading behind the guard's back.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proxy.routing.linear import Request, Spec, decide
from uaitools.proxy.http1.grammar import MessageError
from uaitools.proxy.http1.request import RequestHead
from uaitools.proxy.plan import Plan
from uaitools.proxy.routing.router import Router
from uaitools.proxy.series import Requests
from uaitools.proxy.service import Service, ServicePolicy
from uaitools.proxy.site import Site

GUARDED = [
    Spec("/admin"),
    Spec("/users/{id}/secrets"),
    Spec("/status", exact=True),
    Spec("/tenants/{t}/{rest...}"),
    Spec("/", headers={"X-Beta": "1"}),
    Spec("/", host="internal.example"),
    Spec("/"),
]
FALLBACK = len(GUARDED) - 1
SERVICES = {str(i): Service(str(i), ServicePolicy(), 0.0) for i in range(len(GUARDED))}


@pytest.fixture(scope="module")
def site() -> Site:
    routes = [spec.route(str(index)) for index, spec in enumerate(GUARDED)]
    native = Service("native", ServicePolicy(), 0.0)
    return Site(Router(routes), SERVICES, native, Requests())


def plan(site: Site, target: str, host: str = "a", lines: str = "") -> Plan:
    head = f"GET {target} HTTP/1.1\r\nHost: {host}{lines}".encode()
    # Often enough that whatever is remembered is used.
    return [site.plan(head, 0.0, trusted=False) for _ in range(4)][-1]


def asked_for(chosen: Plan) -> str:
    """The path in the upstream's head."""
    return chosen.prefix.split(b" ")[1].partition(b"?")[0].decode()


@pytest.mark.parametrize(
    "target",
    [
        *("/admin", "/admin/", "/admin/x", "//admin", "/./admin", "/x/../admin", "/admin/."),
        *("/%61dmin", "/%61%64%6D%69%6e/x", "/admin/x/..", "/admin/../admin", "///admin//x"),
        *("/admin?x", "/admin/x?/../..", "http://a/admin", "/%2e/admin", "/x/%2E%2E/admin"),
    ],
)
def test_every_spelling_of_a_guarded_prefix_is_guarded(site: Site, target: str) -> None:
    chosen = plan(site, target)

    assert chosen.service.name == "0"
    assert asked_for(chosen).startswith("/admin")


@pytest.mark.parametrize(
    "target",
    ["/users/7/secrets", "/users/%37/secrets", "/users//7/./secrets", "/users/7/x/../%73ecrets"],
)
def test_every_spelling_of_a_guarded_template_is_guarded(site: Site, target: str) -> None:
    chosen = plan(site, target)

    assert chosen.service.name == "1"
    assert asked_for(chosen) == "/users/7/secrets"


@pytest.mark.parametrize(
    "target",
    [
        *("/Admin", "/ADMIN", "/admin;x", "/admin%3B", "/admin%2Fx", "/admin%20", "/admin%09"),
        *("/%2561dmin", "/%2fadmin", "/admins", "/users/7/secrets/", "/users/7%2Fsecrets"),
        *("/users/7/secrets;x", "/status/", "/Status", "/status%2F", "/users//secrets"),
    ],
)
def test_another_path_is_another_path_for_the_upstream_too(site: Site, target: str) -> None:
    chosen = plan(site, target)

    assert chosen.service.name == str(FALLBACK)
    assert decide(GUARDED, Request("GET", asked_for(chosen))) == FALLBACK


@pytest.mark.parametrize(
    "target",
    [
        *(
            "/..%2fadmin",
            "/x%2F..%2Fadmin",
            "/x/..;/admin",
            "/.;x/admin",
            "/\\admin",
            "/%5c../admin",
        ),
        *("/admin%00", "/%0", "/%zzadmin", "/x/..%5Cadmin", "admin", "/admin#x"),
    ],
)
def test_what_servers_would_read_differently_is_refused(site: Site, target: str) -> None:
    with pytest.raises(MessageError) as caught:
        plan(site, target)
    assert caught.value.code == 400


@pytest.mark.parametrize("host", ["internal.example", "INTERNAL.example.", "internal.example:1"])
def test_every_spelling_of_a_host_is_that_host(site: Site, host: str) -> None:
    assert plan(site, "/x", host).service.name == "5"


@pytest.mark.parametrize(
    ("lines", "service"),
    [
        ("\r\nx-BETA:1", 4),
        ("\r\nX-Beta: 1\r\nX-Beta: 1", FALLBACK),
        ("\r\nX-Beta: 1\r\nConnection: x-beta", FALLBACK),
        ("\r\nX_Beta: 1", FALLBACK),
        ("\r\nX-Other: X-Beta: 1", FALLBACK),
    ],
)
def test_a_header_counts_only_as_the_upstream_gets_it(site: Site, lines: str, service: int) -> None:
    assert plan(site, "/x", lines=lines).service.name == str(service)


def test_a_remembered_route_is_never_another_request_s(site: Site) -> None:
    for _ in range(4):
        assert plan(site, "/x", lines="\r\nX-Beta: 1").service.name == "4"
        assert plan(site, "/x", lines="\r\nX-Beta: 2").service.name == str(FALLBACK)
        assert plan(site, "/x", "internal.example").service.name == "5"
        assert plan(site, "/x").service.name == str(FALLBACK)


PIECES = st.sampled_from(
    (
        *(
            "/",
            "//",
            "/./",
            "/../",
            "%2F",
            "%2f",
            "%2e",
            "..",
            ".",
            ";",
            "%3B",
            "%5C",
            "%25",
            "%61",
        ),
        *("admin", "Admin", "dmin", "users", "7", "secrets", "status", "tenants", "?", "/admin"),
    )
)


@given(st.lists(PIECES, max_size=8).map(lambda pieces: "/" + "".join(pieces)))
@settings(deadline=None, max_examples=1000)
def test_the_route_is_the_oracle_s_for_the_path_that_the_upstream_sees(
    site: Site, target: str
) -> None:
    try:
        chosen = site.plan(f"GET {target} HTTP/1.1\r\nHost: a".encode(), 0.0, trusted=False)
    except MessageError:
        return
    request = Request("GET", asked_for(chosen))

    assert chosen.service.name == str(decide(GUARDED, request))
    # Whoever normalises once more sees the same.
    assert RequestHead(request.head).path.decode() == request.path
