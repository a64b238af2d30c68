"""The rules of the layout, checked on the syntax trees of the sources."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import uaitools
from uaitools.registry import client

ROOT = Path(uaitools.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))

COMPONENTS = frozenset(
    f"uaitools.{name}" for name in ("proxy", "hub", "memory", "insight", "registry")
)
SHARED = [
    *(path for path in ROOT.glob("*.py") if path.name not in ("__init__.py", "__main__.py")),
    *ROOT.glob("traffic/**/*.py"),
    *ROOT.glob("auth/*.py"),
    *ROOT.glob("limits/*.py"),
    *ROOT.glob("postgres/**/*.py"),
    *ROOT.glob("cache/*.py"),
]
# Files without I/O and without a clock: `now` is an argument there. A file that is renamed or
# removed is renamed or removed here, too.
PURE_AT_THE_TOP = ("fields.py", "filters.py")
PURE_IN_PROXY = (
    "cookies.py",
    "deadlines.py",
    "ejection.py",
    "ends.py",
    "failure.py",
    "guards/networks.py",
    "headers.py",
    "healthcheck.py",
    "memo.py",
    "orders.py",
    "patience.py",
    "peers.py",
    "report.py",
    "routing/conditions.py",
    "routing/cors.py",
    "routing/edits.py",
    "routing/hosts.py",
    "routing/paths.py",
    "routing/pattern.py",
    "routing/reply.py",
    "routing/router.py",
    "routing/split.py",
    "series.py",
    "sighting.py",
    "tls/hello.py",
    "tls/identity.py",
    "tls/names.py",
    "workers/totals.py",
    *(f"http1/{path.name}" for path in ROOT.glob("proxy/http1/*.py")),
)
PURE_IN_AUTH = (
    "claims.py",
    "credential.py",
    "errors.py",
    "jws.py",
    "jwt.py",
    "keys.py",
    "memo.py",
    "principal.py",
    "service_token.py",
)
PURE_IN_CACHE = ("entries.py", "lifetime.py", "owed.py", "port.py", "script.py")
PURE_IN_POSTGRES = ("pool_settings.py",)
PURE_IN_LIMITS = ("keys.py", "lease.py", "limit.py", "outcome.py", "script.py", "verdict.py")
PURE_IN_INSIGHT = (
    "analysis/bots.py",
    "analysis/config.py",
    "analysis/conventions.py",
    "analysis/dates.py",
    "analysis/errors.py",
    "analysis/evidence.py",
    "analysis/expressions.py",
    "analysis/facts.py",
    "analysis/files.py",
    "analysis/history.py",
    "analysis/insights.py",
    "analysis/languages.py",
    "analysis/license_texts.py",
    "analysis/licenses.py",
    "analysis/objects.py",
    "analysis/origin.py",
    "analysis/records.py",
    "analysis/releases.py",
    "analysis/settings.py",
    "analysis/texts.py",
    "errors.py",
    "importing/errors.py",
    "api/conditions.py",
    "api/cursors.py",
    "api/freshness.py",
    "api/parameters.py",
    "pace.py",
    "quality.py",
    "rankings/cells.py",
    "rankings/days.py",
    "rankings/gathering.py",
    "rankings/lines.py",
    "rankings/reading.py",
    "rankings/records.py",
    "rankings/renames.py",
    "store/days.py",
    "store/shown.py",
    "terms.py",
    "recent.py",
    "trending/bounds.py",
    "trending/formula.py",
    "trending/histories.py",
    "trending/trend.py",
    "trending/window.py",
)
PURE_IN_REGISTRY = (
    "address.py",
    "bells.py",
    "checks/answer.py",
    "checks/finding.py",
    "checks/schedule.py",
    "checks/target.py",
    "clock.py",
    "client/backoff.py",
    "client/calls/attempt.py",
    "client/calls/fixed.py",
    "client/calls/policy.py",
    "client/calls/roster.py",
    "client/calls/sightings.py",
    "client/errors.py",
    "client/fields.py",
    "client/lease.py",
    "client/member.py",
    "client/messages.py",
    "client/outbox.py",
    "client/placing.py",
    "client/registries.py",
    "client/timing.py",
    "client/view.py",
    "entry.py",
    "errors.py",
    "events.py",
    "evidence.py",
    "leases.py",
    "model.py",
    "observation.py",
    "protection.py",
    "service.py",
    "sightings.py",
    "snapshot.py",
    "store/amends.py",
    "store/health.py",
    "store/port.py",
    "store/replica.py",
    "store/script.py",
    "table.py",
    "watchers.py",
)
PURE_IN_MEMORY = (
    "analysis/document.py",
    "analysis/normal.py",
    "analysis/query.py",
    "analysis/quoting.py",
    "analysis/stems.py",
    "analysis/words.py",
    "context/assemble.py",
    "context/digest.py",
    "context/line.py",
    "context/tokens.py",
    "embed/answer.py",
    "embed/config.py",
    "embed/errors.py",
    "embed/pooling.py",
    "embed/port.py",
    "embed/statistics.py",
    "embed/words.py",
    "errors.py",
    "evaluation/labelled.py",
    "evaluation/measures.py",
    "evaluation/report.py",
    "evaluation/scoring.py",
    "index/best.py",
    "index/changes.py",
    "index/entries.py",
    "index/errors.py",
    "index/objects.py",
    "index/port.py",
    "index/scope.py",
    "index/scopes.py",
    "mcp/arguments.py",
    "mcp/tool.py",
    "store/conditions.py",
    "store/filters.py",
    "store/sql.py",
    "store/statements.py",
)
PURE_IN_HUB = (
    "broker/port.py",
    "broker/retries.py",
    "broker/roster.py",
    "broker/script.py",
    "broker/sequence.py",
    "broker/wire.py",
    "channel.py",
    "client/backoff.py",
    "client/errors.py",
    "client/events.py",
    "client/messages.py",
    "client/timing.py",
    "client/track.py",
    "client/typed.py",
    "closing.py",
    "commands.py",
    "deflate.py",
    "extensions.py",
    "filters.py",
    "frames.py",
    "handshake.py",
    "place.py",
    "presence.py",
    "ring.py",
    "sockets/port.py",
)
PURE = [
    *ROOT.glob("traffic/**/*.py"),
    *(ROOT / file for file in PURE_AT_THE_TOP),
    *(ROOT / "auth" / file for file in PURE_IN_AUTH),
    *(ROOT / "cache" / file for file in PURE_IN_CACHE),
    *(ROOT / "hub" / file for file in PURE_IN_HUB),
    *(ROOT / "insight" / file for file in PURE_IN_INSIGHT),
    *(ROOT / "limits" / file for file in PURE_IN_LIMITS),
    *(ROOT / "memory" / file for file in PURE_IN_MEMORY),
    *(ROOT / "postgres" / file for file in PURE_IN_POSTGRES),
    *(ROOT / "proxy" / file for file in PURE_IN_PROXY),
    *(ROOT / "registry" / file for file in PURE_IN_REGISTRY),
]
IMPURE = frozenset({"aiohttp", "asyncio", "select", "selectors", "socket", "ssl", "time", "uvloop"})
CLOCK = frozenset({"now", "today", "utcnow"})  # of datetime and date, which are values otherwise


def name(path: Path) -> str:
    return str(path.relative_to(ROOT.parent))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it; `from a import b` counts as a and a.b."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)


def within(module: str, packages: frozenset[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("path", SHARED, ids=name)
def test_shared_modules_import_no_component(path: Path) -> None:
    assert [module for module in imported(path) if within(module, COMPONENTS)] == []


# Components use each other by public names alone: whoever calls a service finds it by the
# registry's client, and the registry is reached by a gateway's listener (uaitools.proxy.mounted).
CLIENT = frozenset(
    {
        "uaitools.registry.client",
        "uaitools.registry.client.config",  # pydantic's, and imported for nothing else
        "uaitools.registry.client.config.RegistryClientConfig",
        *(f"uaitools.registry.client.{public}" for public in client.__all__),
    }
)
FRONT = ("uaitools.proxy.Gateway", "uaitools.proxy.Mounted", "uaitools.proxy.ProxyConfig")
USED = {
    "insight": (
        "uaitools.proxy.AccessLogSettings",
        "uaitools.proxy.DirectAnswer",
        "uaitools.proxy.DirectRequest",
        *FRONT,
    ),
    "memory": FRONT,
    "registry": ("uaitools.proxy.DirectRequest", *FRONT),
}


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/**/*.py")), ids=name)
def test_components_use_each_other_by_public_names(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    others = COMPONENTS - {f"uaitools.{own}"}
    if f"uaitools.{own}" not in COMPONENTS:
        return
    allowed = USED.get(own, CLIENT)
    for module in imported(path):
        if within(module, others) and module not in others:
            assert module in allowed, module


@pytest.mark.parametrize("path", PURE, ids=name)
def test_pure_modules_import_neither_io_nor_a_clock(path: Path) -> None:
    modules = list(imported(path))

    assert [module for module in modules if within(module, IMPURE)] == []
    if "datetime" in modules:
        nodes = ast.walk(ast.parse(path.read_bytes()))
        assert not CLOCK & {node.attr for node in nodes if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_tasks_are_made_in_tasks_only(path: Path) -> None:
    if path == ROOT / "tasks.py":
        return
    calls = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call)]
    called = [getattr(call.func, "attr", getattr(call.func, "id", "")) for call in calls]

    assert not {"create_task", "ensure_future"} & set(called)


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name == "__init__.py"], ids=name)
def test_every_package_begins_with_a_map_of_under_25_lines(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_bytes()))

    assert text is not None
    assert text.count("\n") < 24


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name != "__main__.py"], ids=name)
def test_what_runs_is_the_source_and_no_stale_build_of_it(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")

    assert importlib.import_module(module).__file__ == str(path)
