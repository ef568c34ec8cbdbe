-- Who signs in to the admin panel.

-- People with a name and a password.
CREATE TABLE named_user (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    profile_id   TEXT COLLATE "C" NOT NULL REFERENCES profile (id),
    -- Unique on the whole server: whoever signs in names no profile.
    name         TEXT COLLATE "C" NOT NULL UNIQUE,
    role         TEXT COLLATE "C" NOT NULL,
    -- Argon2id of the password with this salt, memory and passes.
    salt         BYTEA  NOT NULL,
    hash         BYTEA  NOT NULL,
    memory_kib   BIGINT NOT NULL,
    passes       BIGINT NOT NULL,
    -- Signs all of the above.
    bound        BYTEA  NOT NULL,
    created_by   TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    signed_in_at BIGINT
);

CREATE TABLE session (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    profile_id TEXT COLLATE "C" NOT NULL REFERENCES profile (id),
    -- Of what the browser holds.
    digest     BYTEA  NOT NULL UNIQUE,
    -- Signs whose session it is; see Session.
    bound      BYTEA  NOT NULL,
    -- What was shown to sign in: one of the two.
    token_id   TEXT COLLATE "C" REFERENCES token (id),
    user_id    TEXT COLLATE "C" REFERENCES named_user (id),
    role       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX session_by_token ON session (token_id);
CREATE INDEX session_by_user ON session (user_id);
