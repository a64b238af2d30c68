import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uaitools.proxy.http1.grammar import MessageError
from uaitools.proxy.http1.target import normalise, parse_target

# What paths that mean two things are made of.
PARTS = (
    b"/",
    b"//",
    b".",
    b"..",
    b"a",
    b"a b",
    b";",
    b"\\",
    b"%2e",
    b"%2E",
    b"%2f",
    b"%2F",
    b"%5c",
    b"%25",
    b"%00",
    b"%3b",
    b"%c3%a9",
    b"%7e",
    b"%",
    b"%4",
    b"1",
)
PATHS = st.lists(st.sampled_from([part for part in PARTS if b" " not in part]), max_size=12).map(
    lambda parts: b"/" + b"".join(parts)
)
BYTES = st.binary(max_size=24).map(lambda data: b"/" + data)


def test_origin_form_is_a_path_and_a_query() -> None:
    assert parse_target(b"/a/b?c=d?e", b"GET") == (b"/a/b", b"?c=d?e", None)


def test_empty_query_keeps_its_mark() -> None:
    assert parse_target(b"/a?", b"GET") == (b"/a", b"?", None)


def test_query_is_left_as_it_came() -> None:
    assert parse_target(b"/?../%2e%zz\\//", b"GET")[1] == b"?../%2e%zz\\//"


@pytest.mark.parametrize(
    ("target", "path", "query", "authority"),
    [
        (b"http://a/b?c", b"/b", b"?c", b"a"),
        (b"HTTP://A:80/", b"/", b"", b"A:80"),
        (b"https://a", b"/", b"", b"a"),
        (b"http://a?c", b"/", b"?c", b"a"),
        (b"http://[::1]:80/a/../b", b"/b", b"", b"[::1]:80"),
    ],
)
def test_absolute_form_has_an_authority_as_well(
    target: bytes, path: bytes, query: bytes, authority: bytes
) -> None:
    assert parse_target(target, b"GET") == (path, query, authority)


def test_asterisk_is_for_options_only() -> None:
    assert parse_target(b"*", b"OPTIONS") == (b"*", b"", None)
    with pytest.raises(MessageError):
        parse_target(b"*", b"GET")


@pytest.mark.parametrize(
    "target",
    [
        b"a",
        b"a/b",
        b"?a",
        b"a.example:80",
        b"ftp://a/",
        b"http:/a",
        b"http:///a",
        b"http://",
        b"http://user@a/",
        b"http://user:pw@a/",
        b"http://a:b/",
        b"http://[::1/",
        b"http://a\\b/",
        b"ws://a/",
        b"**",
        b"*/",
    ],
)
def test_any_other_form_is_400(target: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        parse_target(target, b"OPTIONS")
    assert caught.value.code == 400


@pytest.mark.parametrize("byte", [*range(0x21), 0x23, *range(0x7F, 0x100)])
@pytest.mark.parametrize("around", [b"/a%bb", b"/;%b", b"/?%b", b"http://a/%b", b"http://a%b/"])
def test_ctl_space_hash_and_non_ascii_bytes_are_400(byte: int, around: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        parse_target(around % bytes((byte,)), b"GET")
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        (b"/", b"/"),
        (b"//", b"/"),
        (b"///a//b///", b"/a/b/"),
        (b"/a/./b", b"/a/b"),
        (b"/a/../b", b"/b"),
        (b"/a/b/..", b"/a/"),
        (b"/a/b/.", b"/a/b/"),
        (b"/a/..", b"/"),
        (b"/..", b"/"),
        (b"/../../a", b"/a"),
        (b"/a//../b", b"/b"),
        (b"/.a/..b/...", b"/.a/..b/..."),
        (b"/%2e/%2E%2e/a", b"/a"),
        (b"/a/%2e%2e/b", b"/b"),
        (b"/a/.%2e/b", b"/b"),
        (b"/%61%7e%2D%5f", b"/a~-_"),
        (b"/a%2fb", b"/a%2Fb"),
        (b"/a%2Fb/../c", b"/c"),
        (b"/caf%c3%a9", b"/caf%C3%A9"),
        (b"/%252e%252e/a", b"/%252e%252e/a"),
        (b"/a;b=c/d;e", b"/a;b=c/d;e"),
        (b"/a..;x/b", b"/a..;x/b"),
        (b"/a%20b%3f", b"/a%20b%3F"),
        (b"/%5ca", b"/%5Ca"),
    ],
)
def test_a_path_has_one_spelling(path: bytes, normal: bytes) -> None:
    assert normalise(path) == normal
    assert parse_target(path, b"GET") == (normal, b"", None)


@pytest.mark.parametrize(
    "path",
    [
        b"/a\\b",
        b"/..\\a",
        b"/a%00",
        b"/%00",
        b"/%",
        b"/%2",
        b"/%zz",
        b"/%2%65",
        b"/%%32e",
        b"/%u002e",
        b"/..%2f",
        b"/..%2fa",
        b"/a/..%2Fb/c",
        b"/%2e%2e%2fa",
        b"/a%2f..",
        b"/a%2f../b",
        b"/a%2f..%2fb",
        b"/a%2f.",
        b"/a/.%2fb",
        b"/..%5ca",
        b"/a%5c..",
        b"/..;x",
        b"/..;",
        b"/a/..;x/b",
        b"/a/.;/b",
        b"/%2e%2e;x/b",
        b"/a%2f..;x",
    ],
)
def test_a_path_that_servers_read_in_two_ways_is_400(path: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        normalise(path)
    assert caught.value.code == 400


@given(st.one_of(PATHS, BYTES))
@settings(deadline=None, max_examples=400)
def test_normalising_again_changes_nothing(path: bytes) -> None:
    try:
        normal = normalise(path)
    except MessageError:
        return

    assert normalise(normal) == normal


@given(PATHS)
@settings(deadline=None, max_examples=400)
def test_no_dot_segment_survives_however_the_upstream_reads_the_path(path: bytes) -> None:
    try:
        normal = normalise(path)
    except MessageError:
        return

    assert normal.startswith(b"/")
    assert b"//" not in normal
    without_parameters = re.sub(rb";[^/]*", b"", normal)
    for reading in (normal, unquote_to_bytes(normal), unquote_to_bytes(without_parameters)):
        assert not {b".", b".."} & set(re.split(rb"[/\\]", reading))


@given(PATHS, st.sampled_from((b"", b"?", b"?a=b/../c")))
@settings(deadline=None)
def test_the_short_way_for_normal_targets_gives_the_same(path: bytes, query: bytes) -> None:
    try:
        expected = normalise(path)
    except MessageError:
        with pytest.raises(MessageError):
            parse_target(path + query, b"GET")
    else:
        assert parse_target(path + query, b"GET") == (expected, query, None)
