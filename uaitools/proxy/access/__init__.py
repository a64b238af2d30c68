"""The access log.

log      one JSON line a request
record   what is kept of an exchange for it
writer   a bounded buffer, and the thread that empties it
"""
