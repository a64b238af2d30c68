"""Service discovery: who is there, how they are, and who has to know of a change.

Pure so far, with `now` as an argument:

    model      an instance as it has said of itself
    evidence   what its witnesses say, and which state follows
    entry      one registration: its witnesses, its state, its history
    service    the instances of one service, its revision and its deltas
    watchers   which revision each watcher has applied: when a drain is safe
    table      all of it: messages, the passing of time, protection of fleets that go silent
    errors     why a message cannot be followed
"""
