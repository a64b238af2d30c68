import asyncio
from dataclasses import replace
from typing import cast

import pytest

from uaitools.proxy.clients import Clients
from uaitools.proxy.downstream import ClientPolicy, Downstream
from uaitools.tasks import spawn

POLICY = ClientPolicy(
    header=1, body=1, idle=1, write=1, tunnel=1, half_close=False, connections=2, buffer=100
)


class Client:
    """A connection for which `kept` bytes are kept."""

    _exchange = None
    _buffer = b""

    def __init__(self, kept: int = 0) -> None:
        self.kept = kept
        self.full = kept > 0
        self.cut = self.asked = False

    def buffered(self) -> int:
        return self.kept

    def cut_off(self) -> None:
        self.cut = True

    def close_if_idle(self) -> None:
        self.asked = True


def add(clients: Clients, *some: Client) -> list[bool]:
    return [clients.add(cast("Downstream", client)) for client in some]


def test_clients_beyond_the_limit_are_told_apart() -> None:
    clients = Clients(POLICY)

    assert add(clients, Client(), Client(), Client()) == [True, True, False]
    assert len(clients) == 3


def test_without_a_limit_that_of_files_counts() -> None:
    clients = Clients(replace(POLICY, connections=0))

    assert add(clients, *[Client() for _ in range(64)]) == [True] * 64


@pytest.mark.parametrize(
    ("kept", "cut"),
    [
        ([40, 60], [False, False]),
        ([40, 61], [False, True]),
        ([10, 200, 80], [False, True, False]),
        ([10, 200, 95], [False, True, True]),
        ([0, 101], [False, True]),
    ],
)
def test_those_for_whom_most_is_kept_are_cut_off_until_it_is_within_the_budget(
    kept: list[int], cut: list[bool]
) -> None:
    clients = Clients(POLICY)
    some = [Client(size) for size in kept]
    add(clients, *some)

    clients.enforce_budget(0.0)

    assert [client.cut for client in some] == cut


async def test_the_end_is_when_the_last_has_gone() -> None:
    clients = Clients(POLICY)
    await asyncio.wait_for(clients.all_gone(), 1)
    some = [Client(), Client()]
    add(clients, *some)

    waiting = spawn(clients.all_gone(), name="all gone")
    clients.remove(cast("Downstream", some[0]))
    await asyncio.sleep(0)
    assert not waiting.done()
    clients.remove(cast("Downstream", some[1]))

    await asyncio.wait_for(waiting, 1)


def test_the_idle_are_asked_to_close() -> None:
    clients = Clients(POLICY)
    some = [Client(), Client()]
    add(clients, *some)

    clients.close_idle(0.0)

    assert all(client.asked for client in some)
