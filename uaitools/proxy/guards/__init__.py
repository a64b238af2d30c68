"""What a route asks of a request before an endpoint is chosen.

    builder       the guards of all routes, as the configuration asks for them
    guard         that of one route: its steps, in order
    networks      the first: the client's address
    identity      the second: whose credentials, and what its upstream is told of it
    hooks         the last: what the operator's Python is given
    interception  and how it is run

Limits and concurrency, between them, are `uaitools.limits` and `uaitools.traffic.concurrency`.
"""
