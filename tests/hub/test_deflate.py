"""Compressed messages, against wsproto as a client and the examples of RFC 7692."""

from __future__ import annotations

import random
import tracemalloc
import zlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, TextMessage
from wsproto.extensions import PerMessageDeflate

from tests.hub.client import frame
from uaitools.hub.deflate import LEAST, deflated, inflate
from uaitools.hub.extensions import agree
from uaitools.hub.frames import (
    BINARY,
    COMPRESSED,
    CONTINUATION,
    PING,
    TEXT,
    Binary,
    Event,
    FrameReader,
    Ping,
    Text,
    Violation,
    encode,
)

LARGEST = 70_000
HELLO = bytes.fromhex("f248cdc9c90700")


def compressed(data: bytes, level: int = 6, window: int = 15) -> bytes:
    stream = zlib.compressobj(level, zlib.DEFLATED, -window)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def read(*pieces: bytes, largest: int = LARGEST) -> list[Event]:
    reader, found = FrameReader(largest, inflate), list[Event]()
    for piece in pieces:
        reader.feed(piece, found.append)
    assert reader.kept == 0
    return found


def refused(*pieces: bytes, largest: int = LARGEST) -> int:
    with pytest.raises(Violation) as caught:
        read(*pieces, largest=largest)
    return caught.value.code


def text(data: bytes) -> bytes:
    """A whole message whose payload is compressed already."""
    return frame(TEXT, data, reserved=COMPRESSED)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(at % (len(data) + 1) for at in cuts)})
    return [data[begin:end] for begin, end in pairwise(places)] or [b""]


# -- an oracle ------------------------------------------------------------------------------


def client(offer: str = "permessage-deflate") -> Connection:
    """One that has agreed with the hub."""
    extension = PerMessageDeflate()
    extension.finalize(agree([offer], allowed=True))
    return Connection(ConnectionType.CLIENT, [extension])


def received(wire: bytes) -> list[str | bytes]:
    one, found, parts = client(), list[str | bytes](), list[bytes]()
    one.receive_data(wire)
    for event in one.events():
        assert isinstance(event, TextMessage | BytesMessage)
        parts.append(event.data.encode() if isinstance(event, TextMessage) else bytes(event.data))
        if event.message_finished:
            whole, parts = b"".join(parts), []
            found.append(whole.decode() if isinstance(event, TextMessage) else whole)
    return found


# Some shrink, some do not, and some are as long as they may be.
texts = st.one_of(
    st.text(max_size=300),
    st.builds(lambda part, times: part * times, st.text(max_size=20), st.integers(0, 800)),
)
blobs = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda seed, size: random.Random(seed).randbytes(size),
        st.integers(0, 9),
        st.integers(LARGEST - 5, LARGEST),
    ),
    st.builds(bytes, st.integers(0, LARGEST)),
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(texts | blobs, st.lists(st.integers(0, 1 << 20), max_size=4)), max_size=5),
    st.lists(st.integers(0, 1 << 20), max_size=8),
)
def test_what_a_client_compresses_is_read_however_it_is_cut(
    messages: list[tuple[str | bytes, list[int]]], cuts: list[int]
) -> None:
    one, wire = client(), b""
    for message, places in messages:
        ends = sorted({at % (len(message) + 1) for at in places} | {len(message)})
        for begin, end in pairwise([0, *ends]):
            part, finished = message[begin:end], end == len(message)
            wire += one.send(
                TextMessage(data=part, message_finished=finished)
                if isinstance(part, str)
                else BytesMessage(data=part, message_finished=finished)
            )
            if finished:
                break
    expected = [
        Text(message) if isinstance(message, str) else Binary(message) for message, _ in messages
    ]

    assert read(*cut(wire, cuts)) == expected


@settings(deadline=None)
@given(st.lists(texts | blobs, max_size=5))
def test_a_client_reads_what_is_compressed(messages: list[str | bytes]) -> None:
    frames = [
        encode(TEXT, message.encode()) if isinstance(message, str) else encode(BINARY, message)
        for message in messages
    ]
    small = [deflated(one) for one in frames]

    assert received(b"".join(small)) == messages
    for before, after in zip(frames, small, strict=True):
        assert after is before or (len(after) < len(before) and after[0] & COMPRESSED)


