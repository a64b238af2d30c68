"""The channel between parent and worker, byte by byte, and its ends on a real socket pair."""

import asyncio
import signal
import socket
from typing import Self

import pytest

from uaitools.errors import ServiceError
from uaitools.metrics import Snapshot
from uaitools.proxy.ejection import Ejection
from uaitools.proxy.orders import Order
from uaitools.proxy.report import Report
from uaitools.proxy.workers.channel import (
    LIMIT,
    Kind,
    Message,
    Messages,
    Overflow,
    ParentEnd,
    WorkerEnd,
    read_ejection,
)
from uaitools.traffic.breaker import Cause

EJECTION = Ejection("llm-router", "127.0.0.1:9001", Cause.CONNECT, 12.5)


def test_messages_are_the_same_however_they_are_cut() -> None:
    sent = [Message(Kind.PULL, 7), Message(Kind.RELOAD, body=b'{"a":1}'), Message(Kind.DRAIN)]
    stream = b"".join(message.encode() for message in sent)

    for cut in range(len(stream) + 1):
        messages = Messages()
        assert messages.feed(stream[:cut]) + messages.feed(stream[cut:]) == sent


@pytest.mark.parametrize(
    "nonsense",
    [b"\xff" * 10, b"\0\0\0\0\0\x63\0\0\0\0", (LIMIT + 1).to_bytes(4) + b"\0\x01\0\0\0\0"],
)
def test_nonsense_is_refused(nonsense: bytes) -> None:
    with pytest.raises(ValueError, match=r"limit|valid Kind"):
        Messages().feed(nonsense)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"cause":"x"}', b'{"cause":"registry"}']
)
def test_what_is_no_ejection_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not an ejection"):
        read_ejection(body)


def test_a_reader_that_is_stopped_makes_no_writer_wait_and_is_given_up_at_last() -> None:
    ours, theirs = socket.socketpair()
    parent = ParentEnd(ours)
    message = Message(Kind.RELOAD, body=bytes(LIMIT // 2))
    with theirs:
        parent.send(message)
        assert parent.pending
        parent.send(message)
        with pytest.raises(Overflow):
            parent.send(message)
    parent.close()


def test_a_worker_that_dies_in_a_message_is_an_end() -> None:
    ours, theirs = socket.socketpair()
    parent = ParentEnd(ours)
    with theirs:
        theirs.sendall(Message(Kind.EJECT, body=b"{}" * 100).encode()[:50])

    assert parent.receive() == []
    with pytest.raises(EOFError):
        parent.receive()
    parent.send(Message(Kind.PULL))
    assert not parent.pending
    parent.close()


class Gateway:
    """What a worker serves, recorded."""

    def __init__(self) -> None:
        self.did: asyncio.Queue[object] = asyncio.Queue()

    def report(self) -> Report:
        return Report(Snapshot({}), {})

    def eject(self, ejection: Ejection) -> None:
        self.did.put_nowait(ejection)

    def answer(self, question: bytes) -> bytes:
        return b"answer to " + question

    def obey(self, order: Order) -> None:
        self.did.put_nowait(order)

    def reload(self, configuration: bytes) -> None:
        self.did.put_nowait(configuration)


class Pair:
    """A worker's end with the parent's socket, read as messages."""

    def __init__(self, patience: float = 3.0) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        self._theirs = theirs
        self.gateway = Gateway()
        self.worker = WorkerEnd(theirs, patience)
        self.worker.served = self.gateway
        self._messages = Messages()

    async def __aenter__(self) -> Self:
        await self.worker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.worker.stop()
        await asyncio.sleep(0)  # the transport closes its socket in the next turn
        self._theirs.close()
        self.socket.close()

    async def send(self, message: Message) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, message.encode())

    async def receive(self) -> Message:
        while True:
            data = await asyncio.get_running_loop().sock_recv(self.socket, 65536)
            if found := self._messages.feed(data):
                (message,) = found
                return message


async def test_a_worker_does_what_its_parent_says() -> None:
    async with Pair() as pair:
        await pair.send(Message(Kind.PULL, 3))
        answer = await pair.receive()
        assert (answer.kind, answer.number) == (Kind.REPORT, 3)
        assert Report.from_json(answer.body) == pair.gateway.report()

        pair.worker.announce(EJECTION)
        announced = await pair.receive()
        await pair.send(announced)
        assert await pair.gateway.did.get() == EJECTION

        await pair.send(Message(Kind.RELOAD, body=b"{}"))
        assert await pair.gateway.did.get() == b"{}"


async def test_questions_of_the_same_time_are_one_and_none_gets_an_older_answer() -> None:
    async with Pair() as pair:
        asked = [asyncio.gather(pair.worker.gather()) for _ in range(3)]
        for workers in (1, 2):
            question = await pair.receive()
            assert question.kind is Kind.ASK
            whole = Report(Snapshot({}), {}, workers)
            await pair.send(Message(Kind.WHOLE, body=whole.to_json()))
        answers = [report.workers for (report,) in await asyncio.gather(*asked)]

    assert answers == [1, 2, 2]


async def test_a_parent_that_does_not_answer_is_an_error() -> None:
    async with Pair(patience=0.01) as pair:
        with pytest.raises(ServiceError, match="503: the parent process does not answer"):
            await pair.worker.gather()


async def test_a_parent_that_has_gone_ends_the_worker_once() -> None:
    signalled = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signalled.set)
    try:
        async with Pair() as pair:
            pair.socket.close()
            await signalled.wait()
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
