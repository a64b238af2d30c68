"""What gives messages their offsets, and takes them to every node that follows their channel.

    port    what a broker promises; both pass tests/hub/broker/conformance.py
    local   one node: nothing is shared
    redis   several nodes: streams for history, pub/sub to wake

Of the latter:

    script            what Redis does in one step; wire: how messages are written there
    publications      messages on their way to Redis, until they have their places
    subscriber        the connection by which what was published comes
    sequence          puts in order what comes of one channel; feeds: all that are followed
    roster            who is at this node; shared_presence: tells the others, forgets dead nodes
    health, retries   whether Redis is there, and when to try again

A node follows the channels that somebody at it wants; what comes is handed to the hub's channels in
the order of offsets, without holes and never twice.
"""
