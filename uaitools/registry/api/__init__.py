"""The registry over HTTP.

A request becomes one of `requests`, whose `fields` have their bounds; `instances`, `drains`,
`lists` and `watching` do what it asks for, and what they say are `documents`. `resources` names
all of it for routing and for OpenAPI, which describes what is said by `answers`. A watcher has a
`feed` of what it has not been told yet; `streams` send it as a WebSocket, by which `messages` of
the watcher come, or as server-sent events.
"""
