import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.hub.closing import CLOSINGS
from uaitools.hub.commands import (
    BadCommand,
    Connect,
    History,
    Ping,
    Presence,
    Publish,
    Subscribe,
    Unsubscribe,
    read_command,
)
from uaitools.hub.place import Place


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ({"type": "ping"}, Ping(id=7, type="ping")),
        ({"type": "connect", "token": "t"}, Connect(id=7, type="connect", token="t")),
        (
            {"type": "subscribe", "channel": "repo:12", "recover": {"epoch": "e", "offset": 3}},
            Subscribe(
                id=7, type="subscribe", channel="repo:12", recover=Place(epoch="e", offset=3)
            ),
        ),
        (
            {"type": "unsubscribe", "channel": "a"},
            Unsubscribe(id=7, type="unsubscribe", channel="a"),
        ),
        (
            {"type": "publish", "channel": "a", "data": [1]},
            Publish(id=7, type="publish", channel="a", event="message", data=[1]),
        ),
        (
            {"type": "presence", "channel": "a", "after": "ann", "limit": 5},
            Presence(id=7, type="presence", channel="a", after="ann", limit=5),
        ),
        ({"type": "history", "channel": "a"}, History(id=7, type="history", channel="a")),
    ],
)
def test_commands_are_what_they_say(said: dict[str, Any], command: object) -> None:
    assert read_command(json.dumps({"id": 7, **said})) == command


@pytest.mark.parametrize(
    ("text", "code", "known", "message"),
    [
        ("", "bad_json", None, "a JSON object"),
        ("{", "bad_json", None, "a JSON object"),
        ("[]", "bad_json", None, "a JSON object"),
        ('{"id": 3}', "unknown_type", 3, "one of connect, subscribe"),
        ('{"id": 3, "type": "sing"}', "unknown_type", 3, "one of connect, subscribe"),
        ('{"type": "ping"}', "bad_field", None, "id: "),
        ('{"id": "3", "type": "ping"}', "bad_field", None, "id: "),
        ('{"id": 3, "type": "ping", "more": 1}', "bad_field", 3, "more: "),
        ('{"id": 3, "type": "subscribe"}', "bad_field", 3, "channel: "),
        ('{"id": 3, "type": "subscribe", "channel": ""}', "bad_field", 3, "channel: "),
        ('{"id": 3, "type": "subscribe", "channel": "a b"}', "bad_field", 3, "channel: "),
        (
            '{"id": 3, "type": "subscribe", "channel": "a", "recover": {"offset": 1}}',
            "bad_field",
            3,
            "recover.epoch: ",
        ),
        (
            '{"id": 3, "type": "history", "channel": "a", "since": {"epoch": "!", "offset": 1}}',
            "bad_field",
            3,
            "since: a place is an epoch that the hub has named",
        ),
        (
            '{"id": 3, "type": "history", "channel": "a", "since": {"epoch": "e", "offset": -1}}',
            "bad_field",
            3,
            "since: a place is an epoch that the hub has named",
        ),
        ('{"id": 3, "type": "history", "channel": "a", "limit": 0}', "bad_field", 3, "limit: "),
        ('{"id": 3, "type": "publish", "channel": "a"}', "bad_field", 3, "data: "),
    ],
)
def test_what_cannot_be_done_is_said_to_whom_it_concerns(
    text: str, code: str, known: int | None, message: str
) -> None:
    with pytest.raises(BadCommand) as caught:
        read_command(text)
    assert (caught.value.code, caught.value.id) == (code, known)
    assert message in str(caught.value)


@given(st.text(max_size=80) | st.binary(max_size=80))
def test_nothing_else_comes_of_any_text(text: str | bytes) -> None:
    with pytest.raises(BadCommand):
        read_command(text)


def test_close_codes_mean_one_thing_each() -> None:
    codes = [closing.code for closing in CLOSINGS]
    assert len(set(codes)) == len(codes)
    assert all(len(closing.reason.encode()) <= 123 for closing in CLOSINGS)
