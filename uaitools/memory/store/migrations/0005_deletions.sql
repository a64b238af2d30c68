-- The deletion of a user: what is left to do of it, and the receipt.

-- Users whose entries in the index are yet to go. Their rows went with the transaction that wrote
-- this. owner: as in the outbox.
CREATE TABLE departures (
    user_id  text COLLATE "C" PRIMARY KEY,
    since    timestamptz NOT NULL DEFAULT now(),
    due      timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    owner    integer
);
SELECT keep_users_apart('departures');
CREATE INDEX departures_due ON departures (due);

-- Receipts. subject: a hash of the user's id, so that one who knows it finds what was done.
CREATE TABLE deletions (
    id           uuid PRIMARY KEY,
    subject      bytea NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    removed      jsonb NOT NULL,
    left_over    jsonb
);
-- One that is asked for twice completes both receipts: they are known by their user.
CREATE INDEX deletions_open ON deletions (subject) WHERE completed_at IS NULL;