@given(st.binary(max_size=3000), st.lists(st.integers(0, 5000), max_size=6), st.integers(1, 9))
def test_compressed_bytes_may_be_cut_into_fragments_anywhere(
    data: bytes, cuts: list[int], level: int
) -> None:
    parts = cut(compressed(data, level), cuts)
    last = len(parts) - 1
    wire = b"".join(
        frame(
            CONTINUATION if at else BINARY,
            part,
            fin=at == last,
            reserved=0 if at else COMPRESSED,
        )
        + (frame(PING, b"between") if at < last else b"")
        for at, part in enumerate(parts)
    )

    assert read(wire) == [Ping(b"between")] * last + [Binary(data)]


@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_do_anything_else(noise: bytes, framed: bool) -> None:
    codes, found = list[int](), list[Event]()
    try:
        FrameReader(100, inflate).feed(text(noise) if framed else noise, found.append)
    except Violation as violation:
        codes.append(violation.code)

    assert {1002, 1007, 1009}.issuperset(codes)
    assert all(len(one.text.encode()) <= 100 for one in found if isinstance(one, Text))


# -- RFC 7692 7.2.3 -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        "f248cdc9c90700",  # 7.2.3.1
        "000500faff48656c6c6f00",  # 7.2.3.3, a block that is not compressed
        "f348cdc9c9070000",  # 7.2.3.4, a block that is final
        "f348cdc9c90700",  # the same without the octet that has to follow
        "f24805000000ffffcac9c90700",  # 7.2.3.5, two blocks
    ],
)
def test_the_examples_of_the_standard_say_hello(data: str) -> None:
    assert read(text(bytes.fromhex(data))) == [Text("Hello")]


def test_a_message_may_be_compressed_and_the_next_one_not() -> None:
    wire = (
        frame(TEXT, HELLO[:3], fin=False, reserved=COMPRESSED)
        + frame(CONTINUATION, HELLO[3:])
        + frame(TEXT, b"plain")
        + frame(TEXT, b"in ", fin=False)
        + frame(CONTINUATION, b"two")
        + text(HELLO)
    )
    assert read(wire) == [Text("Hello"), Text("plain"), Text("in two"), Text("Hello")]


@pytest.mark.parametrize("data", [b"\0", b"", b"\x02\0"])  # 7.2.3.6
def test_a_compressed_message_may_be_empty(data: bytes) -> None:
    assert read(text(data)) == [Text("")]
    assert read(frame(TEXT, b"", fin=False, reserved=COMPRESSED) + frame(CONTINUATION, data)) == [
        Text("")
    ]


def test_nothing_is_kept_of_a_message_for_the_next() -> None:
    assert refused(text(HELLO), text(bytes.fromhex("f200110000"))) == 1007  # 7.2.3.2


def test_streams_within_a_message_may_refer_back() -> None:
    first = zlib.compressobj(wbits=-15)
    begin = first.compress(b"abcdefgh" * 4) + first.flush()
    second = zlib.compressobj(wbits=-15, zdict=b"abcdefgh" * 4)
    end = second.compress(b"abcdefgh" * 9) + second.flush(zlib.Z_SYNC_FLUSH)
    assert len(end) < 20

    assert read(text(begin + end[:-4])) == [Text("abcdefgh" * 13)]


# -- what a client may not do ---------------------------------------------------------------


def test_nothing_is_compressed_that_was_not_agreed_on() -> None:
    with pytest.raises(Violation) as caught:
        FrameReader(LARGEST).feed(text(HELLO), lambda _: None)
    assert caught.value.code == 1002


@pytest.mark.parametrize("opcode", [PING, 0x8, 0xA, 0x3])
def test_only_messages_are_compressed(opcode: int) -> None:
    assert refused(frame(opcode, b"", reserved=COMPRESSED)) == 1002


@pytest.mark.parametrize(("data", "reserved"), [(b"Hel", 0), (HELLO[:3], COMPRESSED)])
def test_only_the_first_frame_says_that_a_message_is_compressed(data: bytes, reserved: int) -> None:
    begin = frame(TEXT, data, fin=False, reserved=reserved)
    assert refused(begin, frame(CONTINUATION, HELLO[3:], reserved=COMPRESSED)) == 1002


