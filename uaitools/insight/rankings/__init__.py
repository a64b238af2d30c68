"""Daily ranking files: lists of repositories with their counts, as CSV. Pure.

A file's way:

    days       which day a file is of, by its name
    lines      blocks of bytes into lines, none of them longer than a bound
    records    lines into cells; wrong quotes cost one line and not the rest of the file
    cells      what stands in a cell: a count, a name, a time; what does not is a ValueError
    reading    the rows of a file, with its problems by line
    gathering  the rows of a day into repositories, by the maximum of each count
    renames    which of those that vanished until the next day are the same as which that appeared

Known of the public data set (EvanLi/Github-Ranking): lists are the first 100 of something, asked
for one after another, so that a repository has other counts in each and leaves the data when others
pass it; the API that is asked leaves some out at times (its issue 9); some days are missing.
"""
