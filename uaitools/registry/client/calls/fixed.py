"""A list of instances that nobody watches: for tests, and where there is no registry."""

from __future__ import annotations

from collections.abc import Iterable

from yarl import URL

from uaitools.registry.client.member import Member
from uaitools.registry.client.view import View


def fixed_view(service: str, members: Iterable[Member | str]) -> View:
    """A view of members, or of URLs as `http://127.0.0.1:9001`. Raises ValueError."""
    known = [_member(service, one) if isinstance(one, str) else one for one in members]
    if len({member.id for member in known}) < len(known):
        raise ValueError("two members have the same id")
    return View(service, tuple(known), 0, "")


def _member(service: str, text: str) -> Member:
    url = URL(text)
    if url.scheme not in ("http", "https", "ws", "wss") or not url.host or not url.port:
        raise ValueError("a member's URL is scheme://host:port, of http, https, ws or wss")
    if url.raw_path_qs not in ("", "/") or url.user is not None:
        raise ValueError("a member's URL has neither user nor path")
    return Member(text, service, url.host, url.port, url.scheme)
