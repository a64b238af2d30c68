"""PostgreSQL: connections, tables and roles, in a database that is given or one of one's own.

    database    `open_database`: what a component connects to, as owner and as service
    access      how to connect, and as whom
    pool        `Pool`: connections with a lifetime, health and turns; `loan`, one of them
    pool_settings  of a pool, for configurations
    probe       whether it answers at all
    which       what a database is called, and no other one
    notices     what processes tell each other, and whether it is heard
    migrations  numbered files of SQL, applied once, under a lock
    roles       what row-level security binds
    embedded/   a cluster in the data directory, shared by the processes that use it
    errors      DatabaseAway and PoolExhausted for clients, SetupError for who starts a program

    database = await open_database(url, data_dir, "memory")
    await database.migrate("uaitools.memory.store.migrations")
    pool = Pool(database.service, name="memory")

Needs asyncpg, but for `pool_settings`; imported by components when they use it.
"""
