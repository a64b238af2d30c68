-- Who works on something, and what becomes of it when he dies.
--
-- owner: the session that has claimed it, while somebody works on it. When that session is there no
-- more, others take it up at once.

-- marks: how often a memory was marked. What is marked while somebody works on it stays his until
-- he is done, and is looked at again then: two never work on one memory.
ALTER TABLE outbox ADD owner integer, ADD marks bigint NOT NULL DEFAULT 1;

-- A deletion that is asked for twice completes both receipts: they are known by their user.
ALTER TABLE departures ADD owner integer, DROP deletion_id;
CREATE INDEX deletions_open ON deletions (subject) WHERE completed_at IS NULL;

-- Rows of an older analysis, which are looked for now and then.
CREATE INDEX memories_analysis ON memories (analysis);
