"""What gives messages their offsets, and takes them to every node that follows their channel.

    port    what a broker promises
    local   one node: nothing is shared
    redis   several nodes: streams for history, pub/sub to wake

A node follows the channels that somebody at it wants; what comes is handed to the hub's channels in
the order of offsets, without holes and never twice.
"""
