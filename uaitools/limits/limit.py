"""A limit: its name, its rule, whose calls it counts, and the header lines that tell it.

The header fields are those of draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy` says
what is allowed, `RateLimit` what is left (`r`) and after how many seconds there is more (`t`).
Both are lists in structured fields (RFC 9651), which may stand on several lines: each limit has
lines of its own, and those of several are joined as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from uaitools.limits.verdict import Verdict
from uaitools.traffic.limits import NANO, Quota, Rate
from uaitools.traffic.slots import Charge, QuotaCharge, RateCharge

_WINDOWS: Final = {"hour": b";w=3600", "day": b";w=86400", "month": b""}  # months differ
_KEPT: Final = 1024  # verdicts that a limit remembers


@dataclass(frozen=True, slots=True, eq=False)
class Limit:
    """At most `rule` for each key. key: principal, address, route or header:NAME.

    name: printable ASCII; clients see it. scope: what else keeps it apart, a route for example.
    Limits are the same, and go on counting over a reload, when all four are; a limit that is
    changed begins anew.

    text, identity, charge: the same for the wire, for the table, and as the table counts it; a
    quota's charge holds the end of its period, which whoever knows the time moves on.
    """

    name: str
    rule: Rate | Quota
    key: str = "principal"
    scope: str = ""
    text: str = field(init=False, repr=False)
    identity: int = field(init=False, repr=False)
    charge: Charge = field(init=False, repr=False)
    _policy: bytes = field(init=False, repr=False)
    _rest: bytes = field(init=False, repr=False)
    _verdicts: dict[tuple[int, int], Verdict] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rule = self.rule
        if not self.name or not self.name.isascii() or not self.name.isprintable():
            raise ValueError(f"a limit's name is printable ASCII, not {self.name!r}")
        if isinstance(rule, Rate):
            charge: Charge = RateCharge(rule.interval, rule.capacity)
            text = f"{self.name}|{rule}|{rule.burst}|{self.key}|{self.scope}"
            window = b";w=%d" % rule.period
        else:
            charge = QuotaCharge(rule.count, 0)
            text = f"{self.name}|{rule}|{self.key}|{self.scope}"
            window = _WINDOWS[rule.period]
        quoted = self.name.replace("\\", "\\\\").replace('"', '\\"').encode()
        policy = b'RateLimit-Policy: "%b";q=%d%b\r\n' % (quoted, rule.count, window)
        derived = {
            "text": text,
            "identity": hash(text),
            "charge": charge,
            "_policy": policy,
            "_rest": b'%bRateLimit: "%b";r=' % (policy, quoted),
            "_verdicts": {},
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def admitted(self, left: int, now: int) -> Verdict:
        """The verdict when this limit alone admits. left: as a table's `take` says it.

        now: nanoseconds. A rate's verdicts are made once, as long as there are not many of them; a
        quota's are all different.
        """
        charge = self.charge
        if not isinstance(charge, RateCharge):
            more = -((now - charge.ends) // NANO)
            return Verdict(b"%b%d;t=%d\r\n" % (self._rest, left, more))
        interval = charge.interval
        remaining = left // interval
        more = 1 if interval <= NANO else -((left % interval - interval) // NANO)
        told = (remaining, more)
        verdict = self._verdicts.get(told)
        if verdict is None:
            verdict = Verdict(b"%b%d;t=%d\r\n" % (self._rest, remaining, more))
            if len(self._verdicts) >= _KEPT:
                self._verdicts.clear()
            self._verdicts[told] = verdict
        return verdict

    def refused(self, wait: int) -> Verdict:
        """The verdict when this limit refuses, for `wait` nanoseconds at least."""
        seconds = max(1, -(-wait // NANO))
        return Verdict(b"%b0;t=%d\r\n" % (self._rest, seconds), self, wait / NANO)
