"""Assistants: the library's client, and one that writes JSON-RPC by hand."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from tests.memory.api.served import Answer, Served
from tests.peers.component_program import ROOT
from tests.peers.memory_program import SMALL

Era = Literal["2026-07-28", "legacy"]  # without and with a handshake
ERAS: tuple[Era, ...] = ("2026-07-28", "legacy")
MEDIA = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def parameters(directory: Path, *arguments: str, **environ: str) -> StdioServerParameters:
    """How an assistant starts the program."""
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "uaitools.memory", "--data-dir", str(directory), "mcp", *arguments],
        env={**SMALL, **environ},
        cwd=ROOT,
    )


@asynccontextmanager
async def assistant(
    memory: Served, era: Era, query: str = "?user_id=ann", **headers: str
) -> AsyncIterator[Client]:
    """The library's client over HTTP."""
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(
            streamable_http_client(f"{memory.url}/mcp{query}", http_client=http), mode=era
        ) as client,
    ):
        yield client


def text_of(result: CallToolResult) -> str:
    """The text of a result."""
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


def message(method: str, **params: Any) -> dict[str, Any]:
    """A request."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    """A request that calls a tool."""
    return message("tools/call", name=tool, arguments=arguments)


HELLO = message(
    "initialize",
    protocolVersion="2025-06-18",
    capabilities={},
    clientInfo={"name": "by hand", "version": "1"},
)


async def post(
    memory: Served,
    body: object,
    query: str = "?user_id=ann",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """What is answered to a body, as JSON unless it is bytes."""
    sent = {**MEDIA, **(headers or {})}
    if isinstance(body, bytes):
        async with memory.session.post(
            f"{memory.url}/mcp{query}", data=BytesIO(body), headers=sent
        ) as response:
            return Answer(response.status, await response.read(), response.headers)
    fields = {name.replace("-", "_"): value for name, value in sent.items()}
    return await memory.ask("POST", f"/mcp{query}", body, **fields)
