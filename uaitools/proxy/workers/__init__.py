"""Several processes behind one address: a parent that forks workers, replaces and speaks for them.

    supervisor   the parent: a loop around a selector that forks, reaps, relays and drains
    signals      the parent's signals as a readable descriptor
    channel      messages between parent and worker, and the two ends of their socket pair
    totals       pure: the reports of all workers summed, the dead among them

Orders flow from the parent to the workers, reports and ejections from a worker to the parent, sums
and ejections on to the others. What a worker does is a `Program`: nothing here knows gateways.
"""
