"""The WebSocket hub: channels whose messages reach every subscriber, and can be recovered.

Pure:

    frames      what a client's bytes say, and how messages are written: RFC 6455
    deflate     compressed messages: RFC 7692; extensions: who gets them
    ring        the last messages of a channel, framed once for all
    channel     who gets them, and what becomes of who is slow
    filters     which messages a subscriber wants
    presence    who is in a channel
    commands    what clients say
    closing     why connections end, and whether to come again

Over them:

    fanout      writes to all who subscribe, and lets others have the loop
    socket      a WebSocket as the hub sees it; handshake: its upgrade
    native      one on a bare transport, which handover takes from aiohttp

Whoever talks to a hub: client, in Python, and browser/hub.js.
"""
