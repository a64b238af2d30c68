"""Reading the name a client asks for; the oracle is what OpenSSL hands to its own callback."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.proxy.tls.hello import HELLO_LIMIT, server_name, speaks_http

LABEL = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
HOST = st.lists(LABEL, min_size=2, max_size=4).map(".".join)
VERSIONS = st.sampled_from([ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


def hello(name: str | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """The first bytes that OpenSSL sends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def openssl_reads(data: bytes) -> str | None:
    """The name that OpenSSL's callback is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    seen: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    incoming = ssl.MemoryBIO()
    incoming.write(data)
    with pytest.raises(ssl.SSLError):  # there is no certificate
        context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True).do_handshake()
    return seen[0] if seen else None


@given(HOST, VERSIONS)
def test_the_name_is_the_one_that_openssl_reads(name: str, version: ssl.TLSVersion) -> None:
    data = hello(name, version)

    assert server_name(data) == openssl_reads(data) == name


@given(HOST, st.data())
def test_it_takes_the_whole_message_to_know(name: str, data: st.DataObject) -> None:
    sent = hello(name)
    cut = data.draw(st.integers(0, len(sent) - 1))

    assert server_name(sent[:cut]) is None


@given(HOST, st.data())
def test_a_message_in_several_records_is_put_together(name: str, data: st.DataObject) -> None:
    sent = hello(name)
    cut = data.draw(st.integers(1, len(sent) - 6))
    body = sent[5:]
    records = b"".join(
        sent[:3] + len(part).to_bytes(2, "big") + part for part in (body[:cut], body[cut:])
    )

    assert server_name(records) == openssl_reads(records) == name


@given(st.binary(max_size=600))
def test_no_bytes_can_raise(data: bytes) -> None:
    assert server_name(data) in (None, "") or data.startswith(b"\x16")


@given(HOST, st.data())
def test_no_damage_can_raise(name: str, data: st.DataObject) -> None:
    sent = bytearray(hello(name))
    for _ in range(data.draw(st.integers(1, 4))):
        sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))

    assert isinstance(server_name(bytes(sent)), str | None)


@pytest.mark.parametrize("name", [None, "127.0.0.1", "::1"])
def test_a_client_may_send_no_name(name: str | None) -> None:
    assert server_name(hello(name)) == ""


def test_a_name_that_is_not_ascii_is_none() -> None:
    sent = hello("abcdef.test").replace(b"abcdef", b"abc\xff\xfef")

    assert server_name(sent) == ""


def test_names_are_compared_in_lower_case() -> None:
    assert server_name(hello("A.Test")) == "a.test"


def test_what_stays_incomplete_is_bounded() -> None:
    start = b"\x16\x03\x01\x40\x00\x01\xff\xff\xff"

    assert server_name(start.ljust(HELLO_LIMIT - 1, b"x")) is None
    assert server_name(start.ljust(HELLO_LIMIT, b"x")) == ""


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"POST /x", b"OPTIONS *"])
def test_plain_http_is_recognised(data: bytes) -> None:
    assert speaks_http(data)


@given(HOST, VERSIONS)
def test_no_hello_is_taken_for_http(name: str, version: ssl.TLSVersion) -> None:
    assert not speaks_http(hello(name, version))
