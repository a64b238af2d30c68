"""Both brokers do what every broker has to do."""

from contextlib import AsyncExitStack

import pytest

from tests.hub.broker.conformance import CHECKS, Open
from tests.hub.broker.inboxes import Remembering
from tests.peers.redis import RedisServer
from uaitools.hub.broker.local import LocalBroker
from uaitools.hub.broker.port import Broker
from uaitools.hub.broker.redis import RedisBroker


def opener(stack: AsyncExitStack, broker: Broker) -> Open:
    async def open_() -> tuple[Broker, Remembering]:
        inbox = Remembering()
        await broker.start(inbox)
        stack.push_async_callback(broker.stop)
        return broker, inbox

    return open_


@pytest.mark.parametrize("number", range(len(CHECKS)), ids=[c.__name__ for c in CHECKS])
async def test_local(number: int) -> None:
    async with AsyncExitStack() as stack:
        await CHECKS[number](opener(stack, LocalBroker()))


@pytest.mark.parametrize("number", range(len(CHECKS)), ids=[c.__name__ for c in CHECKS])
async def test_redis(number: int, redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        await CHECKS[number](opener(stack, RedisBroker(redis.url)))
