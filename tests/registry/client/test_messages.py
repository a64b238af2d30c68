"""What registries send, well formed and not."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.peers.registry import instance
from uaitools.registry.client.fields import Fields, Garbled
from uaitools.registry.client.member import Member, member_document, read_member
from uaitools.registry.client.messages import Failed, Listed, Put, Removed, hello, read, watch
from uaitools.registry.evidence import State

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
NAMES = st.text(st.characters(codec="utf-8"), max_size=20)
MEMBERS = st.builds(
    Member,
    id=NAMES,
    name=NAMES,
    address=st.sampled_from(["10.0.0.1", "::1", "fe80::1%eth0", "a.example", "localhost"]),
    port=st.integers(0, 65_535),
    scheme=st.sampled_from(["http", "https", "ws", "wss", "tcp"]),
    version=NAMES,
    zone=NAMES,
    weight=st.integers(0, 1000),
    generation=st.integers(0, 2**63 - 1),
    health=st.sampled_from(State),
    tags=st.frozensets(NAMES, max_size=3),
    meta=st.dictionaries(NAMES, NAMES, max_size=3),
)
MESSAGES: dict[str, dict[str, Any]] = {
    "list": {
        "type": "list",
        "service": "api",
        "index": 3,
        "epoch": "e",
        "authoritative": False,
        "cause": None,
        "instances": [instance("a")],
    },
    "put": {"type": "put", "service": "api", "index": 4, "epoch": "e", "instance": instance("b")},
    "remove": {
        "type": "remove",
        "service": "api",
        "index": 5,
        "epoch": "e",
        "id": "a",
        "cause": "expired",
    },
    "error": {"type": "error", "code": 400, "message": "what?"},
}


@given(MEMBERS)
def test_a_member_is_read_as_it_was_written(member: Member) -> None:
    assert read_member(Fields(json.loads(json.dumps(member_document(member))))) == member


def test_messages_are_read() -> None:
    first, second, third, fourth = (read(json.dumps(one)) for one in MESSAGES.values())

    assert isinstance(first, Listed)
    assert (first.index, first.authoritative, first.members[0].id) == (3, False, "a")
    assert isinstance(second, Put)
    assert second.member.id == "b"
    assert third == Removed("api", 5, "e", "a", "expired")
    assert fourth == Failed(400, "what?")
    assert read('{"type": "weather"}') is None


@given(st.text() | JSON.map(json.dumps))
def test_any_text_is_a_message_none_or_garbled(text: str) -> None:
    with contextlib.suppress(Garbled):
        read(text)


@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_any_value_in_any_place_is_a_message_none_or_garbled(
    kind: str, data: st.DataObject
) -> None:
    message = json.loads(json.dumps(MESSAGES[kind]))
    inner = message.get("instance") or message.get("instances", [{}])[0]
    where = data.draw(st.sampled_from([message, inner]))
    if where:
        where[data.draw(st.sampled_from(sorted(where)))] = data.draw(JSON)
    with contextlib.suppress(Garbled):
        read(json.dumps(message))


@pytest.mark.parametrize(
    "address", ["", "a b", "a/b", "u@a", "a#", "a?", "[::1]", "a\n", "a" * 256]
)
def test_an_address_that_makes_another_url_is_refused(address: str) -> None:
    with pytest.raises(Garbled):
        read_member(Fields(instance("a", address=address)))


def test_an_ipv6_address_stands_in_brackets_in_urls() -> None:
    member = read_member(Fields(instance("a", address="::1", port=80, scheme="https")))

    assert (member.address, member.url) == ("::1", "https://[::1]:80")


@pytest.mark.parametrize(
    ("state", "weight", "served"),
    [
        ("passing", 1, True),
        ("degraded", 1, True),
        ("suspect", 1, True),
        ("of a later version", 1, True),  # as suspect: last
        ("passing", 0, False),
        ("starting", 1, False),
        ("critical", 1, False),
        ("draining", 1, False),
        ("maintenance", 1, False),
    ],
)
def test_who_may_be_sent_anything_new(state: str, weight: int, *, served: bool) -> None:
    member = read_member(Fields(instance("a", health=state, weight=weight)))

    assert member.served is served


def test_what_is_said_is_json_in_the_words_of_the_contract() -> None:
    assert json.loads(hello("w")) == {"type": "hello", "watcher": "w"}
    assert json.loads(watch("api")) == {"type": "watch", "service": "api"}
