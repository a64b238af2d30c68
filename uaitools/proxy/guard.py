"""What a route asks of a request before an endpoint is chosen, in this order.

    networks      the client's address, by lists
    identity      whose credentials it carries, and whether those may come here
    concurrency   how many are under way
    hooks         whatever the operator's Python decides

Whom the credentials belong to is found out once for equal heads, with their plan. Each step answers
at once where it can; one that has to wait suspends the exchange and goes on from there.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from uaitools.auth.errors import NotReady, Unresolved
from uaitools.errors import ServiceError
from uaitools.proxy.identity import UNASKED, Identities, Identity
from uaitools.proxy.interception import Interception
from uaitools.traffic.concurrency import Concurrency, Slot

if TYPE_CHECKING:
    from uaitools.proxy.exchange import Exchange
    from uaitools.proxy.hooks import Hooks
    from uaitools.proxy.http1.request import RequestHead
    from uaitools.proxy.networks import Networks
    from uaitools.proxy.peers import Peers

FORBIDDEN: Final = ServiceError(403, "clients of this address may not come here", "proxy")
BUSY: Final = ServiceError(
    429, "too many of your requests are under way; wait for one to end", "proxy", retry_after=1
)


class Caller:
    """Who sends requests with one head, as far as the head tells.

    client: the address for whom a trusted proxy speaks, else empty.
    """

    __slots__ = ("client", "identity")

    def __init__(self, client: bytes, identity: Identity) -> None:
        self.client = client
        self.identity = identity

    def __repr__(self) -> str:
        return f"<Caller {self.identity.principal.id} client={self.client.decode()}>"


class Guard:
    """The guard of one route, made anew with each configuration."""

    __slots__ = (
        "_concurrency",
        "_hooks",
        "_identities",
        "_label",
        "_networks",
        "_peers",
    )

    def __init__(
        self,
        label: str,
        peers: Peers,
        *,
        networks: Networks | None = None,
        identities: Identities | None = None,
        concurrency: Concurrency | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._label = label.encode()
        self._peers = peers
        self._networks = networks
        self._identities = identities
        self._concurrency = concurrency
        self._hooks = hooks

    def __repr__(self) -> str:
        return f"<Guard {self._label.decode()} {self._hooks!r}>"

    def identify(self, head: RequestHead, chain: bytes, service: str, now: float) -> Caller:
        """Who sends requests with `head`. chain: X-Forwarded-For of a trusted proxy, or empty."""
        client = b""
        if chain:
            client = self._peers.client(chain.decode("latin-1").rstrip(", ")).encode()
        identity = UNASKED
        if self._identities is not None:
            identity = self._identities.of(head.credentials, service, now)
        return Caller(client, identity)

    # -- for each request -------------------------------------------------------------------

    def receive(self, exchange: Exchange, now: float) -> None:
        """Admit the exchange, refuse it, or do so later."""
        plan = exchange.plan
        caller = plan.caller
        assert caller is not None
        if self._networks is not None and not self._networks.admits(exchange.address):
            exchange.refuse(FORBIDDEN, now)
        elif caller.identity.unresolved is not None:
            exchange.suspend(self._identify(exchange, caller.identity.unresolved))
        elif caller.identity.refusal is not None:
            exchange.refuse(caller.identity.refusal, now)
        else:
            self._enter(exchange, now)

    async def _identify(self, exchange: Exchange, unresolved: Unresolved) -> None:
        await unresolved.resolve()
        now = monotonic()
        plan = exchange.plan = exchange.plan.again(now)
        if plan.caller is not None and plan.caller.identity.unresolved is not None:
            exchange.refuse(NotReady("proxy"), now)
        else:
            self.receive(exchange, now)

    def _enter(self, exchange: Exchange, now: float) -> None:
        """Count the exchange among those under way, then let the hooks have it."""
        plan = exchange.plan
        service, caller = plan.service, plan.caller
        slot: Slot | None = None
        if self._concurrency is not None:
            slot = Slot()
            key = caller.identity.key if caller is not None else b""
            if not slot.take(self._concurrency, key or exchange.address):
                exchange.refuse(BUSY, now)
                return
        if service.concurrency is not None:
            slot = slot or Slot()
            if not slot.take(service.concurrency, b""):
                exchange.refuse(service.busy(), now)
                return
        exchange.slot = slot
        # A route that answers by itself has nothing for hooks to decide.
        if self._hooks is not None and plan.answer is None:
            exchange.interception = Interception(exchange, self._hooks)
        else:
            exchange.admit(now)
