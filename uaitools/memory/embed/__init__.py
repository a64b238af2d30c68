"""Texts into vectors, by one of several embedders behind one protocol.

    port        the protocol, and the model that each vector is recorded with
    config      the `[memory.embed]` table
    catalogue   from the settings to an embedder
    errors      why there is no vector now

    static      means of learned word vectors that come with a package: no server, no download
    weights     where those are, and how they are read
    hash        words and parts of words hashed into places: nothing but numpy
    http        any server with an OpenAI-compatible /v1/embeddings
    answer      what such a server may answer

    words       the words of a text
    statistics  how frequent a word is, and how much less a frequent one counts
    pooling     from the words of many texts to vectors, step by step
    turns       many steps on the event loop, which is never held for long

Sockets are in http alone, files in weights alone. Vectors of two models are never compared.
"""
