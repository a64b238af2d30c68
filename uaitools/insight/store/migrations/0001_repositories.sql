-- What is known of repositories, as of which day, from which source.
--
-- What imports write in bulk has no foreign keys: each would be asked for a million times. Nothing
-- deletes a repository.

-- Each import that changed something is a generation: a reader sees all of it or nothing, and a
-- copy that was made of an older one is known as such.
CREATE TABLE generations (
    number  bigint PRIMARY KEY,
    what    text NOT NULL,
    as_of   date,               -- the newest day of all sources; NULL before the first
    sources text[] NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO generations (number, what, sources) VALUES (0, 'nothing', '{}');

-- The files that have been taken, so that one is not taken twice. A day that none is of is a gap:
-- nothing is known of it.
CREATE TABLE files (
    source     text COLLATE "C" NOT NULL,
    day        date NOT NULL,
    digest     bytea NOT NULL,
    name       text NOT NULL,
    rows       bigint NOT NULL,
    refused    bigint NOT NULL,   -- lines that could not be read
    generation bigint NOT NULL,
    PRIMARY KEY (source, day, digest)
);
CREATE INDEX files_of_day ON files (day);

CREATE TABLE languages (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name   text COLLATE "C" NOT NULL UNIQUE
);

-- What repositories are. What changes from day to day stands in `standings`.
CREATE TABLE repositories (
    number          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id              uuid NOT NULL UNIQUE,
    owner           text COLLATE "C" NOT NULL,
    name            text COLLATE "C" NOT NULL,
    source          text COLLATE "C" NOT NULL,   -- that told of it last
    description     text NOT NULL,
    analysis_status text NOT NULL DEFAULT 'none',
    analysed_at     timestamptz,
    insight_count   bigint NOT NULL DEFAULT 0,
    quality         double precision             -- 0 to 100; NULL where too little is known
);
CREATE INDEX repositories_of_quality ON repositories (number) WHERE quality IS NOT NULL;

-- The names that repositories have and had, in small letters. The newest bearer of a name has it.
CREATE TABLE names (
    name       text COLLATE "C" PRIMARY KEY,
    repository integer NOT NULL
);

-- When repositories changed their names, and how certain that is, 0 to 1.
CREATE TABLE renames (
    repository integer NOT NULL REFERENCES repositories,
    day        date NOT NULL,        -- the first one under the new name
    old        text COLLATE "C" NOT NULL,
    new        text COLLATE "C" NOT NULL,
    certainty  double precision NOT NULL,
    PRIMARY KEY (repository, day)
);

-- A count is NULL where the source told of the repository, and not of that.
CREATE TABLE snapshots (
    repository integer NOT NULL,
    day        date NOT NULL,
    stars      integer,
    forks      integer,
    issues     integer,
    PRIMARY KEY (repository, day)
);

-- Each repository as of its last day: narrow rows, because a broad search touches many of them.
-- Counts change within the page, which has room for that, and no index hears of it: only words are
-- indexed. These lie beside the rows and are never read but by who makes the index. PostgreSQL puts
-- aside what makes a row longer than 2,000 bytes, and so they are written with a `padding` that is
-- longer, and compressed to nothing.
CREATE TABLE standings (
    repository integer PRIMARY KEY,
    stars      integer,
    forks      integer,
    issues     integer,
    language   integer,
    first_day  date,                 -- on which the source told of it; NULL if none ever did
    last_day   date,
    updated    timestamptz,          -- its last commit
    words      tsvector,             -- see uaitools.insight.terms
    padding    text
) WITH (fillfactor = 45, toast_tuple_target = 128);
ALTER TABLE standings ALTER words SET STORAGE EXTERNAL;
CREATE INDEX standings_words ON standings USING gin (words);

-- The trend of the week, 0 to 10; who is not here has none that is known.
CREATE TABLE scores (
    repository integer PRIMARY KEY,
    trending   double precision NOT NULL
);

-- The best of each board, of all languages and of each, with flagged ones and without: as many as
-- are ever asked for. place: among those that are here, without ties.
CREATE TABLE leaders (
    board      text COLLATE "C" NOT NULL,   -- popular, quality; day, week, month, year
    repository integer NOT NULL,
    place      integer NOT NULL,
    language   integer,
    score      double precision NOT NULL,
    flagged    boolean NOT NULL,
    terms      jsonb NOT NULL,              -- what the score is made of
    PRIMARY KEY (board, repository)
);
CREATE INDEX leaders_in_place ON leaders (board, place);
CREATE INDEX leaders_of_language ON leaders (board, language, place);

-- What `git` told of a clone; the same day and clone tell the same.
CREATE TABLE analyses (
    repository integer NOT NULL REFERENCES repositories,
    day        date NOT NULL,
    commit     text,
    score      double precision,            -- NULL where too little is known
    version    integer NOT NULL,
    known      double precision NOT NULL,   -- the part of all weight, 0 to 1
    checks     jsonb NOT NULL,
    insights   jsonb NOT NULL,
    PRIMARY KEY (repository, day)
);

-- What the analysing service has reported; also what a stream that broke goes on from.
CREATE TABLE events (
    number     bigint PRIMARY KEY,          -- in the order in which they can be read
    id         uuid NOT NULL UNIQUE,        -- the reporter's: a report that is sent again is one
    type       text COLLATE "C" NOT NULL,
    repository integer REFERENCES repositories,
    at         timestamptz NOT NULL,
    data       jsonb NOT NULL
);
CREATE INDEX events_of_repository ON events (repository, number);

-- Where trigrams are to be had, a name with a typing error is found as well.
DO $$
DECLARE
    place text;
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') THEN
        BEGIN
            CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;
        END;
    END IF;
    SELECT nspname INTO place FROM pg_extension
        JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_trgm';
    IF place IS NOT NULL THEN
        EXECUTE format('CREATE INDEX names_alike ON names USING gin (name %I.gin_trgm_ops)', place);
    END IF;
END
$$;
