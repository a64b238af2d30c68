"""A server of ours as an instance in a registry, for those who call it: `[registry.client]`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import uaitools
from uaitools.addresses import Address
from uaitools.lifecycle import Service
from uaitools.tasks import spawn

if TYPE_CHECKING:
    from uaitools.registry.client.config import RegistryClientConfig
    from uaitools.registry.client.registration import Registration
    from uaitools.registry.model import Scheme

_USUAL: Final = 1  # the weight of one that registers
_LOOK: Final = 1.0  # seconds between two looks at the weight
_AGAIN: Final = 30.0  # seconds after which another one than the usual is told again
LEAVE: Final = 10.0  # seconds of a drain, at most, in which callers are told to go elsewhere


class Server(Service, Protocol):
    """What listens."""

    @property
    def address(self) -> Address:
        """Where, once it has started."""


class Announced:
    """A server that is registered while it serves, and leaves the registry before it closes.

    name: of the service that it is an instance of. client: says where the registry is, and under
    which address the server is to be reached. secure: by TLS. A Service; of several processes
    that share a port only one announces it. weight: of what is new, how much it can take now.
    """

    def __init__(
        self,
        server: Server,
        name: str,
        client: RegistryClientConfig,
        *,
        secure: bool = False,
        weight: Callable[[], int] | None = None,
    ) -> None:
        self._server = server
        self._name = name
        self._client = client
        self._scheme: Scheme = "https" if secure else "http"
        self._weight = weight
        self._weighing: asyncio.Task[None] | None = None
        self._registration: Registration | None = None

    def __repr__(self) -> str:
        return f"<Announced {self._name} {self._registration!r}>"

    async def start(self) -> None:
        """Serve, and say so."""
        # It needs aiohttp's client, and who announces nothing does not.
        from uaitools.registry.client.registration import register  # noqa: PLC0415

        client = self._client
        assert client.address is not None
        await self._server.start()
        port = self._server.address.port
        self._registration = register(
            name=self._name,
            # Who starts again at the same place takes that place, and waits for no lease to end.
            id=f"{self._name}-{client.address}-{port}",
            address=client.address,
            port=port,
            urls=client.url,
            scheme=self._scheme,
            version=uaitools.__version__,
            zone=client.zone or "",
            token=client.credential,
        )
        await self._registration.start()
        if self._weight is not None:
            self._weighing = spawn(self._weigh(self._registration, self._weight), name="weigh")

    async def drain(self, deadline: float) -> None:
        """Have callers go elsewhere, then finish what is under way; see Service.drain."""
        if self._registration is not None:
            now = asyncio.get_running_loop().time()
            await self._registration.drain(now + min(LEAVE, max(0.0, (deadline - now) / 2)))
        await self._server.drain(deadline)

    async def stop(self) -> None:
        """Leave the registry, and release everything."""
        if self._weighing is not None:
            self._weighing.cancel()
            await asyncio.wait({self._weighing})
        try:
            if self._registration is not None:
                await self._registration.stop()
        finally:
            await self._server.stop()

    async def _weigh(self, registration: Registration, weight: Callable[[], int]) -> None:
        told, at = _USUAL, 0.0
        while True:
            await asyncio.sleep(_LOOK)
            now, wanted = asyncio.get_running_loop().time(), weight()
            # Said again now and then: a registry that has restarted knows the usual one.
            again = wanted != _USUAL and now - at >= _AGAIN
            if (wanted != told or again) and await registration.weigh(wanted):
                told, at = wanted, now
