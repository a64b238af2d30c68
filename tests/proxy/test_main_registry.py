"""`python -m uaitools.proxy` and a registry: its flags and files, its workers, its own entry."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.peers.gateways import eventually
from tests.peers.registry import RegistryPeer, instance, registry_peer
from tests.proxy.program import Program, Upstream, upstream
from uaitools.config import load
from uaitools.proxy.config import ProxyConfig

EVERY_SIZE = pytest.mark.parametrize("workers", ["1", "2"])


@pytest.fixture
async def registry() -> AsyncIterator[RegistryPeer]:
    async with registry_peer() as peer:
        yield peer


def configuration(path: Path, peer: RegistryPeer, *, client: str = "", **service: Any) -> Path:
    lines = [f"{key} = {orjson.dumps(value).decode()}" for key, value in service.items()]
    path.write_text(
        "[proxy.services.api]\n"
        + "\n".join(lines)
        + '\n[[proxy.routes]]\npath = "/"\nservice = "api"\n'
        + f'[registry.client]\nurl = "{peer.url}"\n{client}\n'
    )
    return path


def at(name: str, server: Upstream, **fields: object) -> dict[str, Any]:
    port = server.server_address[1]
    return instance(name, address="127.0.0.1", port=port, **fields)


def finish(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    command = [sys.executable, "-m", "uaitools.proxy", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


async def get(program: Program, path: str = "/") -> tuple[int, bytes]:
    return await asyncio.to_thread(program.get, path)


@EVERY_SIZE
async def test_every_worker_applies_what_the_registry_says_before_it_is_in_force(
    tmp_path: Path, registry: RegistryPeer, workers: str
) -> None:
    file = configuration(tmp_path / "uaitools.toml", registry, registry=True)
    with upstream("a") as one, upstream("b") as two:
        registry.lists_of("api", at("1", one))
        with Program("--config", str(file), "--workers", workers) as program:
            await asyncio.to_thread(lambda: program.address)
            # Each worker is a watcher of its own.
            await eventually(
                lambda: len({one["watcher"] for one in registry.said("hello")}) == int(workers)
            )
            for _ in range(4):
                assert await get(program) == (200, b"aa")
            registry.lists_of("api", at("1", one, health="draining"), at("2", two), index=2)
            await registry.say(**registry.lists["api"])

            def acknowledged() -> bool:
                indexes = [one["index"] for one in registry.said("applied")]
                return indexes.count(2) == int(workers)

            await eventually(acknowledged)
            for _ in range(8):
                assert await get(program) == (200, b"bb")
            status = orjson.loads((await get(program, "/api/status"))[1])["services"]["api"]
            assert [out["id"] for out in status["registry"]["out"]] == ["1"]
            assert [e["instance"]["id"] for e in status["endpoints"]] == ["2"]
            assert await asyncio.to_thread(program.metric, "proxy_dependency_up") == int(workers)


@EVERY_SIZE
async def test_hangup_begins_and_ends_to_follow_a_service(
    tmp_path: Path, registry: RegistryPeer, workers: str
) -> None:
    file = tmp_path / "uaitools.toml"
    with upstream("w") as written, upstream("i") as one:
        registry.lists_of("api", at("1", one))
        configuration(file, registry, endpoints=[written.url])
        with Program("--config", str(file), "--workers", workers) as program:
            assert await get(program) == (200, b"ww")
            assert registry.heard == []
            configuration(file, registry, registry=True)
            program.send(signal.SIGHUP)
            await asyncio.to_thread(program.logged, "configuration in force", int(workers))
            for _ in range(4):
                assert await get(program) == (200, b"ii")
            configuration(file, registry, endpoints=[written.url])
            program.send(signal.SIGHUP)
            await asyncio.to_thread(program.logged, "configuration in force", 2 * int(workers))
            for _ in range(4):
                assert await get(program) == (200, b"ww")


@EVERY_SIZE
async def test_the_data_directory_keeps_the_last_lists_for_a_start_without_a_registry(
    tmp_path: Path, registry: RegistryPeer, workers: str
) -> None:
    file = configuration(tmp_path / "uaitools.toml", registry, registry=True)
    arguments = ("--config", str(file), "--workers", workers, "--data-dir", str(tmp_path / "data"))
    with upstream("a") as one:
        registry.lists_of("api", at("1", one))
        with Program(*arguments) as program:
            assert await get(program) == (200, b"aa")
            program.send(signal.SIGTERM)
            assert await asyncio.to_thread(program.ends) == 0
        await registry.stop()
        with Program(*arguments) as program:
            assert await get(program) == (200, b"aa")
            health = orjson.loads((await get(program, "/health"))[1])
            assert health["dependencies"] == {"api": "healthy", "registry": "unhealthy"}


@EVERY_SIZE
async def test_a_proxy_with_an_address_is_an_instance_and_leaves_before_it_closes(
    tmp_path: Path, registry: RegistryPeer, workers: str
) -> None:
    with upstream("a") as one:
        client = 'address = "127.0.0.1"\nzone = "eu"\ntoken = "a-token"'
        file = tmp_path / "uaitools.toml"
        configuration(file, registry, client=client, endpoints=[one.url])
        with Program("--config", str(file), "--workers", workers) as program:
            host, port = await asyncio.to_thread(lambda: program.address)
            await eventually(lambda: registry.did("POST"))
            (call,) = registry.did("POST")
            assert call.authorization == "Bearer a-token"
            body = call.body
            assert (body["name"], body["address"], body["port"]) == ("proxy", host, port)
            assert (body["id"], body["zone"]) == (f"proxy-127.0.0.1-{port}", "eu")
            assert await get(program) == (200, b"aa")
            program.send(signal.SIGTERM)
            assert await asyncio.to_thread(program.ends) == 0
            assert [call.what for call in registry.calls if call.method != "PUT"] == [
                "POST",
                "POST drain",
                "DELETE",
            ]


async def test_it_takes_requests_until_the_registry_has_told_its_callers(
    tmp_path: Path, registry: RegistryPeer
) -> None:
    told = asyncio.Event()

    def answer(call: Any) -> tuple[int, object] | None:
        if call.action != "drain":
            return None
        behind = [] if told.is_set() else ["somebody"]
        return 202, {
            "id": call.id,
            "index": 2,
            "safe": not behind,
            "behind": behind,
            "in_flight": 0,
            "overdue": False,
        }

    registry.answer = answer
    with upstream("a") as one:
        client = 'address = "127.0.0.1"'
        file = tmp_path / "uaitools.toml"
        configuration(file, registry, client=client, endpoints=[one.url])
        with Program("--config", str(file)) as program:
            await asyncio.to_thread(lambda: program.address)
            await eventually(lambda: registry.did("POST"))
            program.send(signal.SIGTERM)
            await eventually(lambda: registry.did("POST drain"))
            assert await get(program) == (200, b"aa")
            told.set()
            assert await asyncio.to_thread(program.ends) == 0


def test_a_service_cannot_be_found_without_a_registry(tmp_path: Path) -> None:
    file = tmp_path / "uaitools.toml"
    file.write_text("[proxy.services.api]\nregistry = true\n")
    done = finish("--check", "--config", str(file))

    assert done.returncode == 2
    assert done.stderr == (
        "proxy.services.api.registry: set registry.client.url to where that listens\n"
    )


def test_check_takes_a_service_that_is_found_in_a_registry(tmp_path: Path) -> None:
    file = tmp_path / "uaitools.toml"
    file.write_text(
        '[proxy.services.api]\nregistry = "llm-router"\n'
        '[[proxy.routes]]\npath = "/"\nservice = "api"\n'
        '[registry]\nlisten = "127.0.0.1:8083"\n'
        '[registry.client]\nurl = ["http://127.0.0.1:8083", "http://127.0.0.1:8084"]\n'
    )
    done = finish("--check", "--config", str(file))

    assert (done.returncode, done.stdout) == (0, f"ok: {file}, 1 routes, 1 services\n")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('url = "ftp://127.0.0.1"', "registry.client.url"),
        ('adress = "127.0.0.1"', 'did you mean "address"?'),
    ],
)
def test_what_is_wrong_about_the_registry_is_said(tmp_path: Path, line: str, problem: str) -> None:
    file = tmp_path / "uaitools.toml"
    file.write_text(f"[registry.client]\n{line}\n")
    done = finish("--check", "--config", str(file))

    assert done.returncode == 2
    assert problem in done.stderr


@pytest.mark.parametrize(("value", "name"), [("true", "api"), ("false", None), ("x", "x")])
def test_a_variable_names_a_service_too(value: str, name: str | None) -> None:
    environ = {"UAITOOLS_PROXY__SERVICES__API__REGISTRY": value}
    settings = load({"proxy": ProxyConfig}, environ=environ)

    assert settings.of(ProxyConfig).services["api"].registered("api") == name
