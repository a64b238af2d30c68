-- The truth: what users' memories are. Everything else (vectors in an index, copies in a cache) is
-- made of this, and can be made again.
--
-- No extension is used. What is ordered for others to see is ordered by code points.
--
-- An id is one of its user's: two users may have the same, and neither learns of the other's.

-- Bytes of a memory's texts as they are sent. The text form of text[] is immutable, unlike that of
-- arrays of anything else.
CREATE FUNCTION bytes_of(content text, tags text[], metadata jsonb) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN octet_length(content) + octet_length(tags::text) + octet_length(metadata::text);

CREATE TABLE memories (
    user_id      text COLLATE "C" NOT NULL,
    id           uuid NOT NULL,
    type         text COLLATE "C" NOT NULL,
    content      text NOT NULL,
    tags         text[] NOT NULL,
    metadata     jsonb NOT NULL,
    agent_id     text COLLATE "C",
    session_id   text COLLATE "C",
    external_id  text COLLATE "C",
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    pinned       boolean NOT NULL,
    supersedes   uuid,
    superseded   boolean NOT NULL DEFAULT false,
    access_count bigint NOT NULL DEFAULT 0,
    accessed_at  timestamptz,
    version      bigint NOT NULL DEFAULT 1,
    -- How often the content was changed: what is made of it says of which generation.
    generation   bigint NOT NULL DEFAULT 1,
    -- Of the content and whose it is: nobody has two that are the same. NULL when it was superseded.
    twin         bytea,
    -- What it is found by: see uaitools.memory.analysis, whose version `analysis` is.
    words        tsvector NOT NULL,
    length       integer NOT NULL,
    analysis     smallint NOT NULL,
    -- What a page is measured by, which then reads no text of what it has no room for.
    bytes        integer NOT NULL GENERATED ALWAYS AS (bytes_of(content, tags, metadata)) STORED,
    PRIMARY KEY (user_id, id)
) WITH (fillfactor = 90);  -- counting accesses rewrites rows in their place
SELECT keep_users_apart('memories');

-- Search reads the rows of one user: an index over words could not be used beneath row-level
-- security, because matching is no leakproof operator.
CREATE INDEX memories_of_user ON memories (user_id, created_at DESC, id DESC);
CREATE INDEX memories_of_session ON memories (user_id, session_id) WHERE session_id IS NOT NULL;
CREATE UNIQUE INDEX memories_twin ON memories (user_id, twin) WHERE twin IS NOT NULL;
CREATE UNIQUE INDEX memories_external ON memories (user_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX memories_expiring ON memories (expires_at) WHERE expires_at IS NOT NULL;
-- Rows of an older analysis, which are looked for now and then.
CREATE INDEX memories_analysis ON memories (analysis);

-- What memories were before they were changed.
CREATE TABLE versions (
    user_id   text COLLATE "C" NOT NULL,
    memory_id uuid NOT NULL,
    version   bigint NOT NULL,
    changed   text NOT NULL,
    at        timestamptz NOT NULL,
    document  jsonb NOT NULL,
    bytes     integer NOT NULL GENERATED ALWAYS AS (octet_length(document::text)) STORED,
    PRIMARY KEY (user_id, memory_id, version),
    FOREIGN KEY (user_id, memory_id) REFERENCES memories ON DELETE CASCADE
);
SELECT keep_users_apart('versions');

-- The vector of each memory. model: which embedder made it; those of different ones never meet.
--
-- There is no index over the model: nearly all rows have the same, and a plan that was made before
-- the table was analysed took it for a narrow one, and read all of it at each search.
CREATE TABLE embeddings (
    user_id    text COLLATE "C" NOT NULL,
    memory_id  uuid NOT NULL,
    model      text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    vector     bytea NOT NULL,  -- float32, little endian
    PRIMARY KEY (user_id, memory_id),
    FOREIGN KEY (user_id, memory_id) REFERENCES memories ON DELETE CASCADE
) WITH (toast_tuple_target = 8160);  -- up to 2,000 numbers stay in the row: elsewhere is three reads more
ALTER TABLE embeddings ALTER vector SET STORAGE EXTERNAL;  -- it does not compress
SELECT keep_users_apart('embeddings');

-- What is left of a name of a user's: who knows both finds it, and nobody learns either from it. No
-- user's id has the line break that stands between.
CREATE FUNCTION grave(user_id text, name text) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN sha256(convert_to(user_id || E'\n' || name, 'UTF8'));

-- Of ids of memories and messages that nothing brings back.
CREATE TABLE tombstones (
    grave      bytea PRIMARY KEY,
    deleted_at timestamptz NOT NULL DEFAULT now()
);

-- Which memory a request has made, so that it is made once however often it is sent.
CREATE TABLE idempotency_keys (
    user_id   text COLLATE "C" NOT NULL,
    key       text COLLATE "C" NOT NULL,
    digest    bytea NOT NULL,
    memory_id uuid NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);
SELECT keep_users_apart('idempotency_keys');
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);

-- Graves of keys whose user was deleted. They are known for as long as the keys would be: what is
-- sent again makes nothing anew.
CREATE TABLE buried_keys (
    grave bytea PRIMARY KEY,
    at    timestamptz NOT NULL
);
CREATE INDEX buried_keys_at ON buried_keys (at);
