"""The registry over HTTP.

A request becomes one of `requests`, whose `fields` have their bounds, `resources` do what it asks
for, and what they say are `documents`, which OpenAPI describes by `answers`. A watcher has a `feed`
of what it has not been told yet; `streams` send it as a WebSocket, by which `messages` of the
watcher come, or as server-sent events.
"""
