"""REST resources as an OpenAPI 3.1 document."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import uaitools
from uaitools.rest import Resource, needed

_REF: Final = "#/components/schemas/{model}"
_VARIABLE: Final = re.compile(r"\{(\w+)[^}]*\}")
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
}
_ERRORS: Final = {
    400: "What came is no JSON, or no HTTP",
    401: "The credential is missing or wrong",
    403: "The credential does not allow it",
    404: "There is no such thing",
    409: "It has changed meanwhile",
    412: "It is not the version that was named",
    413: "The body is too large",
    415: "The body is of another type",
    422: "A field is wrong",
    429: "Too many requests",
    501: "It cannot be done here",
    503: "Not now; try again",
    504: "It took too long",
    507: "There is no room",
}


class Problem(BaseModel):
    """One bad field."""

    field: str
    message: str


class Error(BaseModel):
    """What every error looks like."""

    code: int
    message: str
    service: str
    request_id: str
    details: list[Problem] | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """A service in words.

    secured: a bearer token is needed. always: errors of every resource. error: what those look
    like.
    """

    title: str
    description: str
    secured: bool = False
    always: tuple[int, ...] = (503,)
    error: type[Error] = Error


def document(resources: Iterable[Resource], described: Described) -> dict[str, Any]:
    """The document."""
    resources = list(resources)
    used: dict[type[BaseModel], None] = dict.fromkeys([described.error, *_models(resources)])
    _, schemas = models_json_schema([(model, "validation") for model in used], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for resource in resources:
        path = _VARIABLE.sub(r"{\1}", resource.path)
        paths.setdefault(path, {})[resource.method.lower()] = _operation(resource, described)
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": described.title,
            "version": uaitools.__version__,
            "description": described.description,
        },
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }
    if described.secured:
        whole["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        whole["security"] = [{"token": []}]
    return whole


def _models(resources: Iterable[Resource]) -> Iterable[type[BaseModel]]:
    for resource in resources:
        yield from (model for model in (resource.said, resource.body) if model is not None)


def _operation(resource: Resource, described: Described) -> dict[str, Any]:
    errors = {*described.always, *resource.errors}
    operation: dict[str, Any] = {
        "summary": resource.summary,
        "operationId": resource.method.lower() + re.sub(r"\W+", "_", resource.path).rstrip("_"),
    }
    parameters = [
        _in_path(name, resource.patterns.get(name)) for name in _VARIABLE.findall(resource.path)
    ]
    if resource.query is not None:
        parameters += _in_query(resource.query)
        errors |= {422}
    if resource.tagged:
        parameters.append(_IF_NONE_MATCH)
    parameters += [
        {"name": name, "in": "header", "schema": {"type": "string", "pattern": pattern}}
        for name, pattern in resource.headers.items()
    ]
    if parameters:
        operation["parameters"] = parameters
    if resource.body is not None:
        operation["requestBody"] = {
            "required": needed(resource.body),
            "content": _json(resource.body),
        }
        errors |= {400, 413, 415, 422}
    if resource.takes:
        operation["requestBody"] = {
            "required": False,
            "content": {media: {"schema": {"type": "string"}} for media in resource.takes},
        }
    if described.secured:
        errors |= {401, 403}
    good: dict[str, Any] = {"description": "As asked"}
    if resource.said is not None:
        good["content"] = _json(resource.said)
    for media in resource.streams:
        good.setdefault("content", {})[media] = {}
    if resource.tagged:
        good["headers"] = {"ETag": {"schema": {"type": "string"}}}
    operation["responses"] = {
        str(resource.status if resource.said or resource.streams else 204): good,
        **({"304": {"description": "As If-None-Match says"}} if resource.tagged else {}),
        **{str(code): good for code in resource.also},
        **{
            str(code): {
                "description": _ERRORS[code],
                "content": _json(described.error) | _told(code),
            }
            for code in sorted(errors)
        },
    }
    return operation


def _told(code: int) -> dict[str, Any]:
    """What is no HTTP, or has too long a line, is answered before there is a request."""
    return {"text/plain": {"schema": {"type": "string"}}} if code == 400 else {}


def _in_path(name: str, pattern: str | None) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": 1}
    if pattern is not None:
        schema["pattern"] = pattern
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema()
    needed_ones = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in needed_ones, "schema": _plain(one)}
        for name, one in schema["properties"].items()
    ]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is not given is left out: null is none of its values."""
    kept = {key: value for key, value in schema.items() if key not in ("title", "default")}
    forms = [one for one in kept.pop("anyOf", ()) if one != {"type": "null"}]
    if len(forms) > 1:
        return {**kept, "anyOf": forms}
    return {**kept, **forms[0]} if forms else kept


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}
