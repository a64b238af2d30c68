-- Memories whose vectors and index entries are yet to follow them: a set, not a log. Whoever works
-- on one makes it what the row is now, or removes it if there is none.
--
-- owner: the session that has claimed it, while somebody works on it. When that session is there no
-- more, others take it up at once.
-- marks: how often it was marked. What is marked while somebody works on it stays with them until
-- they are done, and is looked at again then: two never work on one memory.
-- turn: whose is the earliest is worked on first. A user's turns are a second apart, so that who has
-- many waits for who has few: see uaitools.memory.store.statements.

CREATE TABLE outbox (
    user_id   text COLLATE "C" NOT NULL,
    memory_id uuid NOT NULL,
    marks     bigint NOT NULL DEFAULT 1,
    since     timestamptz NOT NULL DEFAULT now(),
    due       timestamptz NOT NULL DEFAULT now(),
    turn      timestamptz NOT NULL DEFAULT now(),
    attempts  integer NOT NULL DEFAULT 0,
    owner     integer,
    PRIMARY KEY (user_id, memory_id)
);
SELECT keep_users_apart('outbox');
CREATE INDEX outbox_turn ON outbox (turn);
CREATE INDEX outbox_turn_of_user ON outbox (user_id, turn);

-- What the index is, and whose vectors are in it: one row, see uaitools.memory.store.indexing.
CREATE TABLE indexing (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    kind  text NOT NULL,
    model text NOT NULL
);

-- What copies of memories, in whatever cache, may be older than: each change that they show, written
-- with it. Whoever has had the copies forgotten takes it away; see uaitools.memory.paying.
-- memory_id: NULL for all of the user's.
CREATE TABLE debts (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id   text COLLATE "C" NOT NULL,
    memory_id uuid,
    since     timestamptz NOT NULL DEFAULT now()
);
SELECT keep_users_apart('debts');
CREATE INDEX debts_since ON debts (since);

CREATE FUNCTION owe_changed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO debts (user_id, memory_id) VALUES (NEW.user_id, NEW.id);
    RETURN NULL;
END
$$;
CREATE FUNCTION owe_gone() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO debts (user_id, memory_id)
    SELECT user_id, CASE WHEN count(*) = 1 THEN (array_agg(id))[1] END FROM gone
    WHERE expires_at IS NULL OR expires_at > now()  -- a copy says itself that it has expired
    GROUP BY user_id;
    RETURN NULL;
END
$$;
-- All processes are told at the commit, even if the one that has made the change is there no more.
-- The line before the text is the sender's, see uaitools.postgres.notices: nobody's own.
CREATE FUNCTION tell_of_debt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(
        'uaitools_memory_copies', E'\n' || coalesce(NEW.memory_id::text, '') || ' ' || NEW.user_id);
    RETURN NULL;
END
$$;
-- Accesses are counted, and texts analysed anew, without another version.
CREATE TRIGGER changed AFTER UPDATE ON memories
    FOR EACH ROW WHEN (OLD.version <> NEW.version) EXECUTE FUNCTION owe_changed();
CREATE TRIGGER gone AFTER DELETE ON memories
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION owe_gone();
CREATE TRIGGER told AFTER INSERT ON debts FOR EACH ROW EXECUTE FUNCTION tell_of_debt();
