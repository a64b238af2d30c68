"""One check of one instance."""

from __future__ import annotations

import asyncio

import aiohttp

from uaitools.registry.checks.answer import Answer
from uaitools.registry.checks.failure import reason
from uaitools.registry.checks.http import ask_http
from uaitools.registry.checks.tcp import ask_tcp
from uaitools.registry.checks.websocket import ask_websocket
from uaitools.registry.model import Check, Instance


async def ask(check: Check, instance: Instance, session: aiohttp.ClientSession) -> Answer:
    """Check an instance once, in `check.timeout` seconds at most, whatever it does.

        http       GET the path; 2xx is good, 429 weak, everything else a failure, redirects too
        tcp        a connection opens
        websocket  a handshake at the path succeeds; 429 is weak

    Every failure becomes a reason in the answer: "status 503", "connection refused", "not done
    within 3 s". http and websocket go over TLS where the instance's scheme is https or wss;
    certificates are verified as the session says, see `check_session`: not at all unless told.

    Bounds: a head of at most 128 fields of 8 KiB; bodies are not read; one connection.
    """
    try:
        async with asyncio.timeout(check.timeout) as limit:
            match check.kind:
                case "http":
                    return await ask_http(check, instance, session)
                case "tcp":
                    return await ask_tcp(instance)
                case "websocket":
                    return await ask_websocket(check, instance, session, limit)
    except TimeoutError as error:
        # The system's own ETIMEDOUT is a TimeoutError as well, and has a number.
        late = error.errno is None
        return Answer(f"not done within {check.timeout:g} s" if late else reason(error))
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Answer(reason(error))
