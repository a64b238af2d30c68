"""Vectors, found by how near they are to another one, among those of one user only.

    port        what an index promises; all pass tests/memory/index/conformance.py
    catalogue   the index that settings ask for; config: those settings
    local       in this process, loaded from where vectors are kept
    pgvector    a table of PostgreSQL with the extension of that name
    weaviate    a collection of a Weaviate server

    entries     what holds of entries everywhere: which of two is newer, what a vector may be
    errors      IndexAway, IndexUnavailable

Of the first: scope is the matrix of one user, scopes are those that have room, best the nearest so
far, changes what happens while something is read. Of the last: objects says how an entry is
written there, link speaks with the server.

Nothing here is the only copy of anything: PostgreSQL keeps the vectors, and an index that was lost
is filled from there. Hits are hints, which are read again under their scope before they are shown.
"""
