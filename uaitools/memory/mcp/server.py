"""A server of the library with our tools: a call, and how its failure is told to a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError

import uaitools
from uaitools import log
from uaitools.errors import ServiceError
from uaitools.memory.errors import SERVICE, Unknown
from uaitools.memory.mcp.tool import Effect, Tool, schema
from uaitools.memory.mcp.tools import INSTRUCTIONS, Tools
from uaitools.rest import parse

if TYPE_CHECKING:
    from uaitools.memory.service import MemoryService

Context = ServerRequestContext[Any, Any]
_EFFECTS: Final[Mapping[Effect, types.ToolAnnotations]] = {
    "reads": types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
    "adds": types.ToolAnnotations(
        read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    ),
    "deletes": types.ToolAnnotations(
        read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
    ),
}
_log = log.get_logger(__name__)


def mcp_server(service: MemoryService, whose: Callable[[Context], str]) -> Server[Any]:
    """A server that is not running yet. whose: the user that a request is for."""
    tools = {tool.name: tool for tool in Tools(service).all()}
    listed = types.ListToolsResult(tools=[_described(tool) for tool in tools.values()])
    schemas = {tool.name: tool.input_schema for tool in listed.tools}

    async def list_tools(
        _context: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return listed

    async def call_tool(
        context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        tool = tools.get(params.name)
        if tool is None:
            message = f"there is no such tool; there are {', '.join(tools)}"
            raise MCPError(types.INVALID_PARAMS, message)
        return await _called(tool, whose(context), params.arguments)

    return Server(
        "uaitools-memory",
        version=uaitools.__version__,
        title="Memory",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=schemas.get,
    )


def _described(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=schema(tool.asked),
        output_schema=schema(tool.said, "serialization"),
        annotations=_EFFECTS[tool.effect],
    )


async def _called(
    tool: Tool, user: str, arguments: Mapping[str, Any] | None
) -> types.CallToolResult:
    """What a tool says. That it failed is a result as well, for the model to read."""
    try:
        # Read as REST reads a body: what is no JSON for it is none here.
        sent = json.dumps(arguments or {}).encode()
        said = await tool.does(user, parse(sent, "application/json", tool.asked, SERVICE))
    except ServiceError as error:
        return _result(_explained(error), is_error=True)
    except Exception as error:
        _log.error("tool failed", tool=tool.name, exc_info=error)
        return _result("It failed for a reason that is in the service's log.", is_error=True)
    return _result(said.text(), structured_content=said.model_dump(mode="json"))


def _result(text: str, **fields: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], **fields)


def _explained(error: ServiceError) -> str:
    """What went wrong and what to do, without what HTTP needs of it."""
    if isinstance(error, Unknown):
        return f"There is no {error.which}; search_memories finds what is remembered."
    if error.details:
        fields = "; ".join(f"{one['field']}: {one['message']}" for one in error.details)
        return f"The arguments are wrong: {fields}."
    return f"{error.message[:1].upper()}{error.message[1:]}."
