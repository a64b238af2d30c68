"""The hub over HTTP.

resources   which handler answers what, for routing and for OpenAPI
upgrade     GET /ws: who may connect, and which socket he gets (`origins`, `addresses`)
following   GET /v1/sse and /v1/poll: the same channels without a WebSocket
publishing  what is sent to channels, users and connections, and what is known of channels
listing     GET /connections
requests, answers   the models of what comes and what is said
"""
