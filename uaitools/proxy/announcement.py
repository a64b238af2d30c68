"""The gateway as an instance of the service `proxy` in a registry, for those who call it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import uaitools

if TYPE_CHECKING:
    from uaitools.proxy.gateway import Gateway
    from uaitools.registry.client import Registration
    from uaitools.registry.client.config import RegistryClientConfig

SERVICE: Final = "proxy"
LEAVE: Final = 10.0  # seconds of a drain, at most, in which callers are told to go elsewhere


class Announced:
    """A gateway that is registered while it serves, and leaves the registry before it closes.

    client: says where the registry is, and under which address the gateway is to be reached.
    Only one process of a port announces it.
    """

    def __init__(self, gateway: Gateway, client: RegistryClientConfig) -> None:
        self._gateway = gateway
        self._client = client
        self._registration: Registration | None = None

    def __repr__(self) -> str:
        return f"<Announced {self._registration!r}>"

    async def start(self) -> None:
        """Serve, and say so."""
        from uaitools.registry.client import register  # noqa: PLC0415 - for who is announced

        gateway, client = self._gateway, self._client
        assert client.address is not None
        await gateway.start()
        port = gateway.address.port
        self._registration = register(
            name=SERVICE,
            # Who starts again at the same place takes that place, and waits for no lease to end.
            id=f"{SERVICE}-{client.address}-{port}",
            address=client.address,
            port=port,
            urls=client.url,
            scheme="https" if gateway.front is not None else "http",
            version=uaitools.__version__,
            zone=client.zone or "",
            token=client.credential,
        )
        await self._registration.start()

    async def drain(self, deadline: float) -> None:
        """Have callers go elsewhere, then finish what is under way; see Gateway.drain."""
        if self._registration is not None:
            now = asyncio.get_running_loop().time()
            await self._registration.drain(now + min(LEAVE, max(0.0, (deadline - now) / 2)))
        await self._gateway.drain(deadline)

    async def stop(self) -> None:
        """Leave the registry, and release everything."""
        try:
            if self._registration is not None:
                await self._registration.stop()
        finally:
            await self._gateway.stop()
