"""The operator's API, on a listener of its own: what the gateway does, and orders while it runs.

    server     the listener: an aiohttp application that starts and stops with the gateway
    guard      who may use it: token, Host and Origin
    api        its resources and orders
    connections  pages of the connections of all workers
    models     what they look like: pydantic models
    redact     configurations without their secrets

Arrows point downwards. Any worker answers: listings are sums over all of them, and an order is
given to all, over the channel to the parent.
"""
