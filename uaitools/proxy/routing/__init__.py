"""Which route a request takes, and what that does to it.

table        the configuration's routes, as the router wants them
router       the route of a request: by host and path first, then by its conditions
hosts        names, with `*.` in front of some
paths        a tree of segments, with parameters
pattern      a path as it is written: prefix, exact, template
conditions   on methods, headers and query
split        a route between several services, with a sticky side
reply        fixed responses and redirects
edits        of header fields, both ways
cors         what pages of other origins may do, answered here
"""
