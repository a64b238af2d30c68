"""The registry over HTTP.

models      what comes and what goes, for validation and OpenAPI
documents   instances, lists and explanations as JSON
resources   the REST resources
feed        changes of several services, for one watcher
streams     a feed as a WebSocket and as server-sent events
"""
