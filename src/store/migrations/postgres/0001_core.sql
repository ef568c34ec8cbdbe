-- Times are milliseconds since the Unix epoch; ids are 24 hexadecimal characters; "sealed"
-- columns hold envelopes of the vault. Every row belongs to a profile.

CREATE TABLE profile (
    id         TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C"   NOT NULL,
    -- Raised by each change that may alter what a run sees, in the change's own transaction.
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE wrapped_key (
    id          TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    kind        TEXT COLLATE "C"   NOT NULL,
    -- NULL for the host's own key.
    profile_id  TEXT COLLATE "C"   REFERENCES profile (id),
    root_key_id TEXT COLLATE "C"   NOT NULL,
    wrapped     BYTEA   NOT NULL,
    created_at  BIGINT NOT NULL
);

CREATE TABLE token (
    id         TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    profile_id TEXT COLLATE "C"   NOT NULL REFERENCES profile (id),
    name       TEXT COLLATE "C"   NOT NULL,
    role       TEXT COLLATE "C"   NOT NULL,
    digest     BYTEA   NOT NULL UNIQUE,
    -- Signs whose token it is; see TokenOwner.
    bound      BYTEA   NOT NULL,
    hint       TEXT COLLATE "C"   NOT NULL,
    created_by TEXT COLLATE "C"   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

CREATE TABLE tag (
    profile_id  TEXT COLLATE "C" NOT NULL REFERENCES profile (id),
    -- The resource type: secrets, analysis or access_management.
    resource    TEXT COLLATE "C" NOT NULL,
    resource_id TEXT COLLATE "C" NOT NULL,
    key         TEXT COLLATE "C" NOT NULL,
    value       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (resource_id, key)
);
CREATE INDEX tag_lookup ON tag (profile_id, resource, key, value, resource_id);

CREATE TABLE secret (
    id           TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    profile_id   TEXT COLLATE "C"   NOT NULL REFERENCES profile (id),
    key          TEXT COLLATE "C"   NOT NULL,
    version      BIGINT NOT NULL,
    exposure     TEXT COLLATE "C"   NOT NULL,
    value_length BIGINT NOT NULL,
    sealed       BYTEA   NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    UNIQUE (profile_id, key)
);

CREATE TABLE policy (
    id         TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    profile_id TEXT COLLATE "C"    NOT NULL REFERENCES profile (id),
    name       TEXT COLLATE "C"    NOT NULL,
    active     BOOLEAN NOT NULL,
    -- {"targets": [...], "permissions": [...]} in TagoIO's form.
    document   TEXT COLLATE "C"    NOT NULL,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL
);
CREATE INDEX policy_by_name ON policy (profile_id, name);

CREATE TABLE policy_target (
    profile_id TEXT COLLATE "C" NOT NULL REFERENCES profile (id),
    policy_id  TEXT COLLATE "C" NOT NULL REFERENCES policy (id),
    -- any, id, tag or tag_match.
    form       TEXT COLLATE "C" NOT NULL,
    -- The id or the tag key; empty for any.
    key        TEXT COLLATE "C" NOT NULL,
    -- The tag value; empty for other forms.
    value      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (policy_id, form, key, value)
);
CREATE INDEX policy_target_lookup ON policy_target (profile_id, form, key, value, policy_id);

CREATE TABLE analysis (
    id           TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    profile_id   TEXT COLLATE "C"    NOT NULL REFERENCES profile (id),
    name         TEXT COLLATE "C"    NOT NULL,
    description  TEXT COLLATE "C",
    active       BOOLEAN NOT NULL,
    run_on       TEXT COLLATE "C"    NOT NULL,
    runtime      TEXT COLLATE "C"    NOT NULL,
    limits       TEXT COLLATE "C"    NOT NULL,
    version      BIGINT,
    token_digest BYTEA    NOT NULL UNIQUE,
    token_bound  BYTEA    NOT NULL,
    token_hint   TEXT COLLATE "C"    NOT NULL,
    -- All variables in one envelope; NULL when there are none.
    variables    BYTEA,
    created_at   BIGINT  NOT NULL,
    updated_at   BIGINT  NOT NULL
);
CREATE INDEX analysis_by_name ON analysis (profile_id, name);

CREATE TABLE module_version (
    analysis_id TEXT COLLATE "C"   NOT NULL REFERENCES analysis (id),
    profile_id  TEXT COLLATE "C"   NOT NULL REFERENCES profile (id),
    version     BIGINT NOT NULL,
    digest      TEXT COLLATE "C"   NOT NULL,
    form        TEXT COLLATE "C"   NOT NULL,
    size        BIGINT NOT NULL,
    file_name   TEXT COLLATE "C"   NOT NULL,
    created_by  TEXT COLLATE "C"   NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (analysis_id, version)
);
CREATE INDEX module_version_by_digest ON module_version (digest);

CREATE TABLE run (
    id             TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    profile_id     TEXT COLLATE "C"   NOT NULL REFERENCES profile (id),
    analysis_id    TEXT COLLATE "C"   NOT NULL,
    module_digest  TEXT COLLATE "C"   NOT NULL,
    -- NULL when the module was given with the request.
    module_version BIGINT,
    -- queued, running, succeeded, failed or cancelled.
    state          TEXT COLLATE "C"   NOT NULL,
    cause_kind     TEXT COLLATE "C"   NOT NULL,
    cause_by       TEXT COLLATE "C"   NOT NULL,
    -- Unique per profile where given: the second request is the first one's run.
    dedupe_key     TEXT COLLATE "C",
    due_at         BIGINT NOT NULL,
    lease_until    BIGINT,
    worker         TEXT COLLATE "C",
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
    run_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL
);

CREATE TABLE attempt (
    run_id            TEXT COLLATE "C"    NOT NULL,
    number            BIGINT  NOT NULL,
    worker            TEXT COLLATE "C"    NOT NULL,
    fence             BIGINT  NOT NULL,
    -- JSON list of {key, origin, secret?, version?, policy?, permission?}.
    environment       TEXT COLLATE "C"    NOT NULL,
    started_at        BIGINT  NOT NULL,
    finished_at       BIGINT,
    duration_us       BIGINT,
    peak_memory_bytes BIGINT,
    console_truncated BOOLEAN NOT NULL,
    fault_code        TEXT COLLATE "C",
    -- The result, or the fault's message.
    outcome           BYTEA,
    PRIMARY KEY (run_id, number)
);

CREATE TABLE console_chunk (
    run_id   TEXT COLLATE "C"   NOT NULL,
    attempt  BIGINT NOT NULL,
    -- The number of the chunk's first line, counted from 0.
    sequence BIGINT NOT NULL,
    sealed   BYTEA   NOT NULL,
    PRIMARY KEY (run_id, attempt, sequence)
);

CREATE TABLE tombstone (
    profile_id  TEXT COLLATE "C"   NOT NULL REFERENCES profile (id),
    resource    TEXT COLLATE "C"   NOT NULL,
    resource_id TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    -- The secret's key, or the name.
    name        TEXT COLLATE "C"   NOT NULL,
    deleted_at  BIGINT NOT NULL
);

CREATE TABLE audit (
    sequence    BIGINT  NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    profile_id  TEXT COLLATE "C"    NOT NULL REFERENCES profile (id),
    at          BIGINT  NOT NULL,
    principal   TEXT COLLATE "C"    NOT NULL,
    -- Such as secrets.create or run.grant.
    event       TEXT COLLATE "C"    NOT NULL,
    resource_id TEXT COLLATE "C"    NOT NULL,
    -- JSON; never a value.
    detail      TEXT COLLATE "C"    NOT NULL
);
CREATE INDEX audit_by_resource ON audit (resource_id, sequence);
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$;
CREATE TRIGGER audit_is_not_edited BEFORE UPDATE ON audit
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
FOR EACH ROW EXECUTE FUNCTION refuse_change();
