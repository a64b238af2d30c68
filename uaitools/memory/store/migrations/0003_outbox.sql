-- Memories whose vectors and index entries are yet to follow them: a set, not a log. Whoever works
-- on one makes it what the row is now, or removes it if there is none.
--
-- owner: the session that has claimed it, while somebody works on it. When that session is there no
-- more, others take it up at once.
-- marks: how often it was marked. What is marked while somebody works on it stays with them until
-- they are done, and is looked at again then: two never work on one memory.

CREATE TABLE outbox (
    user_id   text COLLATE "C" NOT NULL,
    memory_id uuid NOT NULL,
    marks     bigint NOT NULL DEFAULT 1,
    since     timestamptz NOT NULL DEFAULT now(),
    due       timestamptz NOT NULL DEFAULT now(),
    attempts  integer NOT NULL DEFAULT 0,
    owner     integer,
    PRIMARY KEY (user_id, memory_id)
);
SELECT keep_users_apart('outbox');
CREATE INDEX outbox_due ON outbox (due);

-- What the index is, and whose vectors are in it: one row, see uaitools.memory.store.indexing.
CREATE TABLE indexing (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    kind  text NOT NULL,
    model text NOT NULL
);
