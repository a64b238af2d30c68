"""TLS on the listener and to upstreams, over `ssl.SSLObject` instead of the event loop's own.

hello         the name that a client asks for, read from its first bytes
names         which certificate answers for a name
transport     one connection: a protocol to the plain transport below, a transport to the one above
server        a client's connection from accept to the end of its handshake
identity      what the upstream is told of a client's certificate
upstream      connecting to services: whom they are believed to be, and who we are to them
material      certificates, keys and authorities on disk: read, checked, made into contexts
certificates  those in force on the listener, replaced when their files change
front         all that stands between a TLS gateway's sockets and its clients
check         what is wrong with files before anything is started

The loop's own TLS costs 45 KB a connection on uvloop and 270 on asyncio, tells nobody of failed
handshakes, cannot half-close and takes a cut connection for a closed one (docs/tls.md). hello,
names and identity are pure.
"""
