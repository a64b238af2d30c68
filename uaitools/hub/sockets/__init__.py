"""What carries a session's messages, behind one interface.

port      what the hub asks of a socket, and a socket of whom it tells what comes
native    a WebSocket on a bare transport; `handover` gives it the connection of an upgrade
aiohttp   a WebSocket of aiohttp's
events    server-sent events, which nothing comes by
buffered  what the latter two have in common: `outbox`, what waits to be sent
"""
