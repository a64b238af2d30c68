"""How each proxy is started.

All do the same work: round robin over two endpoints with kept connections, X-Forwarded-For,
X-Forwarded-Proto, X-Forwarded-Host, and a request id for upstream and client.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.machine import ROOT, Missing, Process, cores, free_port, program, raise_file_limit
from bench.peers import policies
from bench.upstreams import Ports, fill, source_environment

_HERE: Final = Path(__file__).parent
_COMPILED: Final = ROOT / ".venv-compiled" / "bin" / "python"
_WHICH_DOWNSTREAM: Final = "import uaitools.proxy.downstream as m; print(m.__file__)"


@dataclass(frozen=True, slots=True)
class Site:
    """What a proxy is started with: a folder for its files, its port, its upstreams' ports."""

    folder: Path
    port: int
    upstreams: Ports

    def fill(self, template: str) -> Path:
        """The configuration file for this site, from the template of that name."""
        files = raise_file_limit()
        return fill(
            _HERE / template,
            self.folder / template,
            port=self.port,
            port_a=self.upstreams[0],
            port_b=self.upstreams[1],
            files=files,
            maxconn=min(20_000, (files - 100) // 2),  # it counts two files a connection
            key=policies.KEY,
            keys=policies.write_keys(self.folder),
            secret=policies.SECRET,
        )


@dataclass(frozen=True, slots=True)
class Command:
    """A program and its environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None


Starter = Callable[[Site], Command]


def nginx(site: Site) -> Command:
    """One worker, keep-alive to the upstreams, bodies relayed and not spooled."""
    conf = site.fill("nginx.conf")
    return Command((program("nginx"), "-p", str(site.folder), "-c", str(conf), "-e", "stderr"))


def haproxy(site: Site) -> Command:
    """One thread; idle upstream connections shared by all clients."""
    return Command((program("haproxy"), "-db", "-f", str(site.fill("haproxy.cfg"))))


def caddy(site: Site) -> Command:
    """Its reverse_proxy directive."""
    home = str(site.folder)  # it keeps its state there
    return Command(
        (
            program("caddy"),
            "run",
            "--adapter",
            "caddyfile",
            "--config",
            str(site.fill("Caddyfile")),
        ),
        {**os.environ, "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home},
    )


def go(site: Site) -> Command:
    """main.go, built here without the network: it needs the standard library only."""
    binary = site.folder / "go-proxy"
    built = subprocess.run(
        [program("go"), "build", "-o", str(binary), str(_HERE / "main.go")],
        env={**os.environ, "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        raise Missing(f"go cannot build main.go: {built.stderr.strip()[-300:]}")
    upstreams = [f"127.0.0.1:{port}" for port in site.upstreams]
    return Command((str(binary), f"127.0.0.1:{site.port}", *upstreams))


def aiohttp(site: Site) -> Command:
    """aiohttp_proxy.py: server and ClientSession."""
    ports = [str(port) for port in (site.port, *site.upstreams)]
    return Command((sys.executable, str(_HERE / "aiohttp_proxy.py"), *ports))


def uaitools(site: Site) -> Command:
    """The gateway from this checkout, interpreted."""
    return _gateway(_interpreted(), site)


def uaitools_compiled(site: Site) -> Command:
    """The gateway that `make compiled` has installed apart."""
    return _gateway(_compiled(), site)


def interpreter(name: str) -> Command | None:
    """The Python that runs a proxy of that name if it is uaitools. Raises Missing."""
    if name == "uaitools":
        return _interpreted()
    return _compiled() if name == "uaitools compiled" else None


def _interpreted() -> Command:
    return Command((sys.executable, "-P"), source_environment())


def _compiled() -> Command:
    hint = "`make compiled` builds it"
    stamp = _COMPILED.parent.parent / ".installed"  # touched by make after the build
    if not stamp.exists():
        raise Missing(f"no compiled build in .venv-compiled; {hint}")
    sources = (ROOT / "uaitools").rglob("*.py")
    if max(path.stat().st_mtime for path in sources) > stamp.stat().st_mtime:
        raise Missing(f"the build in .venv-compiled is older than the sources; {hint}")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # -P: the working directory must not bring in the sources instead.
    python = str(_COMPILED), "-P"
    found = subprocess.run(
        [*python, "-c", _WHICH_DOWNSTREAM], env=env, capture_output=True, text=True, check=False
    )
    if not found.stdout.strip().endswith(".so"):
        raise Missing(f".venv-compiled has no compiled modules; {hint}")
    return Command(python, env)


def _gateway(
    python: Command, site: Site, template: str = "gateway.toml", more: str = ""
) -> Command:
    config = site.fill(template)
    config.write_text(config.read_text() + more)
    argv = (*python.argv, "-m", "uaitools.proxy", "--config", str(config))
    return Command(argv, python.env)


def nginx_policies(site: Site) -> Command:
    """Nginx with a map on the key and limit_req."""
    conf = site.fill("nginx-policies.conf")
    return Command((program("nginx"), "-p", str(site.folder), "-c", str(conf), "-e", "stderr"))


def uaitools_policies(site: Site) -> Command:
    """The gateway with an API key and a limit, interpreted."""
    return _gateway(_interpreted(), site, "gateway-policies.toml")


def uaitools_policies_compiled(site: Site) -> Command:
    """The same, compiled."""
    return _gateway(_compiled(), site, "gateway-policies.toml")


def _with(more: str) -> Starter:
    """The gateway that asks for nothing, with more in its configuration."""
    return lambda site: _gateway(_interpreted(), site, more=more)


BASE: Final = "nginx"  # what ratios refer to
PROXIES: Final[dict[str, Starter]] = {
    BASE: nginx,
    "haproxy": haproxy,
    "uaitools": uaitools,
    "uaitools compiled": uaitools_compiled,
    "go": go,
    "caddy": caddy,
    "aiohttp": aiohttp,
    "nginx +key +limit": nginx_policies,
    "uaitools +key +limit": uaitools_policies,
    "compiled +key +limit": uaitools_policies_compiled,
    "uaitools +log": _with('[proxy.access_log]\nenabled = true\nfile = "/dev/null"\n'),
    "uaitools +jwt": _with(f'auth = "required"\n[auth.jwt]\nsecret = "{policies.SECRET}"\n'),
    "uaitools +hook": _with('hooks = ["bench.peers.policies:hook"]\n'),
    "uaitools +1000 routes": _with(policies.many_routes()),
}
PLAIN: Final = tuple(name for name in PROXIES if "+" not in name)
POLICED: Final = ("nginx +key +limit", "uaitools +key +limit", "compiled +key +limit")
VARIANTS: Final = (
    "uaitools",
    "uaitools +log",
    "uaitools +jwt",
    "uaitools +hook",
    "uaitools +1000 routes",
)


def start(name: str, upstreams: Ports, folder: Path, path: str) -> Process:
    """Start a proxy on the proxies' core; ready when `path` answers. Raises Missing."""
    own = folder / name.replace(" ", "-")
    own.mkdir(exist_ok=True)
    own.chmod(0o755)
    port = free_port()
    command = PROXIES[name](Site(own, port, upstreams))
    return Process(
        name, command.argv, core=cores()[0], folder=own, port=port, path=path, env=command.env
    )
