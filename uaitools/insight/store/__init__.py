"""Repositories in PostgreSQL: an answer is of one generation, because it is of one snapshot.

generations    which state of the data there is, and how the next one is made
shown          how a repository stands in lists
repositories   one of them, by id or name
search         those that a query finds, with totals and facets
boards         the best of them; `leading` for a day in the past
days           which days the data is of, and what is missing between them
histories      snapshots as columns, in parts that fit into memory
trends         the trends of all repositories
analyses       what `git` told of one
events         what the analysing service has reported

What writes all this is `uaitools.insight.importing`; requests write events alone.
"""
