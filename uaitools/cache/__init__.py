"""A cache of bytes in this process or in Redis: the only copy of nothing lives there.

    config    what a `[cache]` table says
    service   CacheService: get, set, JSON, delete, exists; `fetch` loads what is missing, and
              `serve` as well what is past its time
    lifetime  how long a value is good, and for what it may be used then
    flights   loads under way: one for a key
    port      what a backend promises; both pass tests/cache/conformance.py
    local     this process: entries, bounded by bytes and number
    redis     several processes: script, what Redis does in one step; remote, the round trips, and
              what happens while it is away; owed, deletes that it has not heard of

The one hard rule: what was deleted is not brought back by a load that was slow. Who finds nothing
gets a lease, and a load is stored only while its lease is held; a delete takes value and lease
away, and so does whatever makes a cache forget (eviction, a restart). A delete that Redis could not
be told is done before anything is read there again. Keys in one scope are deleted as one.

A Redis that is away is a miss, never an error, and costs a call nothing after the first that has
noticed. I/O happens in remote; entries, lifetime, owed, port and script are pure.
"""
