-- Who signs in to the admin panel.

-- People with a name and a password.
CREATE TABLE named_user (
    id           TEXT   NOT NULL PRIMARY KEY,
    profile_id   TEXT   NOT NULL REFERENCES profile (id),
    -- Unique on the whole server: whoever signs in names no profile.
    name         TEXT   NOT NULL UNIQUE,
    role         TEXT   NOT NULL,
    -- Argon2id of the password with this salt, memory and passes.
    salt         BLOB   NOT NULL,
    hash         BLOB   NOT NULL,
    memory_kib   BIGINT NOT NULL,
    passes       BIGINT NOT NULL,
    -- Signs all of the above.
    bound        BLOB   NOT NULL,
    created_by   TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    signed_in_at BIGINT
);

CREATE TABLE session (
    id         TEXT   NOT NULL PRIMARY KEY,
    profile_id TEXT   NOT NULL REFERENCES profile (id),
    -- Of what the browser holds.
    digest     BLOB   NOT NULL UNIQUE,
    -- Signs whose session it is; see Session.
    bound      BLOB   NOT NULL,
    -- What was shown to sign in: one of the two.
    token_id   TEXT   REFERENCES token (id),
    user_id    TEXT   REFERENCES named_user (id),
    role       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX session_by_token ON session (token_id);
CREATE INDEX session_by_user ON session (user_id);
