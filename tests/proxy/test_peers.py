from ipaddress import ip_network

import pytest

from uaitools.proxy.peers import ADDRESSES, Peers

PEERS = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]


@pytest.mark.parametrize(
    ("host", "address", "trusted"),
    [
        ("10.1.2.3", b"10.1.2.3", True),
        ("11.1.2.3", b"11.1.2.3", False),
        ("2001:0db8::0:1", b"2001:db8::1", True),
        ("fe80::1%eth0", b"fe80::1", False),
        ("::ffff:10.1.2.3", b"10.1.2.3", True),  # as a listener for both sees it
    ],
)
def test_a_peer_is_known_by_its_address(host: str, address: bytes, *, trusted: bool) -> None:
    peers = Peers(PEERS)

    assert peers.find(host) == peers.find(host) == (address, trusted)


@pytest.mark.parametrize("host", ["", "unknown", "10.1.2", "10.1.2.3:80"])
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Peers(PEERS).find(host)


def test_what_is_remembered_is_bounded() -> None:
    peers = Peers([])
    for number in range(ADDRESSES + 10):
        peers.find(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")

    assert repr(peers) == "<Peers known=10 trusted=0>"


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 10.0.0.1", "192.0.2.1"),
        ("203.0.113.9, 192.0.2.1, 10.0.0.1", "192.0.2.1"),  # 203.0.113.9 is anybody's invention
        ("10.0.0.2, 10.0.0.1", "10.0.0.2"),
        ("192.0.2.1, ::ffff:10.0.0.1", "192.0.2.1"),
        ("192.0.2.1:1234, [2001:db8::1]:80", "192.0.2.1"),
        ("unknown, 10.0.0.1", "10.0.0.1"),
        ("192.0.2.1, unknown", ""),
        ("", ""),
    ],
)
def test_the_client_is_the_first_address_from_the_right_that_is_not_trusted(
    chain: str, client: str
) -> None:
    assert Peers(PEERS).client(chain) == client
