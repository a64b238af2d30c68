import re
from ipaddress import IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from uaitools.registry.address import valid_address
from uaitools.registry.checks.target import PATH_LIMIT, url, valid_path


@pytest.mark.parametrize(
    "path", ["/", "/health", "/a/b?c=d&e=%20", "/a/../b", "/a//b", "/x;y=1@2:3", "/" + "a" * 1023]
)
def test_a_path_with_or_without_a_query_is_valid(path: str) -> None:
    assert valid_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "", "health", "http://other/", "//other/", "/a b", "/a\r\nHost: x", "/a\x00", "/a\x7f",
        "/ä", "/a#b", "/a\\b", "/%", "/%2", "/%zz", "/a\n", "?a", "/{x}", '/"', "/<x>",
    ],
)  # fmt: skip
def test_a_path_that_could_be_anything_else_is_not(path: str) -> None:
    with pytest.raises(ValueError, match="begins with one '/'"):
        valid_path(path)


def test_a_path_has_a_limit() -> None:
    with pytest.raises(ValueError, match=f"at most {PATH_LIMIT} characters"):
        valid_path("/" + "a" * PATH_LIMIT)


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "::1", "2001:db8::1", "fe80::1%eth0", "localhost", "a-b.c_d.test", "x.test.", "a"],
)
def test_an_address_is_ipv4_ipv6_or_a_host_name(address: str) -> None:
    assert valid_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "", "a:80", "[::1]", "a@b", "a/b", "a b", "ä.test", "a..b", "-a", "a-", ".a", "a" * 64,
        "a." * 130, "fe80::1%", "fe80::1%a/b", "fe80::1%a]@b", "10.0.0.1%eth0", "1::2::3", "a\n",
        "unix:/x", "a?b", "a#b", "a%41",
    ],
)  # fmt: skip
def test_an_address_is_nothing_else(address: str) -> None:
    with pytest.raises(ValueError, match="IPv4 or IPv6 address or a host name"):
        valid_address(address)


texts = st.text(st.sampled_from("ab01.:/?#@%[]\\ \r\n-_\u00e4"), max_size=12)


@given(texts, st.integers(1, 65535), texts)
@example("a", 80, "//b/")
@example("a@b", 80, "/")
@example("::ffff:10.0.0.1", 80, "/%41?@b:1/")
def test_a_url_is_of_the_given_address_and_port_or_there_is_none(
    address: str, port: int, path: str
) -> None:
    try:
        text = url("http", address, port, path)
    except ValueError:
        return
    found = URL(text, encoded=True)

    host = found.host or ""
    if ":" in address:
        assert IPv6Address(host) == IPv6Address(address)
    else:
        assert host == address
    assert (found.scheme, found.explicit_port, found.raw_path_qs) == ("http", port, path)
    assert (found.user, found.password, found.raw_fragment) == (None, None, "")
    assert re.fullmatch(r"[\x21-\x7e]+", text)
