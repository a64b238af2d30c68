"""The order of routes: by tables, and against a matcher that looks at every route."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proxy.routing.linear import Request, Spec, decide
from uaitools.proxy.http1.request import RequestHead
from uaitools.proxy.routing.router import Route, RouteError, Router


def found(router: Router, request: Request) -> int | tuple[int, frozenset[str]]:
    """What the router says, in the oracle's terms."""
    head = RequestHead(request.head)
    try:
        route = router.match(head.method, head.path, head.host, head.lines, head.query)
    except RouteError as error:
        return error.code, frozenset(error.allow.decode().split(", ") if error.allow else ())
    assert route.service is not None
    return int(route.service)


def router(specs: list[Spec]) -> Router:
    return Router([spec.route(str(index)) for index, spec in enumerate(specs)])


# Each takes GET /a/b/c on x.a.org with version 2 and beta 1, the first before the second.
PAIRS = {
    "an exact host before a wildcard": (Spec("/", host="x.a.org"), Spec("/a/b/c", host="*.a.org")),
    "a long wildcard before a short one": (Spec("/", host="*.a.org"), Spec("/a", host="*.org")),
    "a wildcard before any host": (Spec("/", host="*.org"), Spec("/a/b/c", exact=True)),
    "an exact path before a template": (Spec("/a/b/c", exact=True), Spec("/a/b/{c}")),
    "more literal segments first": (Spec("/{a}/b/c"), Spec("/a/{b}/{c}")),
    "of as many the first literal": (Spec("/a/{b}/c"), Spec("/{a}/b/c")),
    "a template before a prefix": (Spec("/{a}/{b}/{c}"), Spec("/a/b/c")),
    "a template before one with a tail": (Spec("/{a}/{b}/{c}"), Spec("/a/b/{c...}")),
    "the longest prefix": (Spec("/a/b"), Spec("/a")),
    "a long prefix before a short tail": (Spec("/a/b"), Spec("/a/{rest...}")),
    "a long tail before a short prefix": (Spec("/{a}/{b}/{rest...}"), Spec("/a")),
    "a literal prefix before a parameter": (Spec("/a"), Spec("/{a}/{rest...}")),
    "a tail before its prefix": (Spec("/a/{rest...}"), Spec("/a")),
    "a longer path before a condition": (Spec("/a/b"), Spec("/a", headers={"X-V": "2"})),
    "a condition before none": (Spec("/a", headers={"X-V": "2"}), Spec("/a")),
    "two conditions before one": (
        Spec("/a", headers={"X-V": "*"}, query={"beta": "1"}),
        Spec("/a", headers={"X-V": "2"}),
    ),
    "methods are a condition": (Spec("/a", methods=("GET",)), Spec("/a")),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_the_more_specific_route_wins_in_any_order(pair: tuple[Spec, Spec]) -> None:
    request = Request("GET", "/a/b/c", "x.a.org", (("X-V", "2"),), "beta=1")

    assert found(router(list(pair)), request) == 0
    assert found(router(list(pair)[::-1]), request) == 1
    assert decide(pair, request) == 0


def test_what_is_equally_specific_is_decided_by_the_order_of_the_file() -> None:
    one, other = Spec("/a", headers={"X-V": "2"}), Spec("/a", query={"beta": "1"})
    request = Request("GET", "/a", headers=(("X-V", "2"),), query="beta=1")

    assert found(router([one, other]), request) == 0
    assert found(router([other, one]), request) == 0


def test_a_condition_that_does_not_hold_leaves_the_request_to_the_next_route() -> None:
    table = router([Spec("/a/b", headers={"X-V": "2"}), Spec("/a")])

    assert found(table, Request("GET", "/a/b", headers=(("x-v", "2"),))) == 0
    assert found(table, Request("GET", "/a/b", headers=(("X-V", "3"),))) == 1
    assert found(table, Request("GET", "/a/b")) == 1


def test_two_values_of_one_header_or_parameter_are_neither() -> None:
    table = router([Spec("/", headers={"X-V": "2"}), Spec("/", query={"b": "1"}), Spec("/")])

    assert found(table, Request("GET", "/", headers=(("X-V", "1"), ("X-V", "2")))) == 2
    assert found(table, Request("GET", "/", query="b=1&b=2")) == 2


def test_a_wrong_method_falls_through_to_no_wider_route() -> None:
    table = router([Spec("/a/{id}", methods=("GET",)), Spec("/a"), Spec("/", host="a")])

    assert found(table, Request("POST", "/a/7", host="b")) == (405, frozenset({"GET", "HEAD"}))
    assert found(table, Request("POST", "/a/7/", host="b")) == 1


def test_allow_names_the_methods_of_routes_whose_other_conditions_hold() -> None:
    table = router(
        [
            Spec("/a", methods=("GET",), headers={"X-V": "2"}),
            Spec("/a", methods=("PUT",)),
            Spec("/a", methods=("DELETE",), query={"beta": "*"}),
        ]
    )

    assert found(table, Request("POST", "/a")) == (405, frozenset({"PUT"}))
    request = Request("POST", "/a", headers=(("X-V", "2"),), query="beta")
    assert found(table, request) == (405, frozenset({"GET", "HEAD", "PUT", "DELETE"}))


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/users/7", 0),
        ("/users/a%2Fb", 0),
        ("/users/7/", None),
        ("/users/", None),
        ("/users", None),
        ("/users/7/posts", None),
        ("/files/", 1),
        ("/files/a/b/", 1),
        ("/files", None),
        ("/exact", 2),
        ("/exact/", None),
        ("/exact/a", None),
        ("/Exact", None),
        ("/dir/x/", 3),
        ("/dir/x", None),
    ],
)
def test_a_template_takes_whole_segments_and_an_exact_path_itself(
    path: str, taken: int | None
) -> None:
    specs = [
        Spec("/users/{id}"),
        Spec("/files/{rest...}"),
        Spec("/exact", exact=True),
        Spec("/dir/{x}/"),
    ]

    assert found(router(specs), Request("GET", path)) == (
        taken if taken is not None else (404, frozenset())
    )


