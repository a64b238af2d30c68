"""Service discovery: who is there, how they are, and who has to know of a change.

A message's way: `api/` takes it, `registry` makes an event of it, `store/` brings events into one
order and keeps them, the `table` applies them, each to an `entry` of a `service`; `bells` then wake
the streams of `api/`, which tell watchers. `checks/` ask instances, `client/` is for others.

Pure, with `now` as an argument:

    model       an instance as it has said of itself; address: where it is
    events      everything that may happen, one value each
    evidence    what witnesses say, and which state follows
    entry       one registration: its witnesses, its state, its history
    service     the instances of one service, its revision and its deltas
    table       all registrations: applies events, lets time pass; snapshot: written down
    leases      until when each is believed to live; protection: when nothing is held against many
    observation what a proxy has seen; sightings: all of them together
    watchers    who watches what, and what they have applied
    clock       time passes only while it is watched
    errors      why a message cannot be followed

The program: `server` behind a gateway's listener, `config`, `metrics`, and `command` for operators.
"""
