"""The handler of policies."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from uaitools.filters import BadFilter
from uaitools.memory.api import requests
from uaitools.memory.api.callers import owner
from uaitools.memory.api.searching import wanted_by
from uaitools.memory.errors import SERVICE, BadRequest
from uaitools.memory.policy import Policy
from uaitools.memory.rendering import encoded
from uaitools.memory.store.policies import Judged
from uaitools.rest import body

if TYPE_CHECKING:
    from uaitools.memory.service import MemoryService

_DAY: Final = timedelta(days=1)
_DIGITS: Final = 3  # of days: a minute and a half


class ForgettingHandler:
    """Has memories go."""

    __slots__ = ("_service",)

    def __init__(self, service: MemoryService) -> None:
        self._service = service

    def __repr__(self) -> str:
        return f"<ForgettingHandler {self._service!r}>"

    async def forget(self, request: web.Request) -> bytes:
        """POST of a policy: what goes by it, or would go."""
        asked = await body(request, requests.Forget, SERVICE)
        rules = asked.policy
        policy = Policy.of_days(rules.older_than_days, rules.unused_for_days, rules.keep_best)
        user, wanted = owner(request, asked.user_id), wanted_by(asked.filter)
        forgetting = self._service.forgetting
        try:
            said = await forgetting.forget(user, policy, wanted, dry_run=asked.dry_run)
        except BadFilter as error:
            raise BadRequest("filter.metadata", str(error)) from error
        return encoded(
            {
                "dry_run": asked.dry_run,
                "at": said.at,
                "count": said.count,
                "memories": [_judged(policy, one, said.at) for one in said.shown],
                "more": said.count > len(said.shown),
                "left": said.left,
            }
        )


def _judged(policy: Policy, one: Judged, at: datetime) -> dict[str, Any]:
    age, unused = at - one.created_at, at - one.used_at
    return {
        "id": one.id,
        "reasons": policy.reasons(age, unused, one.rank),
        "age_days": round(age / _DAY, _DIGITS),
        "unused_days": round(unused / _DAY, _DIGITS),
        "access_count": one.access_count,
        "excerpt": one.excerpt,
        "rank": one.rank,
    }