@pytest.mark.parametrize(
    ("host", "taken"),
    [("A.Org", 0), ("a.org:80", 0), ("a.org.", 0), ("b.a.org", 1), ("c.b.a.org", 1), ("org", 2)],
)
def test_a_route_with_a_host_takes_that_host_only(host: str, taken: int) -> None:
    specs = [Spec("/", host="a.org"), Spec("/", host="*.a.org"), Spec("/")]

    assert found(router(specs), Request("GET", "/", host)) == taken


def test_the_asterisk_of_options_is_no_path() -> None:
    assert found(router([Spec("/"), Spec("/{a...}")]), Request("OPTIONS", "*"))[0] == 404  # type: ignore[index]


# -- against the oracle -----------------------------------------------------------------------

WORDS = st.sampled_from(("a", "b", "a%2Fb", "c.d"))
PLACES = st.sampled_from(("a", "b", "{x}", "{y}", "{z}"))
HOSTS = st.sampled_from(("", "", "h.org", "x.h.org", "*.h.org", "*.org"))
VALUES = st.sampled_from(("1", "2", "*"))
METHODS = st.lists(st.sampled_from(("GET", "POST", "PUT")), unique=True, max_size=2).map(tuple)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    places = draw(st.lists(PLACES, max_size=3, unique=True))
    path = "/" + "/".join(places)
    if draw(st.booleans()) and not path.endswith("/"):
        path += draw(st.sampled_from(("/", "/{rest...}")))
    asked = st.dictionaries(st.sampled_from(("X-V", "x-w")), VALUES, max_size=2)
    return Spec(
        path,
        draw(HOSTS),
        "{" not in path and draw(st.booleans()),
        draw(METHODS),
        draw(st.one_of(st.just({}), asked)),
        draw(st.one_of(st.just({}), st.dictionaries(st.just("q"), VALUES))),
    )


