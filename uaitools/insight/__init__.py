"""Repository insight: fast reads that say how fresh they are, and why they rank so.

What ranking files tell:

    rankings/    the daily lists of a source, and repositories that changed their names
    trending/    how far a gain is above what was to be expected

What a local clone tells:

    analysis/    facts from the `git` program: commits, authors, releases, files; and insights
    quality      a score of checks, each with its evidence; what is unknown does not count
"""
