"""Limits for the gateway and for every component: who may call how often.

    config      [limits], and a limit as it is written
    limit       a limit: its name, its rule, whose calls it counts; the header lines that tell it
    keys        whom a call is counted for: principal, address, route, header
    verdict     what comes of a check
    front       Limits: checks calls, at once or, when Redis has to be asked, later
    shared      the table of all worker processes of this host, and its lock
    lease       what Redis has granted this process in advance; its arithmetic and its bounds
    script      what Redis runs to grant it
    outcome     what comes of asking Redis
    remote      the round trips to Redis, and what happens while it is away
    middleware  all this for an aiohttp application

A check is synchronous: it charges the table (uaitools.traffic.slots), which holds for this host,
and, with Redis, a lease, which holds for all hosts. Only when there is no lease does a call wait,
together with all others of its key. I/O happens in remote, the lock is taken in shared; the
others, config and middleware aside, are pure.
"""