REQUESTS = st.builds(
    Request,
    st.sampled_from(("GET", "HEAD", "POST", "BREW")),
    st.lists(WORDS, max_size=4).map(lambda words: "/" + "/".join(words)),
    st.sampled_from(("h.org", "X.h.org:80", "y.x.h.org", "other", "h.org.")),
    st.lists(st.tuples(st.sampled_from(("X-V", "x-v", "X-W")), st.sampled_from("123"))).map(tuple),
    st.sampled_from(("", "q=1", "q=2&r=1", "%71=1", "q=1&q=1", "q")),
)


@given(st.lists(specs(), max_size=12), st.lists(REQUESTS, min_size=1, max_size=5))
@settings(deadline=None, max_examples=500)
def test_the_index_finds_what_a_look_at_every_route_finds(
    table: list[Spec], requests: list[Request]
) -> None:
    index = router(table)

    for request in requests:
        assert found(index, request) == decide(table, request)


@given(st.lists(specs(), max_size=12), st.lists(REQUESTS, min_size=2, max_size=8))
@settings(deadline=None)
def test_requests_with_one_key_take_one_route(table: list[Spec], requests: list[Request]) -> None:
    index = router(table)
    seen: dict[bytes, object] = {}

    for request in [*requests, *requests]:  # from the third time on the questions are remembered
        key = index.key(RequestHead(request.head))
        assert seen.setdefault(key, found(index, request)) == found(index, request)


@pytest.mark.parametrize(
    "table",
    [
        [Spec("/a/b", headers={"X-V": "2"}), Spec("/a", headers={"X-W": "1"}), Spec("/")],
        [Spec("/a/b", query={"q": "1"}), Spec("/a", headers={"X-W": "1"}, host="a")],
        [Spec("/a/b", headers={"X-W": "*"}), Spec("/a", headers={"X-W": "1"}), Spec("/")],
    ],
)
def test_keys_tell_apart_what_any_level_looks_at(table: list[Spec]) -> None:
    index = router(table)
    requests = [
        Request("GET", "/a/b", host, headers, query)
        for host in "ab"
        for headers in ((), (("X-V", "2"),), (("X-W", "1"),), (("X-W", "7"),))
        for query in ("", "q=1")
    ]
    by_key: dict[bytes, set[object]] = {}

    for request in requests:
        key = index.key(RequestHead(request.head))
        by_key.setdefault(key, set()).add(found(index, request))

    assert all(len(routes) == 1 for routes in by_key.values())


def test_keys_hold_what_routes_look_at_and_nothing_else() -> None:
    plain = router([Spec("/a")])
    table = router([Spec("/a", host="*.a.org", headers={"X-V": "2"}), Spec("/b")])

    def key(of: Router, path: str, host: str, version: str) -> bytes:
        return of.key(RequestHead(Request("GET", path, host, (("X-V", version),)).head))

    assert plain.plain
    assert key(plain, "/a", "x.a.org", "2") == key(plain, "/a", "b", "3") == b"GET/a"
    assert not table.plain
    assert key(table, "/b", "x.a.org", "2") == key(table, "/b", "y.a.org", "3")
    assert key(table, "/a", "x.a.org", "7") == key(table, "/a", "y.a.org", "8")
    assert len({key(table, "/a", host, v) for host in ("x.a.org", "b") for v in "234"}) == 3


def test_a_thousand_hosts_paths_and_values_are_each_found() -> None:
    table = Router(
        [
            *(Route(b"/", f"h{n}", host=b"h%d.org" % n) for n in range(1000)),
            *(Route(b"/p%d/{id}" % n, f"p{n}") for n in range(1000)),
            *(Spec("/v", headers={"X-V": str(n)}).route(f"v{n}") for n in range(1000)),
        ]
    )

    for n in (0, 1, 500, 999):
        assert table.match(b"GET", b"/x", b"h%d.org" % n).service == f"h{n}"
        assert table.match(b"GET", b"/p%d/7" % n, b"x").service == f"p{n}"
        assert table.match(b"GET", b"/v", b"x", b"\r\nX-V: %d" % n).service == f"v{n}"
