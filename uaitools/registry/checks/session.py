"""What checks go out with: a session that keeps nothing between two of them."""

from __future__ import annotations

import ssl

import aiohttp


def check_session(tls: ssl.SSLContext | None = None) -> aiohttp.ClientSession:
    """A session for `ask`; the caller closes it.

    tls: how certificates of https and wss are verified; None: not at all. A check asks whether
    whoever is at an address answers. It sends no secret and believes nothing but a status, and an
    instance's certificate is usually for the name that its clients use, by an authority of the
    house: verifying it by default would call healthy fleets critical. Who wants a certificate that
    has expired to be a failure gives a context.

    Each check opens a connection, since one that was kept says nothing of whether new ones can be
    made. Cookies, proxies of the environment and credentials of .netrc are left out. Limits of
    connections are the caller's: the time limit of a check includes no wait for others.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0, force_close=True, ssl=False if tls is None else tls
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
    )
