"""The REST resources of a registry: which handler answers what, and what OpenAPI says of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aiohttp import web

from uaitools.openapi import Described
from uaitools.registry.api import answers, requests
from uaitools.registry.api.documents import Documents
from uaitools.registry.api.drains import Drains
from uaitools.registry.api.feed import Telling
from uaitools.registry.api.instances import BEAT, ONE, SERVICES, Instances
from uaitools.registry.api.lists import Lists
from uaitools.registry.api.streams import WRITE, Streams
from uaitools.registry.api.watching import Watching
from uaitools.registry.errors import SERVICE
from uaitools.registry.registry import Registry
from uaitools.rest import Direct, Resource, serve

READ: Final = "registry:read"
BODY: Final = 256 * 1024  # bytes at most


class Api:
    """What a registry says and takes over HTTP. `streams.close` before the program stops.

    longest_wait: seconds after which who waits is answered, however long it asked for.
    """

    def __init__(self, registry: Registry, longest_wait: float) -> None:
        documents = Documents(registry)
        self.streams = Streams(registry, Telling(documents))
        self._instances = Instances(registry, documents)
        self._drains = Drains(registry, documents, self.streams, longest_wait)
        self._lists = Lists(registry, documents, self.streams, longest_wait)
        self._watching = Watching(registry, self.streams)

    def __repr__(self) -> str:
        return f"<Api {self.streams!r} {self._lists!r}>"

    @property
    def polls(self) -> int:
        """Long polls that wait now."""
        return self._lists.polls

    def application(self, *, secured: bool) -> web.Application:
        """An application with all resources but the `direct` ones, which a gateway hands on.

        secured: OpenAPI says that a token is needed; that it is, is up to who serves this.
        """
        app = web.Application(client_max_size=BODY)
        described = Described(
            "uaitools registry",
            "Who is there, how they are, and who has to know of a change.",
            secured,
        )
        serve(app, SERVICE, self.resources(), described)
        return app

    def resources(self) -> Iterable[Resource]:
        """Everything that it serves; a path that two begin with the same variable calls it id."""
        instances, drains, lists = self._instances, self._drains, self._lists
        watching = self._watching
        return (
            Resource(
                "PUT", BEAT, None, "An instance lives",
                answers.Heard, requests.Heartbeat, scope=WRITE, errors=(404, 409),
                direct=Direct("heartbeats", instances.beat),
            ),
            Resource(
                "GET", SERVICES, lists.services, "All services",
                answers.Services, scope=READ,
            ),
            Resource(
                "POST", SERVICES, instances.register_here, "Register an instance, or replace it",
                answers.Registered, requests.Registration, status=201, scope=WRITE, errors=(507,),
                direct=Direct("registrations", instances.register),
            ),
            Resource(
                "GET", ONE, lists.list, "The instances of a service; a long poll with index",
                answers.ServiceList, query=requests.ListQuery, scope=READ, tagged=True,
            ),
            Resource(
                "DELETE", ONE, instances.deregister, "Take an instance out",
                query=requests.Generation, scope=WRITE, errors=(404, 409),
            ),
            Resource(
                "PATCH", ONE, instances.change, "Give an instance another weight, tags or meta",
                answers.InstanceView, requests.Patch,
                query=requests.Generation, scope=WRITE, errors=(404, 409),
            ),
            Resource(
                "PUT", f"{ONE}/maintenance", instances.maintain, "Take an instance out for a while",
                answers.InstanceView, requests.Maintenance,
                query=requests.Generation, scope=WRITE, errors=(404, 409),
            ),
            Resource(
                "DELETE", f"{ONE}/maintenance", instances.restore, "Let it in again",
                answers.InstanceView, query=requests.Generation, scope=WRITE, errors=(404, 409),
            ),
            Resource(
                "POST", f"{ONE}/drain", drains.drain, "Have nothing new sent to an instance",
                answers.DrainProgress, requests.DrainModel, status=202,
                query=requests.Generation, scope=WRITE, errors=(404, 409),
            ),
            Resource(
                "GET", f"{ONE}/drain", drains.progress, "Whether an instance may stop",
                answers.DrainProgress, query=requests.Waiting, scope=READ, errors=(404,),
            ),
            Resource(
                "DELETE", f"{ONE}/drain", drains.undrain, "Have things sent to it again",
                answers.InstanceView, query=requests.Generation, scope=WRITE, errors=(404, 409),
            ),
            Resource(
                "POST", f"{ONE}/applied", watching.applied, "A watcher has applied a revision",
                body=requests.Applied, scope=READ, errors=(409,),
            ),
            Resource(
                "POST", "/v1/observations", watching.observe, "What a proxy has seen",
                body=requests.Observations, scope=WRITE,
            ),
            Resource("GET", "/v1/nodes", lists.nodes, "All addresses", answers.Nodes, scope=READ),
            Resource(
                "GET", "/v1/explain/{name}", lists.explain, "Why instances are in their state",
                answers.Explanations, scope=READ, errors=(404,),
            ),
            Resource(
                "GET", "/v1/watch", watching.watch, "Changes as server-sent events, or a WebSocket",
                query=requests.WatchQuery, scope=READ, streams=("text/event-stream",),
            ),
        )  # fmt: skip
