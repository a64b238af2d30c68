"""Finding a request's route: microseconds, with 2 routes and with 1,000.

`decide` is what the first request of a method and path pays; `key` and `plan` what each head pays
that was not seen before. The same request goes through tables of both sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from uaitools.proxy.http1.request import RequestHead
from uaitools.proxy.routing.conditions import HEADER, Condition
from uaitools.proxy.routing.router import Route, Router
from uaitools.proxy.series import Requests
from uaitools.proxy.service import Service, ServicePolicy
from uaitools.proxy.site import Site

SIZES = (2, 1000)
LINES = (
    b"\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nX-Tenant: t1\r\nCookie: session=1\r\nX-Trace: %d"
)


def _condition(number: int) -> tuple[Condition, ...]:
    return (Condition(HEADER, b"x-tenant", b"t%d" % number),)


# Each takes GET /api/v1/users/7 on h1.example.org for tenant t1 with its route number 1.
TABLES: dict[str, Callable[[int], Route]] = {
    "prefix": lambda n: Route(b"/api/v%d" % n, "a"),
    "exact": lambda n: Route(b"/api/v%d/users/7" % n, "a", exact=True),
    "template": lambda n: Route(b"/api/v%d/users/{id}" % n, "a"),
    "host": lambda n: Route(b"/api", "a", host=b"h%d.example.org" % n),
    "header": lambda n: Route(b"/api", "a", conditions=_condition(n)),
}

every_table = pytest.mark.parametrize("table", TABLES)
every_size = pytest.mark.parametrize("size", SIZES)


def router(table: str, size: int) -> Router:
    return Router([TABLES[table](number) for number in range(size)])


def head(number: int) -> bytes:
    target = b"/api/v1/users/7?q=%d" % number
    return b"GET %b HTTP/1.1\r\nHost: h1.example.org%b" % (target, LINES % number)


@every_table
@every_size
def test_decide(benchmark: BenchmarkFixture, table: str, size: int) -> None:
    routes, parsed = router(table, size), RequestHead(head(1))

    route = benchmark(
        lambda: routes.match(parsed.method, parsed.path, parsed.host, parsed.lines, parsed.query)
    )

    assert route.service == "a"


@pytest.mark.parametrize("table", ["host", "header"])
@every_size
def test_key(benchmark: BenchmarkFixture, table: str, size: int) -> None:
    """What a site whose routes look at more than method and path pays for it."""
    routes, parsed = router(table, size), RequestHead(head(1))
    routes.key(parsed)
    routes.key(parsed)

    assert benchmark(routes.key, parsed).startswith((b"GET", b"h1"))


@every_table
@every_size
def test_plan_of_a_unique_head(benchmark: BenchmarkFixture, table: str, size: int) -> None:
    service = Service("a", ServicePolicy(), 0.0)
    site = Site(router(table, size), {"a": service}, service, Requests())
    numbers = count()

    plan = benchmark(lambda: site.plan(head(next(numbers)), 0.0, trusted=False))

    assert plan.answer is None
