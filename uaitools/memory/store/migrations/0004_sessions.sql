-- Conversations: what was said in them, in order.

CREATE TABLE sessions (
    user_id    text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    agent_id   text COLLATE "C",
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    messages   bigint NOT NULL DEFAULT 0,  -- how many: the number of the newest
    PRIMARY KEY (user_id, id)
);
SELECT keep_users_apart('sessions');
CREATE INDEX sessions_recent ON sessions (user_id, updated_at DESC, id DESC);
CREATE INDEX sessions_idle ON sessions (updated_at);

CREATE TABLE messages (
    user_id    text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    number     bigint NOT NULL,  -- from 1, without gaps
    id         uuid NOT NULL,
    role       text COLLATE "C" NOT NULL,
    content    text NOT NULL,
    metadata   jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    bytes      integer NOT NULL GENERATED ALWAYS AS (bytes_of(content, '{}', metadata)) STORED,
    PRIMARY KEY (user_id, session_id, number),
    UNIQUE (user_id, id),
    FOREIGN KEY (user_id, session_id) REFERENCES sessions ON DELETE CASCADE
);
SELECT keep_users_apart('messages');
