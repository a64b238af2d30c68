"""The gRPC interface of the double, made of the client's own messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import grpc
import numpy as np
from numpy.typing import NDArray
from weaviate.proto.v1 import (
    batch_delete_pb2,
    batch_pb2,
    health_weaviate_pb2,
    properties_pb2,
    search_get_pb2,
)

from tests.peers.weaviate.collections import Collection, Database, Object, Refused
from tests.peers.weaviate.faults import Failed, Faults
from tests.peers.weaviate.filters import matcher
from uaitools.tasks import spawn

Found = Iterable[tuple[Object, Mapping[str, float]]]


def service(database: Database, faults: Faults) -> list[grpc.GenericRpcHandler]:
    """What answers calls."""
    weaviate = {
        "Search": (_search, search_get_pb2.SearchRequest),
        "BatchObjects": (_insert, batch_pb2.BatchObjectsRequest),
        "BatchDelete": (_delete, batch_delete_pb2.BatchDeleteRequest),
    }
    health = {"Check": (_check, health_weaviate_pb2.WeaviateHealthCheckRequest)}

    def answering(name: str, act: Any, request: Any) -> Any:
        async def answer(message: Any, context: Any) -> Any:
            try:
                call = faults.handle(name, lambda: act(database, message))
                return await asyncio.shield(spawn(call, name=f"weaviate {name}"))
            except Refused as error:
                await context.abort(grpc.StatusCode.UNKNOWN, str(error))
            except Failed as error:
                code = grpc.StatusCode.INTERNAL if error.available else grpc.StatusCode.UNAVAILABLE
                await context.abort(code, str(error))

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=request.FromString,
            response_serializer=lambda reply: reply.SerializeToString(),
        )

    return [
        grpc.method_handlers_generic_handler(
            name, {method: answering(method, *both) for method, both in methods.items()}
        )
        for name, methods in (("weaviate.v1.Weaviate", weaviate), ("grpc.health.v1.Health", health))
    ]


def _check(_database: Database, _request: Any) -> Any:
    reply = health_weaviate_pb2.WeaviateHealthCheckResponse
    return reply(status=reply.SERVING)


def _insert(database: Database, request: Any) -> Any:
    errors = []
    for index, one in enumerate(request.objects):
        try:
            database.collection(one.collection).put(
                Object(
                    UUID(one.uuid),
                    dict(one.properties.non_ref_properties.items()),
                    _vectors(one),
                )
            )
        except Refused as error:
            errors.append(batch_pb2.BatchObjectsReply.BatchError(index=index, error=str(error)))
    return batch_pb2.BatchObjectsReply(errors=errors)


def _delete(database: Database, request: Any) -> Any:
    collection = database.collection(request.collection)
    matching = list(collection.where(matcher(request, collection)))[: database.deletions]
    if not request.dry_run:
        for one in matching:
            del collection.objects[one.name]
    return batch_delete_pb2.BatchDeleteReply(matches=len(matching), successful=len(matching))


def _search(database: Database, request: Any) -> Any:
    collection = database.collection(request.collection)
    limit = request.limit or 10
    if request.offset + limit > database.results:
        raise Refused("query maximum results exceeded")
    found = list(_found(collection, request, limit))[request.offset : request.offset + limit]
    return search_get_pb2.SearchReply(
        results=[
            search_get_pb2.SearchResult(
                properties=_properties(collection, one, request),
                metadata=search_get_pb2.MetadataResult(
                    id_as_bytes=one.name.bytes, id=str(one.name), **_scores(scores)
                ),
            )
            for one, scores in found
        ]
    )


def _found(collection: Collection, request: Any, limit: int) -> Found:
    matches = matcher(request, collection)
    if request.after:
        if request.HasField("filters") or request.HasField("near_vector"):
            raise Refused("cursor api: invalid 'after' parameter: other params cannot be set")
        return ((one, {}) for one in collection.after(UUID(request.after), limit))
    if request.HasField("near_vector"):
        target, vector = _target(collection, request.near_vector)
        nearest = collection.nearest(target, vector, matches)
        return ((one, {"distance": distance}) for one, distance in nearest)
    if request.HasField("bm25_search"):
        search = request.bm25_search
        ranked = collection.ranked(search.query, list(search.properties), matches)
        return ((one, {"score": score}) for one, score in ranked)
    return ((one, {}) for one in collection.where(matches))


def _target(collection: Collection, near: Any) -> tuple[str, NDArray[np.float32]]:
    names = list(near.targets.target_vectors) or list(collection.schema["vectorConfig"])
    if len(names) != 1:
        raise Refused("the double knows one target vector")
    return names[0], np.frombuffer(near.vectors[0].vector_bytes or near.vector_bytes, "<f4")


def _vectors(one: Any) -> dict[str, NDArray[np.float32]]:
    found = {each.name: np.frombuffer(each.vector_bytes, "<f4") for each in one.vectors}
    if one.vector_bytes:
        found["default"] = np.frombuffer(one.vector_bytes, "<f4")
    return found


def _properties(collection: Collection, one: Object, request: Any) -> Any:
    asked = request.properties
    everything = asked.return_all_nonref_properties or not request.HasField("properties")
    names = list(one.properties) if everything else list(asked.non_ref_properties)
    return search_get_pb2.PropertiesResult(
        target_collection=collection.name,
        non_ref_props=properties_pb2.Properties(
            fields={
                name: _value(collection.property(name)["dataType"][0], one.properties[name])
                for name in names
                if name in one.properties
            }
        ),
    )


def _value(kind: str, value: Any) -> Any:
    match kind:
        case "text":
            return properties_pb2.Value(text_value=value)
        case "uuid":
            return properties_pb2.Value(uuid_value=value)
        case "int":
            return properties_pb2.Value(int_value=int(value))
        case "number":
            return properties_pb2.Value(number_value=value)
        case "boolean":
            return properties_pb2.Value(bool_value=value)
    raise Refused(f"the double knows no data type {kind}")


def _scores(scores: Mapping[str, float]) -> dict[str, Any]:
    return {**scores, **{f"{name}_present": True for name in scores}}
