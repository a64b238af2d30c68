"""The program as a process: its command line, kill -9, SIGSTOP, and what deploy scripts ask."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.peers.component_program import run_component
from tests.peers.gateways import settled
from tests.peers.registry_program import RegistryProgram, registry_program
from tests.peers.servers import free_port
from uaitools.registry.client import register
from uaitools.tasks import spawn

ROOT = Path(__file__).parents[2]
# Read by the interpreter at its start: the clock on the wall, with an offset that a file has.
JUMPING = """
import pathlib, time
def jumped(real=time.time, offset=pathlib.Path(__file__).with_name("offset")):
    return real() + float(offset.read_text())
time.time = jumped
"""


run = partial(run_component, "registry")


async def ask(registry: RegistryProgram, method: str, path: str, body: object = None) -> Any:
    data = None if body is None else orjson.dumps(body)
    headers = {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{registry.url}{path}", data=data, headers=headers) as answer,
    ):
        assert answer.status < 300, await answer.text()
        text = await answer.read()
    return orjson.loads(text) if text else None


async def put_in(registry: RegistryProgram, name: str = "a", ttl: float = 30) -> None:
    document = {"id": name, "name": "api", "address": "127.0.0.1", "port": 9001, "ttl": ttl}
    generation = (await ask(registry, "POST", "/v1/services", document))["generation"]
    await ask(registry, "PUT", f"/v1/services/{name}/heartbeat", {"generation": generation})


async def health(registry: RegistryProgram) -> dict[str, str]:
    listing = await ask(registry, "GET", "/v1/services/api")
    return {one["id"]: one["health"] for one in listing["instances"]}


# -- its life -------------------------------------------------------------------------------


async def test_after_kill_9_the_list_is_as_it_was_and_leases_get_a_full_ttl(
    tmp_path: Path,
) -> None:
    async with registry_program(tmp_path) as registry:
        await put_in(registry, "a", ttl=3)
        await put_in(registry, "b")
        await put_in(registry, "c")
        await ask(registry, "POST", "/v1/services/b/drain", {"deadline": 600})
        await ask(registry, "PUT", "/v1/services/c/maintenance", {"reason": "new disks"})
        before = await ask(registry, "GET", "/v1/services/api")
        await registry.kill()
        await asyncio.sleep(3.5)  # longer than the ttl: nobody is judged for what was not heard
        await registry.start()
        after = await ask(registry, "GET", "/v1/services/api")

        def facts(listing: dict[str, Any]) -> dict[str, Any]:
            moving = ("last_seen",)
            instances = listing.pop("instances")
            told = [{k: v for k, v in one.items() if k not in moving} for one in instances]
            return {**listing, "instances": told}

        assert facts(after) == facts(before)
        assert (await health(registry))["a"] == "passing"

        async def judged() -> bool:
            return (await health(registry))["a"] == "critical"

        await settled(judged)


async def test_after_kill_9_a_drain_waits_for_who_watched_before(tmp_path: Path) -> None:
    async with registry_program(tmp_path) as registry:
        await put_in(registry)
        await ask(registry, "GET", "/v1/services/api?watcher=gw-1")
        await registry.kill()
        await registry.start()
        progress = await ask(registry, "POST", "/v1/services/a/drain", {"deadline": 60})
        assert progress["safe"] is False
        assert progress["behind"] == ["watchers from before this registry's restart"]


async def test_a_jump_of_the_clock_on_the_wall_changes_nothing(tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    day = 86_400
    async with (
        registry_program(tmp_path, {"PYTHONPATH": str(tmp_path)}) as registry,
        register(
            name="api", address="127.0.0.1", port=9001, urls=[registry.url], id="a", ttl=2, drain=1
        ) as registration,
    ):
        await registration.registered()
        before = await ask(registry, "GET", "/v1/services/api")
        for jump in (day, -day, 0):
            offset.write_text(str(jump))
            await asyncio.sleep(2.5)  # longer than the ttl
            after = await ask(registry, "GET", "/v1/services/api")
            assert [one["health"] for one in after["instances"]] == ["passing"]
            assert (after["epoch"], after["index"]) == (before["epoch"], before["index"])
            seen, first = (one["instances"][0]["last_seen"] for one in (after, before))
            assert (seen > first) is (jump >= 0)  # it tells the time on the wall
        offset.write_text(str(-day))
        await registry.kill()
        await registry.start()
        assert await health(registry) == {"a": "passing"}
        await put_in(registry, "b")
        [generation] = [
            one["generation"]
            for one in (await ask(registry, "GET", "/v1/services/api"))["instances"]
            if one["id"] == "b"
        ]
        assert generation > before["instances"][0]["generation"]


async def test_a_registry_that_was_stopped_judges_nobody_for_it(tmp_path: Path) -> None:
    async with registry_program(tmp_path) as registry:
        async with register(
            name="api", address="127.0.0.1", port=9001, urls=[registry.url], id="a", ttl=2, drain=1
        ) as registration:
            await registration.registered()
            registry.freeze()
            await asyncio.sleep(5)
            registry.thaw()
            await asyncio.sleep(3)
            explained = await ask(registry, "GET", "/v1/explain/a")
            states = {moment["health"] for moment in explained["instances"][0]["timeline"]}
            assert states == {"starting", "passing"}
        assert await health(registry) == {}


async def test_two_registries_do_not_share_a_directory(tmp_path: Path) -> None:
    async with registry_program(tmp_path) as registry:
        status, _, complaint = await run(
            "--listen", "127.0.0.1:0", "--data-dir", str(registry.directory)
        )
    assert status == 1
    assert "another registry uses" in complaint
    assert "redis_url" in complaint


# -- its command line -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (("--listen", "0.0.0.0:0"), {}, "others can reach 0.0.0.0:0"),
        ((), {"UAITOOLS_REGISTRY__REMOVAL": "0"}, "registry.removal: must be"),
        ((), {"UAITOOLS_REGISTRY__REMOVEL": "9"}, 'did you mean "removal"?'),
        (("--config", "/no/such.toml"), {}, "no such file"),
    ],
)
async def test_a_wrong_configuration_stops_the_start(
    arguments: tuple[str, ...], environ: dict[str, str], expected: str
) -> None:
    status, _, complaint = await run(*arguments, "--check", **environ)
    assert status == 2
    assert expected in complaint


async def test_check_validates_and_exits() -> None:
    assert await run("--check") == (0, "ok: no file (--config names one)\n", "")


async def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    status, _, complaint = await run("--listen", "127.0.0.1:0", "--data-dir", str(file))
    assert status == 1
    assert "cannot be written" in complaint


# -- asking ---------------------------------------------------------------------------------


async def test_a_deploy_script_waits_until_an_instance_may_stop(tmp_path: Path) -> None:
    async with registry_program(tmp_path) as registry:
        await put_in(registry)
        waits = ("drain", "a", "--wait", "--url", registry.url)
        assert await run(*waits) == (0, "a may stop\n", "")
        status, _, _ = await run("undrain", "a", "--url", registry.url)
        assert status == 0
        assert await health(registry) == {"a": "passing"}

        await ask(registry, "GET", "/v1/services/api?watcher=gw-1")
        status, said, complaint = await run(*waits, "--deadline", "1")
        assert (status, said) == (1, "")
        assert complaint == "a is not safe to stop: waiting for gw-1\n"


async def test_a_deploy_script_waits_until_an_instance_gets_requests(tmp_path: Path) -> None:
    async with registry_program(tmp_path) as registry:
        url = ("--url", registry.url)
        status, _, complaint = await run("wait", "a", "--deadline", "0.5", *url)
        assert (status, complaint) == (1, "a is not healthy: it is not registered\n")
        waiting = spawn(run("wait", "a", *url), name="wait")
        await asyncio.sleep(0.5)
        await put_in(registry)
        assert await waiting == (0, "a is passing\n", "")
        await ask(registry, "PUT", "/v1/services/a/maintenance", {"reason": "new disks"})
        status, _, complaint = await run("wait", "a", "--deadline", "0", *url)
        assert (status, complaint) == (1, "a is not healthy: it is maintenance: new disks\n")


async def test_an_operator_asks_the_next_registry_when_one_is_away(tmp_path: Path) -> None:
    async with registry_program(tmp_path) as registry:
        await put_in(registry)
        urls = f'["http://127.0.0.1:{free_port()}", "{registry.url}"]'
        status, said, _ = await run("wait", "a", UAITOOLS_REGISTRY__CLIENT__URL=urls)
        assert (status, said) == (0, "a is passing\n")


async def test_a_deploy_script_learns_that_somebody_has_ended_its_drain(tmp_path: Path) -> None:
    async with registry_program(tmp_path) as registry:
        await put_in(registry)
        await ask(registry, "GET", "/v1/services/api?watcher=gw-1")
        waiting = spawn(run("drain", "a", "--wait", "--url", registry.url), name="wait")

        async def drains() -> bool:
            return await health(registry) == {"a": "draining"}

        await settled(drains)
        await ask(registry, "DELETE", "/v1/services/a/drain")
        status, _, complaint = await waiting
        assert status == 1
        assert "does not drain any more" in complaint


async def test_who_expires_while_it_is_drained_may_be_full_of_work(tmp_path: Path) -> None:
    environ = {"UAITOOLS_REGISTRY__REMOVAL": "1"}
    async with registry_program(tmp_path, environ) as registry:
        await put_in(registry, ttl=1)
        await ask(registry, "GET", "/v1/services/api?watcher=gw-1")
        status, _, complaint = await run("drain", "a", "--wait", "--url", registry.url)
        assert (status, complaint) == (1, "a is not safe to stop: it is gone: expired\n")


async def test_what_is_no_registry_is_said_to_be_none() -> None:
    bodies = [b"[]", b"{}", b'"x"', b"<html>"]

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=bodies[0], content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("/"))
        while bodies:
            for command in (("list",), ("drain", "a"), ("explain", "a"), ("wait", "a")):
                status, said, complaint = await run(*command, "--url", url)
                assert (status, said) == (2, ""), complaint
                assert "Traceback" not in complaint
                assert "registry" in complaint
            del bodies[0]


async def test_what_cannot_be_asked_is_said(tmp_path: Path) -> None:
    async with registry_program(tmp_path) as registry:
        status, _, complaint = await run("drain", "nobody", "--wait", "--url", registry.url)
        assert (status, complaint) == (
            2,
            "no instance has the id 'nobody'; /v1/services lists what there is\n",
        )
        url = registry.url
    status, _, complaint = await run("list", "--url", url)
    assert status == 2
    assert "cannot be asked" in complaint


async def test_an_operator_looks_at_services_and_asks_why(tmp_path: Path) -> None:
    async with registry_program(tmp_path) as registry:
        await put_in(registry)
        _, said, _ = await run("list", "--url", registry.url)
        assert said.split() == ["api", "1", "passing"]
        _, said, complaint = await run("list", "api", "--url", registry.url)
        assert said.split()[:3] == ["a", "passing", "http://127.0.0.1:9001"]
        assert "may not know all" in complaint  # it is new
        _, said, _ = await run("explain", "api", "--url", registry.url)
        assert said.startswith("a is passing: heartbeats come\n")
        assert "next: silence counts against it" in said
        await ask(registry, "DELETE", "/v1/services/a")
        for name in ("api", "a"):
            _, said, _ = await run("explain", name, "--url", registry.url)
            first, _, timeline = said.partition("\n")
            assert first.startswith("a is gone since 20")
            assert first.endswith(": deregistered")
            assert "passing      heartbeats come" in timeline
