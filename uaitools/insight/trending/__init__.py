"""How much more a repository is starred than it used to be. Pure, and over many at once.

    window     day, week, month, year, and how far back the earlier rate is looked for
    histories  snapshots of many repositories as columns
    bounds     which known days bound the window and the time before it
    formula    counts at these days into a score, every term of it beside
    trend      all of it: trends of many repositories, `trend` of one

There is one form, over arrays; one repository is an array of one. Nothing is added up over
repositories or days, each score is made of its own counts alone, and snapshots are put in order
first: the same data makes the same bytes in whatever order it comes. docs/insight.md has the
formula, its terms and an example.
"""
