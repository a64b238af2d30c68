"""What ties a request to an endpoint: the key that is hashed, and the session it belongs to.

Whatever depends on the head alone is found once a head and kept with its plan. It is looked for
in the head that goes to the upstream, so that only what the upstream may believe decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from time import time
from typing import TYPE_CHECKING, Final

from uaitools.proxy.cookies import cookie, set_cookie, without_cookie
from uaitools.traffic.balancing.ring import hashed
from uaitools.traffic.sticky import Session, Sessions

if TYPE_CHECKING:
    from uaitools.proxy.plan import Plan
    from uaitools.traffic.balancing import Balancer
    from uaitools.traffic.endpoint import Endpoint

Finder = Callable[["Plan"], bytes | None]
"""What is hashed of a head; None when the head has nothing of it."""

_HTTPS: Final = re.compile(rb"\r\n[Xx]-[Ff]orwarded-[Pp]roto:[ \t]*[Hh][Tt][Tt][Pp][Ss][ \t]*\r\n")
_CHAIN: Final = b"\r\nX-Forwarded-For: "


class Sticky:
    """Sticky sessions of a service. cookie: its name."""

    __slots__ = ("cookie", "sessions")

    def __init__(self, cookie: bytes, sessions: Sessions) -> None:
        self.cookie = cookie
        self.sessions = sessions

    def __repr__(self) -> str:
        return f"<Sticky {self.cookie.decode()} {self.sessions!r}>"


class Preference:
    """What a head says about where it wants to go, as `affinity` reads it.

    key: what to hash, or None when that is the client's address. secure: the client came by https.
    """

    __slots__ = ("affinity", "key", "secure", "session")

    def __init__(
        self, affinity: Affinity, key: int | None, session: Session | None, *, secure: bool
    ) -> None:
        self.affinity = affinity
        self.key = key
        self.session = session
        self.secure = secure

    def __repr__(self) -> str:
        return f"<Preference key={self.key} session={self.session is not None}>"


class Affinity:
    """A service's ties.

    find: what to hash of a head; where that is nothing, and without `find`, it is the client's
    address. hashing: whether the balancer looks at a key at all. sticky: its sessions, or None.
    """

    __slots__ = ("_find", "_hashing", "_sticky")

    def __init__(self, find: Finder | None, sticky: Sticky | None, *, hashing: bool) -> None:
        self._find = find
        self._sticky = sticky
        self._hashing = hashing

    def __repr__(self) -> str:
        return f"<Affinity hashing={self._hashing} sticky={self._sticky!r}>"

    def pick(
        self,
        balancer: Balancer,
        plan: Plan,
        address: bytes,
        now: float,
        tried: Collection[Endpoint],
    ) -> Endpoint | None:
        """The endpoint of the request's session, else the balancer's choice for its key.

        address: the client's. tried: as in Balancer.pick.
        """
        preference = self._preference(plan)
        if self._sticky is not None and preference.session is not None:
            kept = self._sticky.sessions.endpoint(preference.session, int(time()), now)
            if kept is not None and kept not in tried:
                return kept
        key = preference.key
        if key is None:
            key = hashed(address) if self._hashing else 0
        return balancer.pick(now, tried, key)

    def mark(self, added: bytes, plan: Plan, endpoint: Endpoint | None) -> bytes:
        """`added`, the lines for the answer's head, with the cookie that names `endpoint`.

        Without it when the client has a good one already, or there is no endpoint to name.
        """
        sticky = self._sticky
        if sticky is None:
            return added
        if added:
            added = without_cookie(added, sticky.cookie)  # of an endpoint that was tried before
        if endpoint is None:
            return added
        preference = self._preference(plan)
        sessions, wall = sticky.sessions, int(time())
        if preference.session is not None and sessions.is_fresh(preference.session, endpoint, wall):
            return added
        token = sessions.write(endpoint, wall)
        return added + set_cookie(sticky.cookie, token, sessions.ttl, secure=preference.secure)

    def _preference(self, plan: Plan) -> Preference:
        """What the plan's head says, found out at its first request and after a reload."""
        known = plan.preference
        if known is None or known.affinity is not self:
            known = plan.preference = self._read(plan)
        return known

    def _read(self, plan: Plan) -> Preference:
        value = self._find(plan) if self._find is not None else None
        session: Session | None = None
        secure = False
        if self._sticky is not None:
            token = cookie(plan.prefix, self._sticky.cookie)
            session = self._sticky.sessions.read(token) if token is not None else None
            secure = _HTTPS.search(plan.prefix) is not None
        return Preference(self, None if value is None else hashed(value), session, secure=secure)


def finder(source: str, client_of: Callable[[str], str]) -> Finder:
    """How to find what `source` names: "header:NAME", "cookie:NAME", "path" or "address".

    client_of: see Peers.client.
    """
    kind, _, name = source.partition(":")
    if kind == "header":
        line = re.compile(rb"\r\n%b:([^\r]*)" % re.escape(name.encode()), re.IGNORECASE)
        return lambda plan: _joined(line, plan)
    if kind == "cookie":
        return lambda plan: cookie(plan.prefix, name.encode())
    if kind == "path":
        return lambda plan: plan.head.path
    return lambda plan: _forwarded(plan, client_of)


def _joined(line: re.Pattern[bytes], plan: Plan) -> bytes | None:
    """The values of a header, as RFC 9110 5.3 joins them."""
    values = [value.strip(b" \t") for value in line.findall(plan.prefix)]
    return b", ".join(values) or None


def _forwarded(plan: Plan, client_of: Callable[[str], str]) -> bytes | None:
    """The client's address as trusted proxies tell it; None when the peer is the client."""
    chain = plan.prefix.rpartition(_CHAIN)[2].removesuffix(b", ")
    return client_of(chain.decode("latin-1")).encode() or None if chain else None
