"""Chromium and Node; one loop is enough for what is another program's client."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest
import uvloop

from tests.peers.hub import HubPeer, hub_peer
from tests.peers.javascript import Chromium, Runtime, node, nodes, tab
from tests.peers.loops import _leaves_nothing  # noqa: F401 - for pytest

NODES = list(nodes())
PLACES = [
    "chromium",
    *(f"node {number}" for number in range(len(NODES))),
    *([] if NODES else ["node"]),
]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    with Chromium() as running:
        yield running


@pytest.fixture(params=PLACES)
async def runtime(request: pytest.FixtureRequest) -> AsyncIterator[Runtime]:
    """Where the client runs."""
    if request.param == "chromium":
        async with tab(request.getfixturevalue("chromium")) as (page, _):
            yield page
    elif request.param == "node":
        warnings.warn("no Node with a WebSocket is here", stacklevel=1)
        pytest.skip("no Node with a WebSocket is here: apt-get install nodejs")
    else:
        async with node(NODES[int(request.param.split()[1])]) as process:
            yield process


@pytest.fixture
async def page(chromium: Chromium) -> AsyncIterator[Runtime]:
    """A page."""
    async with tab(chromium) as (found, _):
        yield found


@pytest.fixture
async def peer() -> AsyncIterator[HubPeer]:
    async with hub_peer() as running:
        yield running
