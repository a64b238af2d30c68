"""The REST interface of the double: what the client asks for there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import numpy as np
from aiohttp import web

from tests.peers.weaviate.collections import Database, Object, Refused
from tests.peers.weaviate.faults import Failed, Faults
from uaitools.tasks import spawn

VERSION = "1.33.0"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Act = Callable[[web.Request, Any], web.Response]


class Rest:
    """Handlers over the same collections as those of gRPC."""

    def __init__(self, database: Database, faults: Faults) -> None:
        self._database = database
        self._faults = faults

    def application(self) -> web.Application:
        routes = (
            ("GET", "/v1/meta", "meta", self._meta),
            ("GET", "/v1/.well-known/ready", "ready", self._well),
            ("GET", "/v1/.well-known/live", "live", self._well),
            ("GET", "/v1/nodes", "nodes", self._nodes),
            ("GET", "/v1/schema", "schemas", self._schemas),
            ("POST", "/v1/schema", "create", self._create),
            ("GET", "/v1/schema/{class}", "schema", self._schema),
            ("DELETE", "/v1/schema/{class}", "remove", self._remove),
            ("POST", "/v1/objects", "put", self._put),
            ("GET", "/v1/objects", "objects", self._objects),
            ("GET", "/v1/objects/{class}/{id}", "object", self._object),
            ("HEAD", "/v1/objects/{class}/{id}", "exists", self._exists),
            ("DELETE", "/v1/objects/{class}/{id}", "delete", self._delete),
            ("POST", "/v1/batch/objects", "batch", self._batch),
        )
        app = web.Application()
        for method, path, name, act in routes:
            app.router.add_route(method, path, self._answering(name, act))
        return app

    def _answering(self, name: str, act: Act) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            body = await request.json() if request.can_read_body else None
            try:
                call = self._faults.handle(name, lambda: act(request, body))
                return await asyncio.shield(spawn(call, name=f"weaviate {name}"))
            except Refused as error:
                missing = str(error).startswith("could not find")
                status = 404 if missing else 422
                return web.json_response({"error": [{"message": str(error)}]}, status=status)
            except Failed as error:
                return web.json_response({"error": []}, status=500 if error.available else 503)

        return answer

    def _meta(self, request: web.Request, _: Any) -> web.Response:
        return web.json_response(
            {"hostname": str(request.url.origin()), "version": VERSION, "modules": {}}
            | {"grpcMaxMessageSize": 104_858_000}
        )

    def _well(self, _request: web.Request, _: Any) -> web.Response:
        return web.Response()

    def _nodes(self, _request: web.Request, _: Any) -> web.Response:
        node = {"name": "double", "status": "HEALTHY", "version": VERSION, "gitHash": "0"}
        return web.json_response({"nodes": [node]})

    def _schemas(self, _request: web.Request, _: Any) -> web.Response:
        schemas = [one.schema for one in self._database.collections.values()]
        return web.json_response({"classes": schemas})

    def _schema(self, request: web.Request, _: Any) -> web.Response:
        return web.json_response(self._database.collection(request.match_info["class"]).schema)

    def _create(self, _request: web.Request, body: Any) -> web.Response:
        return web.json_response(self._database.create(body).schema)

    def _remove(self, request: web.Request, _: Any) -> web.Response:
        self._database.collections.pop(request.match_info["class"], None)
        return web.Response()

    def _put(self, _request: web.Request, body: Any) -> web.Response:
        return web.json_response(self._kept(body))

    def _batch(self, _request: web.Request, body: Any) -> web.Response:
        return web.json_response([self._kept(one) for one in body["objects"]])

    def _objects(self, request: web.Request, _: Any) -> web.Response:
        collection = self._database.collection(request.query["class"])
        after = UUID(request.query.get("after") or str(UUID(int=0)))
        page = collection.after(after, int(request.query.get("limit", "25")))
        return web.json_response({"objects": [_document(collection.name, one) for one in page]})

    def _object(self, request: web.Request, _: Any) -> web.Response:
        collection = self._database.collection(request.match_info["class"])
        found = collection.objects.get(UUID(request.match_info["id"]))
        if found is None:
            return web.Response(status=404)
        return web.json_response(_document(collection.name, found))

    def _exists(self, request: web.Request, _: Any) -> web.Response:
        collection = self._database.collection(request.match_info["class"])
        there = UUID(request.match_info["id"]) in collection.objects
        return web.Response(status=204 if there else 404)

    def _delete(self, request: web.Request, _: Any) -> web.Response:
        collection = self._database.collection(request.match_info["class"])
        there = collection.objects.pop(UUID(request.match_info["id"]), None)
        return web.Response(status=404 if there is None else 204)

    def _kept(self, body: dict[str, Any]) -> dict[str, Any]:
        vectors = body.get("vectors") or {}
        if body.get("vector"):
            vectors = {"default": body["vector"]}
        arrays = {name: np.array(one, np.float32) for name, one in vectors.items()}
        kept = Object(UUID(body["id"]), body.get("properties", {}), arrays)
        collection = self._database.collection(body["class"])
        collection.put(kept)
        return _document(collection.name, kept)


def _document(collection: str, one: Object) -> dict[str, Any]:
    vectors = {name: vector.tolist() for name, vector in one.vectors.items()}
    return {
        "class": collection,
        "id": str(one.name),
        "properties": one.properties,
        "vectors": vectors,
    }
