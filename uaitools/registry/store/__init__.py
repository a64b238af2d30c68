"""Where registrations are kept: one process's memory and a file, or a Redis that many share.

    port       what a store can do; both pass tests/registry/store/conformance.py
    journal    a file to which events are appended, begun anew from a snapshot now and then
    embedded   the table of one process, over a journal
    script     what Redis does in one step, called over uaitools.redis_link
    replica    a table that follows a log; follower: keeps it up with the one in Redis
    amends     what a history that began anew has missed, and how it is told
    appends    events on their way into the log; health: whether Redis counts as away
    shared_leases, acknowledgements   who lives, and what watchers have applied, told to the others
    redis      the table of every registry that reads the same log

A store brings events into one order, applies each to its table, and keeps them. Leases and what
watchers have applied are soft: they change all the time, and who has lost them gives everybody one
more ttl.
"""
