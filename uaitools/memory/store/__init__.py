"""Memories in PostgreSQL: the truth.

scope       whose rows a statement reaches; the only way to the database
creating    a memory comes to be, once however often it is sent
memories    one by one and page by page: read, changed, removed
lexical     search by words; `statistics`, how usual words are
deletions   a user goes, with a receipt; `departures`, what is left to do of that
transfer    memories out and in again
policies    what a policy says of them, and their removal by it
sessions    conversations: what was said, in order
outbox      which memories the index is yet to follow; `embeddings`, their vectors;
            `indexing`, which index and whose vectors these are
differences between rows and an index; `analyses`, rows of an older analysis
conditions, filters, statements, sql, rows   what statements are made of
migrations/ the tables
"""
