"""Where a call may go, and whether: the decisions of balancing, without I/O and without a clock.

    breaker     one endpoint's health as a state machine: healthy, ejected, probing, ramping
    checks      what the results of active checks mean, and when the next one is due
    endpoint    one address with its weight, its breaker and its counts
    balancing/  which of several endpoints takes the next call: one file a policy
    sticky      signed tokens that bring a client back to its endpoint
    limits      how much may pass: rates and calendar quotas, and how they are written
    periods     the hours, days and months of quotas
    concurrency how many calls may be under way at once
    slots       the table of what limits remember, over shared or private memory
    retry       whether a failed call may be tried again, and when
    retry_after when an answer asks for it
    zones       which members are a caller's primaries: those of its own zone, while they suffice

Every function that depends on time takes `now`, seconds of one monotonic clock. The proxy and
the registry's client stand on these; nothing here knows either.
"""
