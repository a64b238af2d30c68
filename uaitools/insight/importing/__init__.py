"""From files and clones into the store: all of an import in one transaction, or nothing.

A ranking file's way, day by day:

    files       what is asked to be taken, looked at before anything is begun
    rankings    all of it: `import_rankings(pool, files, source, tell)`
    staging     rows by COPY into a table of the transaction, then repositories by their maxima
    identities  which repositories they are: by names that they have or had, and renames
    standing    snapshots of the day, and what is newest
    wording     the words that search finds, of what is new or says something new
    leading     trends of all repositories, and the best of each board

    clones      what `git` tells of local clones: `import_clones(pool, clones, day, tell)`

Memory does not grow with files: rows are streamed, and what has to be compared is in PostgreSQL.
"""
