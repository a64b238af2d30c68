"""The WebSocket hub: channels whose messages reach every subscriber, and can be recovered.

Pure:

    frames      what a client's bytes say, and how messages are written: RFC 6455
    ring        the last messages of a channel, framed once for all
    filters     which messages a subscriber wants
    commands    what clients say
    closing     why connections end, and whether to come again
"""
