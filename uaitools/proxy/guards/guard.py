"""What a route asks of a request before an endpoint is chosen, in this order.

    networks      the client's address, by lists
    identity      whose credentials it carries, and whether those may come here
    limits        how many requests have come
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
from uaitools.limits.keys import HEADER, address_key, call_key, field_value
from uaitools.proxy.guards.identity import Identities, Identity, unasked
from uaitools.proxy.guards.interception import Interception
from uaitools.traffic.concurrency import Concurrency, Slot

if TYPE_CHECKING:
    from uaitools.limits.front import Limits
    from uaitools.limits.limit import Limit
    from uaitools.limits.verdict import Verdict
    from uaitools.proxy.exchange import Exchange
    from uaitools.proxy.guards.hooks import Hooks
    from uaitools.proxy.guards.networks import Networks
    from uaitools.proxy.headers import Trust
    from uaitools.proxy.http1.request import RequestHead
    from uaitools.proxy.peers import Peers

FORBIDDEN: Final = ServiceError(403, "clients of this address may not come here", "proxy")
BUSY: Final = ServiceError(
    429, "too many of your requests are under way; wait for one to end", "proxy", retry_after=1
)


class Caller:
    """Who sends requests with one head, as far as the head tells.

    client: the address for whom a trusted proxy speaks, else empty. keys: of the route's limits, if
    the head tells them all; else partial has them, with None for the client's address.
    """

    __slots__ = ("client", "identity", "keys", "partial")

    def __init__(self, client: bytes, identity: Identity, keys: list[bytes | None]) -> None:
        self.client = client
        self.identity = identity
        self.partial = keys
        known = [key for key in keys if key is not None]
        self.keys: list[bytes] | None = known if len(known) == len(keys) else None

    def __repr__(self) -> str:
        return f"<Caller {self.identity.principal.id} client={self.client.decode()}>"


class Guard:
    """The guard of one route, made anew with each configuration; what limits count is elsewhere.

    label: the route's. refusals: how often each limit has refused, by its name.
    """

    __slots__ = (
        "_concurrency",
        "_everybody",
        "_hooks",
        "_identities",
        "_label",
        "_last",
        "_limiter",
        "_limits",
        "_networks",
        "_peers",
        "_reads_heads",
        "_refusals",
    )

    def __init__(
        self,
        label: str,
        peers: Peers,
        *,
        networks: Networks | None = None,
        identities: Identities | None = None,
        limiter: Limits | None = None,
        limits: tuple[Limit, ...] = (),
        refusals: dict[str, int] | None = None,
        concurrency: Concurrency | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._label = label
        self._peers = peers
        self._networks = networks
        self._identities = identities
        self._limiter = limiter
        self._limits = limits
        self._refusals = refusals if refusals is not None else {}
        self._concurrency = concurrency
        self._hooks = hooks
        self._everybody = unasked()
        self._reads_heads = any(limit.key.startswith(HEADER) for limit in limits)
        self._last = concurrency is None and hooks is None  # nothing comes behind the limits

    def __repr__(self) -> str:
        return f"<Guard {self._label} {self._hooks!r}>"

    def identify(self, head: RequestHead, trust: Trust, service: str, now: float) -> Caller:
        """Who sends requests with `head`. trust: what is believed of it."""
        identity = self._everybody
        if self._identities is not None:
            identity = self._identities.of(head.credentials, service, now)
        if trust.chain or self._reads_heads:
            return self._caller(head, trust, identity)
        # The same for all heads with these credentials: 1 us each, if it were made anew.
        caller = identity.caller
        if caller is None:
            caller = identity.caller = self._caller(head, trust, identity)
        return caller

    def _caller(self, head: RequestHead, trust: Trust, identity: Identity) -> Caller:
        client = b""
        if trust.chain:
            client = self._peers.client(trust.chain.decode("latin-1").rstrip(", ")).encode()
        keys = [self._key(limit, head, trust, identity) for limit in self._limits]
        return Caller(client, identity, keys)

    def _key(
        self, limit: Limit, head: RequestHead, trust: Trust, identity: Identity
    ) -> bytes | None:
        """The key of a limit as far as a head tells it; None for the client's address."""
        source, header = limit.key, b""
        if source.startswith(HEADER):
            name = source.removeprefix(HEADER)
            header = head.values(name.encode(), trust.lines + trust.user)
            if not field_value(name, header):
                return None
        elif source == "address" or (source == "principal" and not identity.key):
            return None
        principal = identity.principal.id
        return call_key(source, address="", principal=principal, route=self._label, header=header)

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
        elif self._limits and self._limiter is not None:
            keys = caller.keys or self._keys(caller, exchange)
            verdict = self._limiter.check(self._limits, keys, now)
            if verdict is None:
                exchange.suspend(self._wait_for_limits(exchange, self._limiter, keys))
            elif verdict.refused is None and self._last and plan.service.concurrency is None:
                # The common case of _heed and _enter, without three calls: 0.2 us.
                exchange.added += verdict.lines
                exchange.admit(now)
            else:
                self._heed(verdict, exchange, now)
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

    async def _wait_for_limits(
        self, exchange: Exchange, limiter: Limits, keys: list[bytes]
    ) -> None:
        verdict = await limiter.wait(self._limits, keys)
        self._heed(verdict, exchange, monotonic())

    @staticmethod
    def _keys(caller: Caller, exchange: Exchange) -> list[bytes]:
        """The key of each limit."""
        address = address_key(exchange.address.decode())
        return [address if key is None else key for key in caller.partial]

    def _heed(self, verdict: Verdict, exchange: Exchange, now: float) -> None:
        """Do what the limits say."""
        exchange.added += verdict.lines
        limit = verdict.refused
        if limit is None:
            self._enter(exchange, now)
            return
        self._refusals[limit.name] = self._refusals.get(limit.name, 0) + 1
        exchange.refuse(verdict.error("proxy"), now)

    def _enter(self, exchange: Exchange, now: float) -> None:
        """Count the exchange among those under way, then let the hooks have it."""
        plan = exchange.plan
        service, caller = plan.service, plan.caller
        slot: Slot | None = None
        if self._concurrency is not None:
            slot = Slot()
            key = caller.identity.key if caller is not None else b""
            key = key or address_key(exchange.address.decode())
            if not slot.take(self._concurrency, key):
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
            interception = exchange.interception = Interception(exchange, self._hooks)
            interception.start()
        else:
            exchange.admit(now)
