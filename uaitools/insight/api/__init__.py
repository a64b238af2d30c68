"""Repositories over HTTP.

resources    which handler answers what: the list of everything
serving      the way of a fast GET: what was served last, what is kept, what is loaded
summaries, searches, leaderboards   what is asked for, and how it is loaded and said
reports, statistics   the other handlers
cursors      where pages end; `freshness`, of which day an answer is
conditions   If-None-Match and Cache-Control of requests
parameters   queries, or 400 with the field
answers, requests   what goes and comes, as pydantic models: OpenAPI is made of them
"""
