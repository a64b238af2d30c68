import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.proxy.http1.target import normalise
from uaitools.proxy.routing.pattern import fill, parse_pattern, placeholders
from uaitools.proxy.routing.router import Route


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (b"/a/{}", "a whole segment"),
        (b"/a/x{id}", "a whole segment"),
        (b"/a/{id}x", "a whole segment"),
        (b"/a/{1d}", "a whole segment"),
        (b"/a/{id", "a whole segment"),
        (b"/a/id}", "a whole segment"),
        (b"/{a}/{a}", "named twice"),
        (b"/{path}", "path, query, host"),
        (b"/{rest...}/a", "stands at the end"),
    ],
)
def test_a_template_of_another_form_is_refused(path: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_pattern(path)


def test_a_template_is_exact_already() -> None:
    with pytest.raises(ValueError, match="exact already"):
        parse_pattern(b"/{id}", exact=True)


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        (b"/users/{id}", b"/users/7", {b"id": b"7"}),
        (b"/{a}/x/{b}", b"/1/x/2", {b"a": b"1", b"b": b"2"}),
        (b"/users/{id}", b"/users/a%2Fb", {b"id": b"a%2Fb"}),
        (b"/f/{rest...}", b"/f/", {b"rest": b""}),
        (b"/f/{rest...}", b"/f/a/b/", {b"rest": b"a/b/"}),
        (b"/{t}/f/{rest...}", b"/x/f/a", {b"t": b"x", b"rest": b"a"}),
        (b"/a", b"/a", {}),
    ],
)
def test_parameters_are_the_segments_as_they_came(
    template: bytes, path: bytes, values: dict[bytes, bytes]
) -> None:
    assert parse_pattern(template).parameters(path) == values


def test_placeholders_are_filled_in() -> None:
    assert placeholders(b"/{a}/{b}") == [b"a", b"b"]
    assert fill(b"/{b}/x/{a}", {b"a": b"1", b"b": b"{a}"}) == b"/{a}/x/1", "once, not again"


SEGMENT = st.sampled_from((b"a", b"b%2Fc", b"...", b".x", b"%2E", b"..a", b";", b"%252e%252e"))


@given(SEGMENT, st.lists(SEGMENT, max_size=3), st.booleans())
def test_what_a_template_rewrites_is_as_normal_as_what_came(
    first: bytes, rest: list[bytes], slash: bool
) -> None:
    path = normalise(b"/" + first + b"/f/" + b"/".join(rest) + (b"/" if slash else b""))
    if not path.startswith(b"/" + first + b"/f/"):
        return
    route = Route(b"/{t}/f/{rest...}", "a", rewrite=b"/v2/{t}/{rest}")

    rewritten = route.upstream_path(path)

    assert normalise(rewritten) == rewritten
    assert rewritten == b"/v2" + path.replace(b"/f/", b"/", 1)
