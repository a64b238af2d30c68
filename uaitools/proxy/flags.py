"""What the command line adds to the configuration: overrides, routes and sample upstreams."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

from uaitools.auth.config import AuthConfig
from uaitools.command import common_flags, unguarded
from uaitools.config import ConfigError, Flag, Settings, load
from uaitools.limits.config import LimitsConfig
from uaitools.proxy.config import (
    REGISTRY_MISSING,
    EndpointUrl,
    ProxyConfig,
    RegistryTable,
    RouteSettings,
    ServiceSettings,
)
from uaitools.proxy.demo import ROUTE as DEMO_ROUTE
from uaitools.proxy.demo import SERVICE as DEMO_SERVICE
from uaitools.proxy.demo import Demo
from uaitools.proxy.tls.check import examine


@dataclass(frozen=True, slots=True)
class RouteFlag:
    """A `--route`: paths below `prefix` go to the endpoints at `urls`."""

    prefix: str
    urls: tuple[str, ...]

    @property
    def service(self) -> str:
        """The name of the service that the endpoints make."""
        return self.prefix.strip("/").replace("/", "-") or "root"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `/PREFIX=URL[,URL...]`. Raises ArgumentTypeError."""
        prefix, _, urls = text.partition("=")
        if not prefix.startswith("/") or not urls:
            raise ArgumentTypeError(f"must be /PREFIX=URL[,URL...], got {text!r}")
        return cls(prefix, tuple(urls.split(",")))


def load_with(options: Namespace, environ: Mapping[str, str], demo: Demo | None) -> Settings:
    """The configuration with everything that the command line adds.

    options: config, listen, workers, data_dir, log_level, route and insecure, as parsed. environ:
    usually `os.environ`. demo: sample upstreams to add. Raises ConfigError.
    """
    routes: list[RouteFlag] = options.route
    flags = [
        *common_flags(options, "proxy"),
        Flag("--workers", ("proxy", "workers"), options.workers),
        *_endpoints(routes),
    ]
    read = partial(
        load,
        {
            "proxy": ProxyConfig,
            "auth": AuthConfig,
            "limits": LimitsConfig,
            "registry": RegistryTable,
        },
        file=options.config,
        environ=environ,
    )
    settings = read(flags=flags)
    config = settings.of(ProxyConfig)
    if routes:
        kept = config.routes if "routes" in config.model_fields_set else ()
        merged = Flag("--route", ("proxy", "routes"), _merged(kept, routes))
        config = read(flags=[*flags, merged]).of(ProxyConfig)
    auth = settings.of(AuthConfig)
    if not auth.enabled and config.asking():
        reason = "nothing says whose credentials are good; set [auth]"
        raise ConfigError([f"{key}: {reason}" for key in config.asking()])
    registry = settings.of(RegistryTable)
    if registry.client is None and config.registered:
        lost = [name for name, service in config.services.items() if service.registry]
        problems = [f"proxy.services.{name}.registry: {REGISTRY_MISSING}" for name in lost]
        raise ConfigError(problems)
    if problems := unguarded(options, "proxy", config.listen, auth):
        raise ConfigError(problems)
    if demo is not None:
        config = _with_demo(config, demo)
    broken, _ = examine(config)
    if broken:
        raise ConfigError(broken)
    return Settings((settings.common, config, auth, settings.of(LimitsConfig), registry))


def _endpoints(routes: Sequence[RouteFlag]) -> list[Flag]:
    """A service for each route. Raises ConfigError when two would have one name."""
    names = [route.service for route in routes]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        prefixes = [route.prefix for route in routes if route.service == twice]
        problem = f"flag --route: {' and '.join(prefixes)} would both be the service {twice}"
        raise ConfigError([f"{problem}; give one prefix all its endpoints: PREFIX=URL,URL"])
    return [
        Flag("--route", ("proxy", "services", route.service, "endpoints"), list(route.urls))
        for route in routes
    ]


def _merged(kept: Sequence[RouteSettings], added: Sequence[RouteFlag]) -> list[object]:
    """The routes of the file, without those whose path the command line takes, and its own."""
    taken = {route.prefix.rstrip("/") for route in added}
    return [
        *(
            r.model_dump(mode="json")
            for r in kept
            if not (r.anyone and r.path.rstrip("/") in taken)
        ),
        *({"path": route.prefix, "service": route.service} for route in added),
    ]


def _with_demo(config: ProxyConfig, demo: Demo) -> ProxyConfig:
    """Give the sample upstreams to their service, and it a route, where there are none.

    Routes that nobody wrote are left out: their services have no endpoint, and health would tell.
    """
    if "routes" not in config.model_fields_set:
        config = config.model_copy(update={"routes": (DEMO_ROUTE,)})
    elif DEMO_ROUTE.path not in {route.path for route in config.routes}:
        config = config.model_copy(update={"routes": (*config.routes, DEMO_ROUTE)})
    service = config.services.get(DEMO_SERVICE, ServiceSettings())
    if service.endpoints:
        return config
    endpoints = tuple(EndpointUrl(url=url) for url in demo.urls)
    service = service.model_copy(update={"endpoints": endpoints})
    return config.model_copy(update={"services": {**config.services, DEMO_SERVICE: service}})
