"""What is written in Redis is read as it was written, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.hub.broker.wire import (
    Came,
    read_message,
    read_order,
    read_published,
    write_message,
    write_order,
)
from uaitools.hub.message import Message
from uaitools.hub.place import Place

texts = st.text(st.characters(codec="utf-8"), max_size=20)
times = st.floats(0, 1e12, allow_nan=False)
messages = st.builds(
    Message,
    texts,
    st.binary(max_size=50),
    times,
    st.none() | texts | st.integers(0, 1 << 53),
    st.none() | texts,
    st.none() | texts,
)


@given(messages)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    assert read_message(write_message(message)) == message


@given(messages, st.integers(1, 1 << 53))
def test_a_published_message_keeps_its_place(message: Message, offset: int) -> None:
    text = b"m e-1_ %d\n%b" % (offset, write_message(message))
    assert read_published(text) == (Place("e-1_", offset), write_message(message))


def written(users: list[str]) -> bytes:
    parts = (user.encode() for user in users)
    return b"%d\n" % len(users) + b"".join(b"%d\n%b" % (len(one), one) for one in parts)


@given(st.lists(texts, max_size=5), st.lists(texts, max_size=5), st.integers(0, 99))
def test_who_came_and_went_is_read(joined: list[str], left: list[str], users: int) -> None:
    text = b"p %d\n" % users + written(joined) + written(left)
    assert read_published(text) == Came(joined, left, users)


def test_an_order_is_read_as_it_was_written() -> None:
    assert read_order(write_order("n", 7, {"do": ["this"]})) == ("n", 7, {"do": ["this"]})


@given(
    st.binary(max_size=60) | st.sampled_from([b"p 1\n9\nx", b"m e 1 2\n", b"p 1\n-1\n", b"[]\n"])
)
def test_what_is_nothing_of_ours_is_a_value_error(text: bytes) -> None:
    for read in (read_message, read_order, read_published):
        try:
            read(text)
        except ValueError:
            continue


@pytest.mark.parametrize(
    "head",
    [
        "[]",
        "1",
        '{"type": 1, "timestamp": 1}',
        '{"type": "a"}',
        '{"type": "a", "timestamp": "1"}',
        '{"type": "a", "timestamp": 1, "user_id": 1}',
        '{"type": "a", "timestamp": 1, "repository_id": [1]}',
        '{"type": "a", "timestamp": 1, "exclude": {}}',
    ],
)
def test_a_message_of_other_types_is_none(head: str) -> None:
    with pytest.raises(ValueError, match=r"hub writes|is text"):
        read_message(head.encode() + b"\n1")
