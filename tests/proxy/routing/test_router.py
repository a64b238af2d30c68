import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uaitools.proxy.routing.router import NativeRoute, Route, RouteError, Router

CHAT = Route(b"/api/chat", "chat", methods=frozenset({b"POST"}))
MEMORY = Route(b"/api/memory", "memory", rewrite=b"/memories")
API = Route(b"/api", "api")
NATIVE = Route(b"/", "proxy")

SEGMENTS = st.lists(st.sampled_from((b"a", b"b", b"ab", b"a%2Fb")), max_size=4)
PATHS = st.builds(lambda parts, end: b"/" + b"/".join(parts) + end, SEGMENTS, st.just(b""))


def refusal(router: Router, method: bytes, path: bytes) -> RouteError:
    with pytest.raises(RouteError) as caught:
        router.match(method, path)
    return caught.value


@pytest.mark.parametrize(
    ("path", "service"),
    [
        (b"/api/chat", "chat"),
        (b"/api/chat/", "chat"),
        (b"/api/chat/7", "chat"),
        (b"/api/chats", "api"),
        (b"/api/chat%2F7", "api"),
        (b"/api/cha", "api"),
        (b"/api", "api"),
        (b"/api/", "api"),
        (b"/api/x/y/z/api/chat", "api"),
    ],
)
def test_prefixes_match_on_segment_boundaries_longest_first(path: bytes, service: str) -> None:
    for routes in ([API, MEMORY, CHAT], [CHAT, API, MEMORY]):
        assert Router(routes).match(b"POST", path).service == service


@pytest.mark.parametrize("path", [b"/", b"/ap", b"/apis", b"/Api/chat", b"*"])
def test_no_route_is_404(path: bytes) -> None:
    assert refusal(Router([API, CHAT]), b"POST", path).code == 404
    assert refusal(Router([]), b"POST", path).code == 404


@pytest.mark.parametrize("path", [b"/", b"/a", b"/a/b/"])
def test_the_root_takes_every_path(path: bytes) -> None:
    assert Router([Route(b"/", "all")]).match(b"GET", path).service == "all"


def test_a_final_slash_of_a_prefix_means_nothing() -> None:
    router = Router([Route(b"/api/", "api")])

    assert router.match(b"GET", b"/api").service == "api"
    assert router.match(b"GET", b"/api/a").service == "api"


def test_the_wrong_method_is_405_with_allow() -> None:
    error = refusal(Router([API, CHAT]), b"GET", b"/api/chat")

    assert error.code == 405
    assert error.allow == b"POST"


def test_allow_lists_the_methods_of_all_routes_on_the_path_and_head_with_get() -> None:
    router = Router(
        [
            Route(b"/a", "one", methods=frozenset({b"POST", b"GET"})),
            Route(b"/a", "two", methods=frozenset({b"PUT"})),
        ]
    )

    assert router.match(b"PUT", b"/a").service == "two"
    assert router.match(b"HEAD", b"/a").service == "one"
    assert refusal(router, b"DELETE", b"/a").allow == b"GET, HEAD, POST, PUT"


def test_methods_are_case_sensitive() -> None:
    assert refusal(Router([CHAT]), b"post", b"/api/chat").code == 405


def test_native_paths_win_over_routes() -> None:
    native = [
        NativeRoute(b"/health", NATIVE),
        NativeRoute(re.compile(rb"/api/status(?:/.*)?"), NATIVE),
    ]
    router = Router([Route(b"/", "all"), Route(b"/api/status/x", "mine")], native)

    assert router.match(b"GET", b"/health") is NATIVE
    assert router.match(b"DELETE", b"/health") is NATIVE
    assert router.match(b"GET", b"/api/status") is NATIVE
    assert router.match(b"GET", b"/api/status/x") is NATIVE
    assert router.match(b"GET", b"/health/").service == "all"
    assert router.match(b"GET", b"/api/statuses").service == "all"


@pytest.mark.parametrize(
    ("prefix", "rewrite", "path", "upstream"),
    [
        (b"/api/memory", None, b"/api/memory/7", b"/api/memory/7"),
        (b"/api/memory", b"/memories", b"/api/memory", b"/memories"),
        (b"/api/memory", b"/memories", b"/api/memory/7/", b"/memories/7/"),
        (b"/api/memory", b"/memories/", b"/api/memory/7", b"/memories/7"),
        (b"/api/memory/", b"/memories", b"/api/memory/7", b"/memories/7"),
        (b"/api/memory", b"/", b"/api/memory", b"/"),
        (b"/api/memory", b"/", b"/api/memory/", b"/"),
        (b"/api/memory", b"/", b"/api/memory/7", b"/7"),
        (b"/", b"/v1", b"/", b"/v1/"),
        (b"/", b"/v1", b"/a", b"/v1/a"),
        (b"/", b"/", b"/a", b"/a"),
        (b"/a", b"/b", b"/a/a", b"/b/a"),
    ],
)
def test_a_rewrite_replaces_the_prefix(
    prefix: bytes, rewrite: bytes | None, path: bytes, upstream: bytes
) -> None:
    assert Route(prefix, "a", rewrite=rewrite).upstream_path(path) == upstream


@given(st.lists(PATHS, max_size=6, unique=True), PATHS)
@settings(deadline=None)
def test_the_route_is_the_longest_that_a_scan_of_all_finds(
    prefixes: list[bytes], path: bytes
) -> None:
    router = Router([Route(prefix, prefix.decode()) for prefix in prefixes])

    found = [p for p in prefixes if (path + b"/").startswith(p.rstrip(b"/") + b"/")]
    if found:
        assert router.match(b"GET", path).path == max(found, key=len)
    else:
        assert refusal(router, b"GET", path).code == 404
