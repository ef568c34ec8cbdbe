-- Times are milliseconds since the Unix epoch; ids are 24 hexadecimal characters; "sealed"
-- columns hold envelopes of the vault. Every row belongs to a profile.

CREATE TABLE profile (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    -- Raised by each change that may alter what a run sees, in the change's own transaction.
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE wrapped_key (
    id          TEXT   NOT NULL PRIMARY KEY,
    kind        TEXT   NOT NULL,
    -- NULL for the host's own key.
    profile_id  TEXT   REFERENCES profile (id),
    root_key_id TEXT   NOT NULL,
    wrapped     BLOB   NOT NULL,
    created_at  BIGINT NOT NULL
);

CREATE TABLE token (
    id         TEXT   NOT NULL PRIMARY KEY,
    profile_id TEXT   NOT NULL REFERENCES profile (id),
    name       TEXT   NOT NULL,
    role       TEXT   NOT NULL,
    digest     BLOB   NOT NULL UNIQUE,
    -- Signs whose token it is; see TokenOwner.
    bound      BLOB   NOT NULL,
    hint       TEXT   NOT NULL,
    created_by TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

CREATE TABLE tag (
    profile_id  TEXT NOT NULL REFERENCES profile (id),
    -- The resource type: secrets, analysis or access_management.
    resource    TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (resource_id, key)
);
CREATE INDEX tag_lookup ON tag (profile_id, resource, key, value, resource_id);

CREATE TABLE secret (
    id           TEXT   NOT NULL PRIMARY KEY,
    profile_id   TEXT   NOT NULL REFERENCES profile (id),
    key          TEXT   NOT NULL,
    version      BIGINT NOT NULL,
    exposure     TEXT   NOT NULL,
    value_length BIGINT NOT NULL,
    sealed       BLOB   NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    UNIQUE (profile_id, key)
);

CREATE TABLE policy (
    id         TEXT    NOT NULL PRIMARY KEY,
    profile_id TEXT    NOT NULL REFERENCES profile (id),
    name       TEXT    NOT NULL,
    active     BOOLEAN NOT NULL,
    -- {"targets": [...], "permissions": [...]} in TagoIO's form.
    document   TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL
);
CREATE INDEX policy_by_name ON policy (profile_id, name);

CREATE TABLE policy_target (
    profile_id TEXT NOT NULL REFERENCES profile (id),
    policy_id  TEXT NOT NULL REFERENCES policy (id),
    -- any, id, tag or tag_match.
    form       TEXT NOT NULL,
    -- The id or the tag key; empty for any.
    key        TEXT NOT NULL,
    -- The tag value; empty for other forms.
    value      TEXT NOT NULL,
    PRIMARY KEY (policy_id, form, key, value)
);
CREATE INDEX policy_target_lookup ON policy_target (profile_id, form, key, value, policy_id);

CREATE TABLE analysis (
    id           TEXT    NOT NULL PRIMARY KEY,
    profile_id   TEXT    NOT NULL REFERENCES profile (id),
    name         TEXT    NOT NULL,
    description  TEXT,
    active       BOOLEAN NOT NULL,
    run_on       TEXT    NOT NULL,
    runtime      TEXT    NOT NULL,
    limits       TEXT    NOT NULL,
    version      BIGINT,
    token_digest BLOB    NOT NULL UNIQUE,
    token_bound  BLOB    NOT NULL,
    token_hint   TEXT    NOT NULL,
    -- All variables in one envelope; NULL when there are none.
    variables    BLOB,
    created_at   BIGINT  NOT NULL,
    updated_at   BIGINT  NOT NULL
);
CREATE INDEX analysis_by_name ON analysis (profile_id, name);

CREATE TABLE module_version (
    analysis_id TEXT   NOT NULL REFERENCES analysis (id),
    profile_id  TEXT   NOT NULL REFERENCES profile (id),
    version     BIGINT NOT NULL,
    digest      TEXT   NOT NULL,
    form        TEXT   NOT NULL,
    size        BIGINT NOT NULL,
    file_name   TEXT   NOT NULL,
    created_by  TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (analysis_id, version)
);
CREATE INDEX module_version_by_digest ON module_version (digest);

CREATE TABLE run (
    id             TEXT   NOT NULL PRIMARY KEY,
    profile_id     TEXT   NOT NULL REFERENCES profile (id),
    analysis_id    TEXT   NOT NULL,
    module_digest  TEXT   NOT NULL,
    -- NULL when the module was given with the request.
    module_version BIGINT,
    -- queued, running, succeeded, failed or cancelled.
    state          TEXT   NOT NULL,
    cause_kind     TEXT   NOT NULL,
    cause_by       TEXT   NOT NULL,
    -- Unique per profile where given: the second request is the first one's run.
    dedupe_key     TEXT,
    due_at         BIGINT NOT NULL,
    lease_until    BIGINT,
    worker         TEXT,
    fence          BIGINT NOT NULL,
    attempts       BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    started_at     BIGINT,
    finished_at    BIGINT
);
CREATE INDEX run_due ON run (due_at, id) WHERE state = 'queued';
CREATE INDEX run_lease ON run (lease_until) WHERE state = 'running';
CREATE INDEX run_by_analysis ON run (analysis_id, id);
CREATE UNIQUE INDEX run_dedupe ON run (profile_id, dedupe_key) WHERE dedupe_key IS NOT NULL;

-- The scope of a run; no row stands for [].
CREATE TABLE run_scope (
    run_id TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL
);

CREATE TABLE attempt (
    run_id            TEXT    NOT NULL,
    number            BIGINT  NOT NULL,
    worker            TEXT    NOT NULL,
    fence             BIGINT  NOT NULL,
    -- JSON list of {key, origin, secret?, version?, policy?, permission?}.
    environment       TEXT    NOT NULL,
    started_at        BIGINT  NOT NULL,
    finished_at       BIGINT,
    duration_us       BIGINT,
    peak_memory_bytes BIGINT,
    console_truncated BOOLEAN NOT NULL,
    fault_code        TEXT,
    -- The result, or the fault's message.
    outcome           BLOB,
    PRIMARY KEY (run_id, number)
);

CREATE TABLE console_chunk (
    run_id   TEXT   NOT NULL,
    attempt  BIGINT NOT NULL,
    -- The number of the chunk's first line, counted from 0.
    sequence BIGINT NOT NULL,
    sealed   BLOB   NOT NULL,
    PRIMARY KEY (run_id, attempt, sequence)
);

CREATE TABLE tombstone (
    profile_id  TEXT   NOT NULL REFERENCES profile (id),
    resource    TEXT   NOT NULL,
    resource_id TEXT   NOT NULL PRIMARY KEY,
    -- The secret's key, or the name.
    name        TEXT   NOT NULL,
    deleted_at  BIGINT NOT NULL
);

CREATE TABLE audit (
    sequence    INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    profile_id  TEXT    NOT NULL REFERENCES profile (id),
    at          BIGINT  NOT NULL,
    principal   TEXT    NOT NULL,
    -- Such as secrets.create or run.grant.
    event       TEXT    NOT NULL,
    resource_id TEXT    NOT NULL,
    -- JSON; never a value.
    detail      TEXT    NOT NULL
);
CREATE INDEX audit_by_resource ON audit (resource_id, sequence);
CREATE TRIGGER audit_is_not_edited BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
