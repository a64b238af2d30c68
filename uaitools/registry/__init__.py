"""Service discovery: who is there, how they are, and who has to know of a change.

Pure, with `now` as an argument; from what is said to what follows:

    model       an instance as it has said of itself
    events      everything that may happen, one value each
    evidence    what witnesses say, and which state follows
    entry       one registration: its witnesses, its state, its history
    service     the instances of one service, its revision and its deltas
    table       all registrations: applies events, lets time pass
    snapshot    a table written down
    leases      until when each is believed to live; protection: when silence is not believed
    sightings   what proxies have seen; watchers: what they have applied
    clock       time passes only while it is watched
    errors      why a message cannot be followed

With I/O:

    store/      brings events into one order and keeps them: a file, or a Redis that many share
    registry    messages and time in, changes out; bells: who wants to know

    client/     for those who register, and those who call them
"""
