"""What a text is found by. The same in every database: PostgreSQL only stores and compares it.

normal    Unicode's normal forms, in bounded time
words     a text in its words and identifiers, with their positions
stems     one form for the forms of a word, and which words say nothing by themselves
document  a text as the tsvector that is kept of it
query     what is asked, as the tsquery that finds it
quoting   lexemes in the text forms of both
"""

from typing import Final

VERSION: Final = 1  # of what texts are found by; rows that another one made are analysed again
