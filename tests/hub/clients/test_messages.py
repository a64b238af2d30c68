"""What the hub says, as docs/hub-protocol.md has it."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.hub.client.errors import Garbled
from uaitools.hub.client.events import Attendance, Direct, Message, Page, Presence
from uaitools.hub.client.messages import (
    Complaint,
    Delivered,
    Dismissed,
    Move,
    Reply,
    Restarted,
    Said,
    Skipped,
    Welcome,
    attendance_of,
    page_of,
    place_of,
    read,
)
from uaitools.hub.place import Place

STAMP = "2026-11-21T09:30:00.125Z"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            {"type": "done", "channel": "c", "offset": 3, "timestamp": STAMP, "data": None},
            Delivered("c", 3, "done", STAMP, None, None, None),
        ),
        (
            {
                "type": "reset",
                "channel": "c",
                "offset": 3,
                "timestamp": STAMP,
                "data": 1,
                "user_id": "u",
                "repository_id": 12,
            },
            Delivered("c", 3, "reset", STAMP, 1, "u", 12),
        ),
        (
            {"type": "welcome", "connection": "x", "user": None, "ping": 25, "largest": 9},
            Welcome(25.0, 9),
        ),
        ({"type": "gap", "channel": "c", "from": 2, "to": 4}, Skipped("c", 2, 4)),
        (
            {"type": "reset", "channel": "c", "epoch": "f", "offset": 0},
            Restarted("c", Place("f", 0)),
        ),
        (
            {"type": "presence", "channel": "c", "joined": ["a"], "left": [], "users": 3},
            Presence("c", ("a",), (), 3),
        ),
        (
            {"type": "unsubscribed", "channel": "c", "code": "forbidden", "reason": "r"},
            Dismissed("c", "forbidden", "r"),
        ),
        ({"type": "reconnect", "after_ms": 250}, Move(0.25)),
        ({"type": "error", "code": "bad_json", "message": "m"}, Complaint("bad_json", "m")),
        (
            {"type": "direct", "event": "e", "timestamp": STAMP, "data": [1]},
            Direct("e", STAMP, [1]),
        ),
        ({"type": "to come", "what": 1}, None),
    ],
)
def test_what_is_said_is_understood(document: dict[str, Any], said: Said | None) -> None:
    assert read(json.dumps(document)) == said
    assert read(json.dumps({**document, "new": 1})) == said


def test_a_reply_is_known_by_its_id() -> None:
    document = {"id": 3, "type": "subscribed", "epoch": "e", "offset": 4}
    found = read(json.dumps(document))
    assert found == Reply(3, "subscribed", document)
    assert place_of(found) == Place("e", 4)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", '{"id": 1}', '{"type": "gap", "channel": "c"}', '{"offset": 1,"data":1}'],
)
def test_what_no_hub_says_is_told(text: str) -> None:
    with pytest.raises(Garbled):
        read(text)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.dictionaries(
    st.sampled_from(["id", "type", "channel", "offset", "data", "from", "to"]), x)))  # fmt: skip
def test_whatever_comes_is_understood_or_garbled(document: object) -> None:
    with contextlib.suppress(Garbled):
        read(json.dumps(document))


def reply(**document: Any) -> Reply:
    return Reply(1, "x", document)


def test_a_history_has_messages_with_places() -> None:
    message = {"type": "t", "channel": "c", "offset": 3, "timestamp": STAMP, "data": 1}
    page = page_of(reply(epoch="e", offset=3, messages=[message], lost=None, more=False))
    assert page == Page(Place("e", 3), [Message("c", "e", 3, "t", STAMP, 1)], None, more=False)


def test_a_presence_has_a_page_of_users() -> None:
    page = [{"user": "a", "connections": 2}]
    found = attendance_of(reply(users=3, connections=5, page=page, next="a"))
    assert found == Attendance(3, 5, {"a": 2}, "a")


@pytest.mark.parametrize("document", [{}, {"epoch": 1, "offset": 2}, {"messages": [1]}])
def test_a_reply_without_what_belongs_to_it_is_told(document: dict[str, Any]) -> None:
    for of in (place_of, page_of, attendance_of):
        with pytest.raises(Garbled):
            of(reply(**document))
