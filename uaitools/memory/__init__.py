"""Memories of users and the context of conversations, found again by meaning and by word.

A request's way:

    server       the gateway's listener, in front of the service's own application
    api/         what comes and goes over HTTP, and whose memories a request is about
    mcp/         the same for assistants, as tools, over HTTP or the pipes of a program
    service      the parts, put together
    store/       SQL: every statement in the scope of one user
    searching    words and meaning, made one list by `ranking`, read again from the store
    following    what was written is embedded and put into the index, from an outbox; `deleting`
    consistency  whether that is so
    forgetting   what goes by a policy, see `policy`

What these stand on:

    analysis/    what a text is found by; `filters`, conditions on metadata; `model`, `wanted`
    embed/       texts into vectors: what is alike in meaning is near
    index/       vectors found by nearness, behind one protocol
    context/     what of a conversation fits a budget of tokens
    evaluation/  how good a search is: labelled questions, and measures with their uncertainty
    copies       memories as they are shown, in a cache, and when they are forgotten
    others       the other processes: told, and heard
    touches      how often memories are read; `analysing`, what an older version has analysed;
                 `upkeep`, what is done now and then; `rounds` of it

PostgreSQL is the truth; whatever else is kept of a memory is made of it.
"""
