"""How good a search is, on questions whose answers are known.

    labelled       memories and questions from NDJSON; `sample.ndjson` is one such file
    measures       recall, reciprocal rank, and how sure of a mean one may be

All of it is pure: who evaluates brings the search and the file.
"""
