"""Benchmarks: programs that state their method and print ratios measured in one run.

    peers         CPU per request beside nginx, HAProxy, Caddy, Go and aiohttp
    connections   memory of many connections, latency at a fixed rate, added latency, start-up
    hub           a WebSocket hub with 10,000 clients, beside gorilla, websockets and aiohttp
    memory        the memory service with 100,000 memories, and a million moved out and in
    micro/        pytest-benchmark: the parts of a request, without a socket
    locustfile    a mixed load against `make run`, with locust's page

What they stand on:

    machine       cores, processes pinned to them, their CPU and memory from /proc
    upstreams     what stands behind the proxies: nginx, and a source of server-sent events
    load          closed loop (wrk) and streams
    openloop      a fixed rate over many connections, latency from the scheduled moment
    audience      10,000 WebSocket clients in one process, and who publishes to them
    broadcasts    what a hub costs; hardship: with clients that never read, and when it drains
    diaries       memories of users: varied texts, the same each time
    remembering   memories moved in and out of a service, and operations at a fixed rate
    ticker        a periodic clock finer than the event loop's millisecond
    results       JSON into bench/results/, with the machine it was measured on

README.md has the method, how to read the tables, and the traps.
"""