@pytest.mark.parametrize("reserved", [0x20, 0x10, 0x60, 0x50, 0x70])
def test_other_reserved_bits_are_not_set(reserved: int) -> None:
    assert refused(frame(TEXT, HELLO, reserved=reserved)) == 1002


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff",  # no such kind of block
        b"\x00\x05\x00\x00\x00Hello",  # a length that is not said twice
        b"\x00\x05\x00\xfa\xffHel",  # fewer bytes than said
        b"\x62\x00\x11\x00\x00",  # a reference to what was not there
        b"\x64\x3c",  # the codes of a block, which go on
        HELLO + b"\x00\x01",
        b"\x03\x00" * 17,  # streams, each of which takes a new start
    ],
)
def test_what_is_not_deflate_is_refused(data: bytes) -> None:
    assert refused(text(data)) == 1007


def test_a_part_of_a_message_is_refused() -> None:
    data = compressed("κόσμος, und so weiter, und so fort".encode() * 3)
    for size in range(1, len(data)):
        assert refused(text(data[:size])) == 1007


@pytest.mark.parametrize("bad", [b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xce"])
def test_text_is_utf_8_once_it_is_inflated(bad: bytes) -> None:
    data = compressed("κόσμ".encode() + bad)
    assert refused(text(data)) == 1007
    assert (
        refused(
            frame(TEXT, data[:4], fin=False, reserved=COMPRESSED), frame(CONTINUATION, data[4:])
        )
        == 1007
    )
    assert read(frame(BINARY, data, reserved=COMPRESSED)) == [Binary("κόσμ".encode() + bad)]


def test_a_message_is_as_long_as_it_may_be_and_not_longer() -> None:
    for data in (bytes(1000), random.Random(1).randbytes(1000)):
        for level in (0, 1, 9):
            wire = frame(BINARY, compressed(data, level), reserved=COMPRESSED)
            assert read(wire, largest=1000) == [Binary(data)]
            assert refused(wire, largest=999) == 1009


@pytest.mark.parametrize("fragmented", [False, True])
def test_a_bomb_is_not_inflated(fragmented: bool) -> None:
    bomb = compressed(bytes(64 << 20), 9)
    assert len(bomb) < LARGEST
    wire = (
        [
            frame(BINARY, bomb[:100], fin=False, reserved=COMPRESSED),
            frame(CONTINUATION, bomb[100:]),
        ]
        if fragmented
        else [frame(BINARY, bomb, reserved=COMPRESSED)]
    )
    tracemalloc.start()
    try:
        assert refused(*wire) == 1009
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * LARGEST


def test_compressed_bytes_are_bounded_before_they_have_come() -> None:
    head = b"\xc2\xff" + (LARGEST * 2).to_bytes(8, "big") + bytes(4)
    assert refused(head) == 1009
    part = frame(BINARY, bytes(LARGEST), fin=False, reserved=COMPRESSED)
    assert refused(part, frame(CONTINUATION, bytes(LARGEST), fin=False)) == 1009
    # What follows is not compressed, and has no such room.
    after = frame(TEXT, b"\0", fin=False, reserved=COMPRESSED) + frame(CONTINUATION)
    assert refused(after, frame(TEXT, bytes(LARGEST + 1))) == 1009


# -- what is sent ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"x" * (LEAST - 1), random.Random(1).randbytes(1000)],
)
def test_what_would_not_get_smaller_is_sent_as_it_is(data: bytes) -> None:
    whole = encode(BINARY, data)
    assert deflated(whole) is whole


@pytest.mark.parametrize("window", [12, 13, 14, 15])
def test_what_is_sent_is_read_with_the_window_that_was_agreed_on(window: int) -> None:
    answer = agree([f"permessage-deflate; server_max_window_bits={window}"], allowed=True)
    agreed = int(answer.rpartition("=")[2])
    part = random.Random(2).randbytes(2500).hex().encode()
    small = deflated(encode(TEXT, part * 2))
    stream = zlib.decompressobj(-agreed)
    data, rest = b"", small[4:] + b"\0\0\xff\xff"
    while rest:  # piece by piece: what is in one it could read without any window
        data += stream.decompress(rest, 500)
        rest = stream.unconsumed_tail

    assert agreed <= window
    assert small[:2] == b"\xc1\x7e"
    assert data == part * 2
