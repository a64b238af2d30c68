from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.limits.keys import address_key, call_key, field_value, principal_key

HERE = "192.0.2.1"


def header_key(name: str, value: bytes | None, address: str = HERE) -> bytes:
    return call_key(f"header:{name}", address=address, principal=None, route="/", header=value)


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_a_client_however_it_is_written(number: int) -> None:
    address = IPv4Address(number)
    mapped = IPv6Address((0xFFFF << 32) | number)

    key = address_key(str(address))

    assert address_key(f"::ffff:{address}") == key
    assert address_key(str(mapped)) == key
    assert address_key(mapped.exploded) == key
    assert address_key(str(IPv4Address(number ^ 1))) != key


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_an_ipv6_client_is_its_64_bit_network(network: int, one: int, two: int) -> None:
    addresses = [IPv6Address((network << 64) | host) for host in (one, two)]
    if any(address.ipv4_mapped for address in addresses):
        return

    assert address_key(str(addresses[0])) == address_key(addresses[1].exploded.upper())
    other = IPv6Address(((network ^ 1) << 64) | one)
    assert address_key(str(other)) != address_key(str(addresses[0]))


def test_a_zone_is_no_part_of_a_client() -> None:
    assert address_key("fe80::1%eth0") == address_key("fe80::1%eth1")


def test_a_unix_socket_s_peer_is_one_client() -> None:
    assert address_key("") == address_key("")
    assert len(address_key("x" * 10_000)) <= 66


def test_principals_addresses_routes_and_headers_never_share_a_bucket() -> None:
    keys = {
        address_key("1.2.3.4"),
        principal_key("1.2.3.4"),
        header_key("x-user", b"1.2.3.4"),
        call_key("route", address=HERE, principal=None, route="1.2.3.4", header=None),
    }

    assert len(keys) == 4


def test_an_anonymous_call_is_counted_for_its_address() -> None:
    def key(principal: str | None) -> bytes:
        return call_key("principal", address=HERE, principal=principal, route="/", header=None)

    assert key(None) == address_key(HERE)
    assert key("ann") == principal_key("ann")
    assert key("ann") != key("Ann")


@pytest.mark.parametrize("value", [None, b"", b" ", b"\t"])
def test_leaving_a_header_out_counts_for_the_address(value: bytes | None) -> None:
    assert header_key("x-api-key", value) == address_key(HERE)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (
            "host",
            [b"api.example.com", b"API.Example.COM", b"api.example.com.", b" api.example.com "],
        ),
        ("host", [b"a.example:8081", b"A.EXAMPLE.:8081"]),
        ("origin", [b"https://a.example", b"HTTPS://A.example"]),
        ("authorization", [b"Bearer abc", b"bearer abc", b"BEARER   abc", b"\tBearer abc\t"]),
        ("x-api-key", [b"abc", b" abc", b"abc\t"]),
    ],
)
def test_values_that_mean_the_same_are_one_key(name: str, values: list[bytes]) -> None:
    assert len({header_key(name, value) for value in values}) == 1


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("x-api-key", [b"abc", b"ABC", b"a%62c"]),
        ("authorization", [b"Bearer abc", b"Bearer ABC", b"Basic abc"]),
        ("host", [b"a.example", b"b.example", b"a.example:80"]),
    ],
)
def test_values_that_differ_are_keys_of_their_own(name: str, values: list[bytes]) -> None:
    assert len({header_key(name, value) for value in values}) == len(values)


def test_a_header_s_name_has_no_case() -> None:
    assert header_key("Host", b"A") == header_key("hOST", b"a")


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_a_key_is_bounded_and_long_values_stay_apart(one: bytes, two: bytes) -> None:
    keys = [header_key("x-key", value) for value in (one, two)]

    assert all(len(key) <= 66 for key in keys)
    same = field_value("x-key", one) == field_value("x-key", two)
    assert (keys[0] == keys[1]) is same


def test_a_digest_cannot_be_sent_as_the_value_that_it_stands_for() -> None:
    long = header_key("x-key", b"x" * 100)

    assert header_key("x-key", long.removeprefix(b"h#")) != long
    assert header_key("x-key", long.removeprefix(b"h")) != long
