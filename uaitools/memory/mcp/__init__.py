"""Memories as tools of assistants, by the Model Context Protocol.

    stdio        an assistant starts the program and speaks to it over `pipes`
    http         POST /mcp, beside the REST resources: whose memories, and from which pages
    endpoint     the library's HTTP transport, without sessions, behind that
    server       which tools there are; a call, and how its failure is told to a model
    tools        what each of them does
    arguments    what they take, within the limits of REST; `results`, what they say
    tool         one of them, as it is described to a model

No tool is told whose memories it is about: that is settled before a model says anything, by the
credential and the URL, or by the command line. `endpoint`, `server`, `stdio` and `pipes` need the
library `mcp`, which is imported when the first of them is used.
"""
