"""The frame reader against wsproto as a client, and every rule that a client can break."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    TextMessage,
)
from wsproto.events import Ping as SentPing
from wsproto.events import Pong as SentPong

from tests.hub.client import MASK, frame
from uaitools.hub.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    Binary,
    Close,
    Event,
    FrameReader,
    Ping,
    Pong,
    Text,
    Violation,
    encode,
    encode_close,
)

LARGEST = 64 * 1024


def read(*pieces: bytes, largest: int = LARGEST) -> list[Event]:
    reader = FrameReader(largest)
    found: list[Event] = []
    for piece in pieces:
        reader.feed(piece, found.append)
    return found


def refused(*pieces: bytes, largest: int = LARGEST) -> tuple[int, str]:
    with pytest.raises(Violation) as caught:
        read(*pieces, largest=largest)
    return caught.value.code, str(caught.value)


# -- an oracle ------------------------------------------------------------------------------

messages = st.one_of(
    st.text(max_size=300).map(lambda text: TextMessage(data=text)),
    st.binary(max_size=70_000).map(lambda data: BytesMessage(data=data)),
    st.binary(max_size=125).map(lambda payload: SentPing(payload=payload)),
    st.binary(max_size=125).map(lambda payload: SentPong(payload=payload)),
)


def told(event: object) -> Event:
    match event:
        case TextMessage(data=text):
            return Text(text)
        case BytesMessage(data=data):
            return Binary(bytes(data))
        case SentPing(payload=payload):
            return Ping(bytes(payload))
        case SentPong(payload=payload):
            return Pong(bytes(payload))
    raise AssertionError(event)


@settings(deadline=None)
@given(
    st.lists(messages, max_size=8),
    st.lists(st.integers(0, 1 << 20), max_size=8),
    st.sampled_from((None, 1000, 1001, 1011, 3000, 4999)),
    st.text(max_size=30),
)
def test_what_a_client_sends_is_read_however_it_is_cut(
    sent: list[TextMessage | BytesMessage | SentPing | SentPong],
    cuts: list[int],
    code: int | None,
    reason: str,
) -> None:
    client = Connection(ConnectionType.CLIENT)
    wire = b"".join(client.send(one) for one in sent)
    expected: list[Event] = [told(one) for one in sent]
    if code is not None:
        wire += client.send(CloseConnection(code=code, reason=reason))
        expected.append(Close(code, reason))
    places = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    pieces = [wire[begin:end] for begin, end in pairwise(places)]

    assert read(*pieces, largest=70_000) == expected


@given(
    st.text(min_size=1, max_size=60),
    st.lists(st.integers(0, 1 << 16), max_size=5),
    st.lists(st.binary(max_size=125), max_size=3),
)
def test_a_message_in_fragments_is_one_whatever_stands_between(
    text: str, cuts: list[int], pings: list[bytes]
) -> None:
    data = text.encode()
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    pieces = [data[begin:end] for begin, end in pairwise(places)]
    wire = b""
    for at, piece in enumerate(pieces):
        wire += frame(TEXT if at == 0 else CONTINUATION, piece, fin=at == len(pieces) - 1)
        if at < len(pieces) - 1:
            wire += b"".join(frame(PING, payload) for payload in pings)
    expected = [Ping(payload) for payload in pings] * (len(pieces) - 1)

    assert read(wire) == [*expected, Text(text)]
    assert read(*(bytes([byte]) for byte in wire)) == [*expected, Text(text)]


@given(st.binary(max_size=200_000))
def test_a_client_reads_what_is_encoded(payload: bytes) -> None:
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(encode(BINARY, payload) + encode_close(1001, "bye"))
    events = list(client.events())

    data = b"".join(bytes(one.data) for one in events if isinstance(one, BytesMessage))
    assert data == payload
    close = events[-1]
    assert isinstance(close, CloseConnection)
    assert (close.code, close.reason) == (1001, "bye")
    assert client.state is ConnectionState.REMOTE_CLOSING


@given(st.text(max_size=200))
def test_a_reason_that_is_too_long_is_cut_at_a_character(reason: str) -> None:
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(encode_close(4000, reason))
    [close] = client.events()
    assert isinstance(close, CloseConnection)
    assert reason.startswith(close.reason or "")
    assert len((close.reason or "").encode()) <= 123


# -- what a client may not do ---------------------------------------------------------------


@pytest.mark.parametrize("reserved", [0x40, 0x20, 0x10])
def test_reserved_bits_are_not_set(reserved: int) -> None:
    assert refused(frame(TEXT, b"x", reserved=reserved))[0] == 1002


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_unknown_opcodes_are_refused(opcode: int) -> None:
    assert refused(frame(opcode, b"x"))[0] == 1002


def test_a_frame_that_is_not_masked_is_refused() -> None:
    assert refused(b"\x81\x01x") == (1002, "a client's frames are masked")


@pytest.mark.parametrize("opcode", [CLOSE, PING, 0xA])
def test_control_frames_are_whole_and_short(opcode: int) -> None:
    assert refused(frame(opcode, b"", fin=False))[0] == 1002
    assert refused(frame(opcode, b"x" * 126))[0] == 1002


def test_fragments_follow_each_other() -> None:
    assert refused(frame(CONTINUATION, b"x"))[0] == 1002
    assert refused(frame(TEXT, b"x", fin=False), frame(TEXT, b"y"))[0] == 1002
    assert refused(frame(TEXT, b"x", fin=False), frame(BINARY, b"y"))[0] == 1002


@pytest.mark.parametrize(
    "head",
    [
        b"\x81\xfe\x00\x7d",  # 125 in 16 bits
        b"\x82\xff" + (65_535).to_bytes(8, "big"),  # 16 bits in 64
        b"\x82\xff" + (1 << 63).to_bytes(8, "big"),  # the highest bit
    ],
)
def test_a_length_has_its_shortest_form(head: bytes) -> None:
    assert refused(head + MASK)[0] == 1002


@pytest.mark.parametrize("size", [11, 126, 70_000, 1 << 40])
def test_a_message_that_is_too_long_is_refused_by_its_head(size: int) -> None:
    length = (
        b"\x8b"
        if size == 11
        else b"\xfe" + size.to_bytes(2, "big")
        if size < 65_536
        else (b"\xff" + size.to_bytes(8, "big"))
    )
    assert refused(b"\x82" + length + MASK, largest=10)[0] == 1009


def test_fragments_together_are_not_too_long_either() -> None:
    pieces = [frame(TEXT, b"12345", fin=False), frame(CONTINUATION, b"12345", fin=False)]
    assert refused(*pieces, frame(CONTINUATION, b"1"), largest=10)[0] == 1009
    assert read(*pieces, frame(CONTINUATION, b""), largest=10) == [Text("1234512345")]


@pytest.mark.parametrize(
    "bad",
    [b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xce"],
)
@pytest.mark.parametrize("at", range(4))
def test_text_is_utf_8(bad: bytes, at: int) -> None:
    text = "κόσμ".encode()
    broken = text[: 2 * at] + bad + text[2 * at :]
    assert refused(frame(TEXT, broken))[0] == 1007
    assert refused(frame(TEXT, broken[:3], fin=False), frame(CONTINUATION, broken[3:]))[0] == 1007


def test_bad_text_is_refused_with_the_fragment_that_has_it() -> None:
    assert refused(frame(TEXT, b"ok", fin=False), frame(CONTINUATION, b"\xff", fin=False)) == (
        1007,
        "text is not UTF-8",
    )


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535])
def test_close_codes_are_those_that_may_be_sent(code: int) -> None:
    assert refused(frame(CLOSE, code.to_bytes(2, "big")))[0] == 1002


def test_a_close_has_a_code_and_text_or_nothing() -> None:
    assert read(frame(CLOSE)) == [Close(1005, "")]
    assert refused(frame(CLOSE, b"\x03"))[0] == 1002
    assert refused(frame(CLOSE, b"\x03\xe8\xff"))[0] == 1007


def test_what_came_before_a_violation_is_handed_on() -> None:
    reader, found = FrameReader(LARGEST), list[Event]()
    with pytest.raises(Violation):
        reader.feed(frame(TEXT, b"good") + frame(3), found.append)
    assert found == [Text("good")]


@given(st.binary(max_size=400))
def test_no_bytes_do_anything_else(noise: bytes) -> None:
    codes, found = list[int](), list[Event]()
    try:
        FrameReader(100).feed(noise, found.append)
    except Violation as violation:
        codes.append(violation.code)

    assert {1002, 1007, 1009}.issuperset(codes)
    assert len(found) <= len(noise) // 6


def test_what_is_kept_is_bounded() -> None:
    reader = FrameReader(1000)
    reader.feed(frame(TEXT, b"x" * 900, fin=False), lambda _: None)
    reader.feed(frame(CONTINUATION, b"x" * 100)[:-1], lambda _: None)
    assert reader.kept <= 1000 + 14


def test_a_control_frame_between_fragments_does_not_count_for_their_length() -> None:
    wire = frame(TEXT, b"x" * 10, fin=False) + frame(PING, b"y" * 125) + frame(CONTINUATION)
    assert read(wire, largest=10) == [Ping(b"y" * 125), Text("x" * 10)]


@given(st.text(max_size=300).filter(lambda text: len(text) > 1), st.data())
def test_bad_text_is_refused_before_its_frame_has_come(text: str, data: st.DataObject) -> None:
    good = text.encode()
    at = data.draw(st.integers(0, len(good)))
    payload = good[:at] + b"\xff" + good[at:] + b"x" * 50
    whole = frame(TEXT, payload, mask=data.draw(st.binary(min_size=4, max_size=4)))
    bad = len(whole) - len(payload) + at
    reader = FrameReader(10_000)
    for byte in whole[:bad]:
        reader.feed(bytes((byte,)), lambda event: pytest.fail(repr(event)))
    with pytest.raises(Violation) as caught:
        reader.feed(whole[bad : bad + 1], lambda event: pytest.fail(repr(event)))
    assert caught.value.code == 1007


@given(st.text(min_size=1, max_size=300), st.data())
def test_good_text_is_read_however_its_frames_are_cut(text: str, data: st.DataObject) -> None:
    payload = text.encode()
    middle = data.draw(st.integers(0, len(payload)))
    whole = frame(TEXT, payload[:middle], fin=False) + frame(CONTINUATION, payload[middle:])
    reader, events = FrameReader(10_000), list[Event]()
    for byte in whole:
        reader.feed(bytes((byte,)), events.append)
    assert events == [Text(text)]
