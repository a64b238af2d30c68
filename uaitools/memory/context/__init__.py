"""What of a conversation, and of what is remembered, fits a budget of tokens. Pure.

    tokens    how many tokens a text is: an estimate, or a model's own tokeniser
    line      a line of a context: a turn, a memory or a digest, with its source
    digest    sentences chosen from the turns that were left out
    assemble  all three within the budget; config, its settings

The newest turns come first, verbatim; memories and the digest have shares of the budget, and what
one does not use another gets. With more budget no turn is lost that was there with less.
"""
