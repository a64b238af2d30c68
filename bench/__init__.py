"""Benchmarks: programs that state their method and print ratios measured in one run.

    peers         CPU per request beside nginx, HAProxy, Caddy, Go and aiohttp
    connections   memory of many connections, latency at a fixed rate, added latency, start-up
    micro/        pytest-benchmark: the parts of a request, without a socket
    locustfile    a mixed load against `make run`, with locust's page

What they stand on:

    machine       cores, processes pinned to them, their CPU and memory from /proc
    upstreams     what stands behind the proxies: nginx, and a source of server-sent events
    load          closed loop (wrk) and streams
    openloop      a fixed rate over many connections, latency from the scheduled moment
    ticker        a periodic clock finer than the event loop's millisecond
    results       JSON into bench/results/, with the machine it was measured on

README.md has the method, how to read the tables, and the traps.
"""
