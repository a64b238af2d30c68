import asyncio
from collections.abc import Callable

import pytest

from uaitools.proxy.outbox import Outbox

Sent = list[tuple[str, bytes]]


class Peer:
    def __init__(self, name: str, sent: Sent) -> None:
        self.transmit: Callable[[bytes], None] = lambda data: sent.append((name, data))


@pytest.fixture
def sent() -> Sent:
    return []


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


async def test_a_turn_s_messages_go_out_together_at_its_end(outbox: Outbox, sent: Sent) -> None:
    a, b = Peer("a", sent), Peer("b", sent)

    outbox.send(a, b"1")
    outbox.send(b, b"2")
    outbox.send(a, b"3")
    assert sent == []
    await asyncio.sleep(0)

    assert sent == [("a", b"1"), ("b", b"2"), ("a", b"3")]


async def test_a_turn_ends_when_it_is_sent(outbox: Outbox, sent: Sent) -> None:
    before = outbox.turn
    outbox.send(Peer("a", sent), b"1")
    assert outbox.turn == before
    await asyncio.sleep(0)

    assert outbox.turn > before


async def test_a_flush_leaves_nothing_to_send_twice(outbox: Outbox, sent: Sent) -> None:
    outbox.send(Peer("a", sent), b"1")
    outbox.flush()
    assert sent == [("a", b"1")]
    await asyncio.sleep(0)

    assert sent == [("a", b"1")]


async def test_a_large_message_waits_for_nothing_and_overtakes_nothing(
    outbox: Outbox, sent: Sent
) -> None:
    a = Peer("a", sent)
    large = bytes(16 * 1024 + 1)

    outbox.send(a, b"1")
    outbox.send(a, large)

    assert sent == [("a", b"1"), ("a", large)]


async def test_a_turn_keeps_at_most_64_messages(outbox: Outbox, sent: Sent) -> None:
    a = Peer("a", sent)
    for number in range(63):
        outbox.send(a, b"%d" % number)
    assert sent == []

    outbox.send(a, b"63")

    assert len(sent) == 64


async def test_what_a_write_leads_to_keeps_its_place(outbox: Outbox, sent: Sent) -> None:
    a, b = Peer("a", sent), Peer("b", sent)

    def answer(data: bytes) -> None:
        sent.append(("c", data))
        outbox.send(a, b"late")
        outbox.flush()  # a write that ends with a connection being closed

    c = Peer("c", sent)
    c.transmit = answer
    outbox.send(c, b"1")
    outbox.send(b, b"2")
    await asyncio.sleep(0)

    assert sent == [("c", b"1"), ("b", b"2"), ("a", b"late")]


async def test_a_write_that_fails_is_reported_and_the_others_go_out(
    outbox: Outbox, sent: Sent, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(data: bytes) -> None:
        raise RuntimeError(f"no transport for {data!r}")

    broken = Peer("broken", sent)
    broken.transmit = fail
    outbox.send(broken, b"1")
    outbox.send(Peer("a", sent), b"2")
    await asyncio.sleep(0)

    assert sent == [("a", b"2")]
    assert "no transport for b'1'" in "".join(capsys.readouterr())
