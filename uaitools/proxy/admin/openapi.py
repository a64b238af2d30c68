"""The admin API as an OpenAPI 3.1 document, from its models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import uaitools
from uaitools.proxy.admin.api import PAGE, Resource
from uaitools.proxy.admin.models import Error

_REF: Final = "#/components/schemas/{model}"
_ERRORS: Final = {
    "400": "What came is no JSON",
    "401": "The token is missing or wrong",
    "403": "A page of another origin asked",
    "404": "There is no such endpoint",
    "415": "The body is of another type",
    "422": "A field is wrong",
    "503": "The other workers cannot be asked",
}


def document(resources: Iterable[Resource], *, secured: bool) -> dict[str, Any]:
    """The document. secured: a token is needed."""
    resources = list(resources)
    used: dict[type[BaseModel], None] = {Error: None}
    for resource in resources:
        used[resource.said] = None
        if resource.asked is not None:
            used[resource.asked] = None
    _, schemas = models_json_schema([(model, "validation") for model in used], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for resource in resources:
        paths.setdefault(resource.path, {})[resource.method.lower()] = _operation(resource)
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "uaitools proxy: admin API",
            "version": uaitools.__version__,
            "description": "What the gateway does, and orders while it runs.",
        },
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }
    if secured:
        whole["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        whole["security"] = [{"token": []}]
    return whole


def _operation(resource: Resource) -> dict[str, Any]:
    errors = ["401", "403", "503"]
    operation: dict[str, Any] = {
        "summary": resource.summary,
        "operationId": f"{resource.method.lower()}{resource.path.replace('/', '_')}",
    }
    if resource.asked is not None:
        operation["requestBody"] = {"required": True, "content": _json(resource.asked)}
        errors += ["400", "404", "415", "422"]
    elif resource.method == "POST":
        errors += ["422"]
    if resource.path == "/connections":
        operation["parameters"] = [_number("offset", 0, 1 << 53), _number("limit", 1, PAGE)]
        errors += ["422"]
    operation["responses"] = {
        str(resource.status): {"description": "As asked", "content": _json(resource.said)},
        **{
            code: {"description": _ERRORS[code], "content": _json(Error)} for code in sorted(errors)
        },
    }
    return operation


def _number(name: str, least: int, most: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": least, "maximum": most}
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}
