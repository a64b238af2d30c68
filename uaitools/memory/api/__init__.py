"""Memories over HTTP.

resources  which handler answers what: the list of everything
requests, answers, fields  what comes and what goes, as pydantic models
callers    whose memories a request is about
memories, searching, forgetting, sessions, users, transfer, operating   the handlers
cursors    where pages end
"""
