"""The WebSocket hub: channels whose messages reach every subscriber, and can be recovered.

    program, server      each of its processes; what listens
    application, api/    all of it over HTTP, upgrades among it; echo, for tests of the protocol
    hub                  what applications embed: publish, send, disconnect
    membership           who is connected (sessions), to which channels, and how that changes
    session, actions     one client: commands come, messages go; what each command does
    sockets/             what carries its messages; handshake and extensions: what is agreed on
    sweep, drain         every second: who is silent, expired, too much (budget); the end
    channels, broker/    those that are open here; what shares their messages, and who is there
    fanout               writes to all who subscribe, and lets others have the loop (slices)
    metrics, siblings    what is counted; what other workers have counted

Pure:

    channel, ring        who gets a message, and what becomes of who is slow; the last messages
    frames, deflate      RFC 6455 and RFC 7692 on the wire
    message, place       what is published, as clients get it; where they are; history: pages
    commands, filters    what clients say, and which messages they want
    rules, grants, pace  who may subscribe and publish, by which tokens, how often
    presence, closing    who is in a channel; why connections end

Whoever talks to a hub: client, in Python, and browser/hub.js.
"""
