import pytest

from uaitools.addresses import Address, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:8081", "127.0.0.1", 8081, True),
        ("127.9.9.9:1", "127.9.9.9", 1, True),
        ("localhost:0", "localhost", 0, True),
        ("[::1]:80", "::1", 80, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        ("[::]:80", "::", 80, False),
        ("edge.example:80", "edge.example", 80, False),
    ],
)
def test_an_address_is_read_and_written(text: str, host: str, port: int, loopback: bool) -> None:
    address = parse_address(text)

    assert address == Address(host, port)
    assert address.loopback is loopback
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["", "8081", ":8081", "host:", "::1:80", "[::1]", "[x]:80", "a b:80", "h:65536", "h:-1"]
)
def test_a_bad_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|at most 65535|in 'x'"):
        parse_address(text)
