"""uaitools: an edge for AI services, in Python: small servers that are also one library.

The components, each a package and a program (`python -m uaitools.proxy`):

    proxy       API gateway: routing, balancing, pooled upstreams, circuit breakers, streaming
    registry    service discovery: registration, health, watches, drains
    hub         WebSocket hub: channels, history, recovery, slow consumers
    memory      memories of users: PostgreSQL is the truth, found by words and by meaning

What they stand on, one concept a file:

    config      TOML file < environment < flags -> frozen models; `problems` of one, in words
    addresses   where to listen; `ip`, of clients; `secret`, a setting; `files`, off the loop
    errors      ServiceError, and its JSON on the wire; `log`, one JSON line an event
    metrics     hot-path integers, read at scrape time, summed over worker processes
    tasks       the only place where tasks are made; `rounds` of work; `lifecycle` of services
    auth/       who sends a request, and what they may do: API keys, JWTs, principal tokens
    limits/     who may call how often: in one process, over workers and machines (Redis)
    web         the aiohttp application of every component; `rest` resources, `openapi`, `cors`
    sockets     what the kernel is told; `forks`, several processes; `redis_link`, calls of Redis
    postgres/   connections, migrations, roles, an embedded cluster; `cache/`, in Redis or here
    traffic/    pure: where a call may go, and whether (endpoints, breakers, balancing, limits)

Arrows point downwards: shared modules import no component. Nothing is imported here.
"""

__version__ = "0.1.0"
