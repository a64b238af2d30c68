"""A call to a service, whichever of its instances takes it. `client.service_client` begins it.

    policy      how patient, how many, how balanced
    options     what it may be told beside its path
    context     what a call inherits from the request that it is made for
    outgoing    its headers: the caller's, what it carries on, who is vouched for; `bodies`
    calling     what is awaited or entered
    tries       where it goes, how long that may take, and whether another try follows
    roster      the instances as endpoints of a balancer, kept over views; `fixed`, without any
    attempt     one try: counted in, told to its breaker once, counted out
    response    where its answer ends
    sightings   what was seen of instances, for the registry
    pool        aiohttp's connections, and how far a try has come in them
    failure     what aiohttp's exceptions mean, and what the caller is told

Roster, attempt, sightings, policy and fixed are pure; balancing, breaking and budgets are those of
`uaitools.traffic`, used as the gateway uses them.
"""
