-- The deletion of a user: what is left to do of it, and the receipt.

-- Users whose entries in the index are yet to go. Their rows went with the transaction that wrote
-- this.
CREATE TABLE departures (
    user_id     text COLLATE "C" PRIMARY KEY,
    deletion_id uuid NOT NULL,
    since       timestamptz NOT NULL DEFAULT now(),
    due         timestamptz NOT NULL DEFAULT now(),
    attempts    integer NOT NULL DEFAULT 0
);
CREATE INDEX departures_due ON departures (due);
ALTER TABLE departures ENABLE ROW LEVEL SECURITY;
ALTER TABLE departures FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON departures USING (
    user_id = current_setting('uaitools.user_id', true)
    OR current_setting('uaitools.everyone', true) = 'on'
);

-- Receipts. subject: a hash of the user's id, so that one who knows it finds what was done.
CREATE TABLE deletions (
    id           uuid PRIMARY KEY,
    subject      bytea NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    removed      jsonb NOT NULL,
    left_over    jsonb
);
