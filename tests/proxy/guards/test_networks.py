from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest

from uaitools.proxy.guards.networks import ADDRESSES, Networks

INSIDE = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]
HOST = [ip_network("10.6.6.6/32")]


@pytest.mark.parametrize(
    ("allow", "deny", "address", "admitted"),
    [
        ([], HOST, b"10.6.6.6", False),
        ([], HOST, b"10.6.6.7", True),
        (INSIDE, [], b"10.1.2.3", True),
        (INSIDE, [], b"11.1.2.3", False),
        (INSIDE, [], b"2001:db8::7", True),
        (INSIDE, HOST, b"10.6.6.6", False),  # deny is stronger
        (INSIDE, HOST, b"::ffff:10.6.6.6", False),  # the same host, spelt as IPv6
        (INSIDE, HOST, b"::ffff:10.1.2.3", True),
        (INSIDE, [], b"", False),  # behind a unix socket
        ([], HOST, b"", True),
    ],
)
def test_an_address_is_judged_by_both_lists(
    allow: list[IPv4Network | IPv6Network],
    deny: list[IPv4Network | IPv6Network],
    address: bytes,
    *,
    admitted: bool,
) -> None:
    networks = Networks(allow, deny)

    assert networks.admits(address) is networks.admits(address) is admitted


def test_what_is_remembered_is_bounded() -> None:
    networks = Networks(INSIDE, [])
    for number in range(ADDRESSES + 10):
        networks.admits(b"10.%d.%d.%d" % (number >> 16, number >> 8 & 255, number & 255))

    assert len(networks._known) <= ADDRESSES  # noqa: SLF001 - no other way to see it
