"""What a local clone tells of its repository. Nothing of the clone is executed.

A clone's way:

    layout       where its data lies, and that all of it is its own
    view         a git directory of ours over its objects and refs, with our configuration
    git          runs the `git` program there, bounded in time, memory and output
    reading      asks git, and says what it could not tell
    analyse      all of it: `analyse(path, as_of)` -> `Analysis`

What is made of git's output, without I/O:

    records      cuts it into records; `objects` into files
    settings     the few things that the clone's own configuration is asked for; `origin`
    history      commits into authors, cadence and bus factor; `bots` tells programs apart
    releases     tags into versions
    files        paths into tests, CI, policies, locks; `conventions`, `languages`
    licenses     texts into SPDX identifiers
    facts        all of these in one value; `evidence`, `dates`, `texts`
    insights     what is worth saying of the facts
"""
