"""Why requests end: the words of the access log."""

from __future__ import annotations

from typing import Final

COMPLETE: Final = b"complete"  # the whole answer is out; of a tunnel: both sides have closed it
CLIENT_GONE: Final = b"client_gone"  # the client left, or was cut off for not reading
REFUSED: Final = b"refused"  # answered by the gateway, as its configuration says
REJECTED: Final = b"rejected"  # the client's body was too large, too slow or malformed
MALFORMED: Final = b"malformed"  # what came was no request
UNAVAILABLE: Final = b"unavailable"  # no endpoint could take it
HOOK: Final = b"hook"  # a hook of the route has failed, or was too slow
IDLE: Final = b"idle"  # a tunnel through which nothing went for too long
UPSTREAM_GONE: Final = b"upstream_gone"  # the upstream's side of a tunnel broke off

# What a reader of a sampled log wants to see in any case is everything else, and every 5xx.
USUAL: Final = frozenset((COMPLETE, REFUSED, REJECTED, MALFORMED))
