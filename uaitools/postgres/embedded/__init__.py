"""A PostgreSQL of one's own, where no database is set: the programs are of a wheel of Python's.

    cluster     of a data directory: who comes attaches or starts it, who leaves last stops it
    locks       by which they know of each other, and whether the server lives
    identity    as whom the server runs: never as root
    install     its programs, placed where that user reaches them
    initdb      makes the cluster; `renamed` helps a user who has no name
    server      the process: postmaster.pid, its socket, signals
    keeper      starts it again when it dies, as long as somebody needs it

In the data directory: `postgres/data`, the cluster; `postgres/install-*`, programs, linked where
that is possible; `postgres/log`; `postgres/*.lock`. The socket is in a directory with a short path.
No user is made, and the mode of nothing that was there before is changed.
"""
