"""schemathesis against the program: what the document promises is what happens."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

import jwt
import pytest

from tests.hub.server.served import stream, visit
from tests.peers.hub_program import hub_program
from tests.peers.schemathesis import assert_nothing_found

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # other processes do the work

SECRET: Final = "a secret of the application, 32 bytes long"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("secured", [False, True], ids=["open", "secured"])
async def test_schemathesis_finds_nothing(tmp_path: Path, *, secured: bool) -> None:
    environ, headers = {}, []
    if secured:
        environ = {"UAITOOLS_AUTH__JWT__SECRET": SECRET}
        claims = {"sub": "ann", "exp": time.time() + 600, "scope": "hub:publish ops:read"}
        token = jwt.encode(claims, SECRET, algorithm="HS256")
        headers = ["--header", f"Authorization: Bearer {token}"]
    (tmp_path / "schemathesis.toml").write_text('[parameters]\n"query.wait" = 0\n')  # or it waits
    async with hub_program(environ=environ) as hub:
        arguments = (*headers, "--exclude-path", "/v1/sse")  # which never ends
        await assert_nothing_found(hub.url, tmp_path, *arguments)


async def test_the_document_says_what_is_needed() -> None:
    async with hub_program() as hub, visit(hub.url) as visitor:
        document = (await visitor.ask("GET", "/openapi.json")).body
        assert {"/v1/history/{channel}", "/v1/presence/{channel}"} <= set(document["paths"])
        poll = document["paths"]["/v1/poll"]["get"]["parameters"]
        assert [one["name"] for one in poll if one["required"]] == ["channel"]
        disconnect = document["paths"]["/v1/disconnect"]["post"]
        assert disconnect["requestBody"]["required"] is True


async def test_a_whole_number_is_one_however_it_is_written() -> None:
    async with hub_program() as hub, visit(hub.url) as visitor:
        await visitor.publish("a", 1, repository_id=5.0)
        [kept] = (await visitor.ask("GET", "/v1/history/a")).body["messages"]
        assert (kept["repository_id"], type(kept["repository_id"])) == (5, int)


async def test_as_many_channels_as_may_be_followed_go_on_from_their_places() -> None:
    names = [f"{number:02}{'/' * 126}" for number in range(32)]
    channels = "&".join(f"channel={quote(name, safe='')}" for name in names)
    async with hub_program() as hub, visit(hub.url) as visitor:
        answer = await visitor.ask("GET", f"/v1/poll?{channels}")
        after = answer.body["after"]
        assert len(after) > 12_000  # aiohttp would have no more than 8,190, of either
        await visitor.publish(names[31], "next")
        answer = await visitor.ask("GET", f"/v1/poll?{channels}&after={quote(after, safe='')}")
        assert [one["recovered"] for one in answer.body["channels"]] == [True] * 32
        assert [one["data"] for one in answer.body["channels"][31]["messages"]] == ["next"]
        async with stream(visitor, channels, Last_Event_ID=after) as events:
            assert (await events.hear("message"))[2]["data"] == "next"
