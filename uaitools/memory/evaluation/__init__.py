"""How good a search is, on questions whose answers are known.

    labelled       memories and questions from NDJSON; `sample.ndjson` is one such file
    measures       recall, reciprocal rank, and how sure of a mean one may be
    scoring        what each mode is worth by what it found; `report`, as text and as JSON
    trial          a service of its own that is asked all of it
    program        the command `eval`

But for the last two all of it is pure.
"""
