-- Actions, devices, and what starts and bounds runs.

-- A dedupe key is kept apart from runs, because it must outlive them: see idempotency.
DROP INDEX run_dedupe;
ALTER TABLE run DROP COLUMN dedupe_key;
-- The first run of a chain of runs that caused each other; NULL for that first one.
ALTER TABLE run ADD COLUMN root_run TEXT;
-- How many runs of the chain came before.
ALTER TABLE run ADD COLUMN depth BIGINT NOT NULL DEFAULT 0;
-- The action that started it.
ALTER TABLE run ADD COLUMN action_id TEXT;
-- JSON object of the system entries that its trigger adds to the environment.
ALTER TABLE run ADD COLUMN trigger_entries TEXT;
-- How many attempts were lost with their workers.
ALTER TABLE run ADD COLUMN losses BIGINT NOT NULL DEFAULT 0;
-- Who asked to cancel it, while it runs.
ALTER TABLE run ADD COLUMN cancelled_by TEXT;
-- The run that this one repeats.
ALTER TABLE run ADD COLUMN rerun_of TEXT;
DROP INDEX run_due;
CREATE INDEX run_due ON run (analysis_id, due_at, id) WHERE state = 'queued';
CREATE INDEX run_wake ON run (due_at) WHERE state = 'queued';
CREATE INDEX run_running ON run (analysis_id, action_id) WHERE state = 'running';
CREATE INDEX run_open_of_action ON run (action_id, analysis_id)
    WHERE state IN ('queued', 'running') AND action_id IS NOT NULL;
CREATE INDEX run_ended ON run (profile_id, finished_at) WHERE finished_at IS NOT NULL;

-- How often failed attempts are tried again, as JSON; NULL for the default.
ALTER TABLE analysis ADD COLUMN retry TEXT;

-- When an analysis last had a run claimed: the least recently served goes first.
CREATE TABLE lane (
    analysis_id TEXT   NOT NULL PRIMARY KEY,
    served_at   BIGINT NOT NULL
);

-- What one node of several does alone: the scheduler, a subscription, pruning.
CREATE TABLE lease (
    name   TEXT   NOT NULL PRIMARY KEY,
    holder TEXT   NOT NULL,
    fence  BIGINT NOT NULL,
    until  BIGINT NOT NULL
);

-- Requests that must start nothing when they come again.
CREATE TABLE idempotency (
    profile_id TEXT   NOT NULL REFERENCES profile (id),
    principal  TEXT   NOT NULL,
    operation  TEXT   NOT NULL,
    key        TEXT   NOT NULL,
    -- SHA-256 of the request: the same key with another request is refused.
    digest     TEXT   NOT NULL,
    -- JSON list of the ids of the runs that it became.
    runs       TEXT   NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (profile_id, principal, operation, key)
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at);

CREATE TABLE action (
    id             TEXT    NOT NULL PRIMARY KEY,
    profile_id     TEXT    NOT NULL REFERENCES profile (id),
    name           TEXT    NOT NULL,
    description    TEXT,
    active         BOOLEAN NOT NULL,
    -- schedule, interval, condition, resource, mqtt_topic or webhook.
    type           TEXT    NOT NULL,
    -- Trigger, analyses and rules, as JSON.
    document       TEXT    NOT NULL,
    locked         BOOLEAN NOT NULL,
    -- Raised when the trigger changes: what came before is never caught up.
    revision       BIGINT  NOT NULL,
    -- When it is due next; NULL for what no clock starts, and while it is switched off.
    next_at        BIGINT,
    -- The most runs of it that run at once, for each of its analyses; NULL for no limit.
    concurrency    BIGINT,
    last_triggered BIGINT,
    -- Why it could not start a run the last time, as JSON; NULL when it could.
    fault          TEXT,
    created_at     BIGINT  NOT NULL,
    updated_at     BIGINT  NOT NULL
);
CREATE INDEX action_by_name ON action (profile_id, name);
CREATE INDEX action_due ON action (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX action_of_topics ON action (id) WHERE type = 'mqtt_topic';

-- What an action listens to, found by index when an event comes.
CREATE TABLE action_trigger (
    profile_id TEXT NOT NULL REFERENCES profile (id),
    action_id  TEXT NOT NULL,
    -- The action's type.
    kind       TEXT NOT NULL,
    -- For a condition: id or tag. For a resource: resource:event, then any or tag.
    form       TEXT NOT NULL,
    -- The device's id or the tag's key; empty for any.
    key        TEXT NOT NULL,
    -- The tag's value; empty for other forms.
    value      TEXT NOT NULL,
    PRIMARY KEY (action_id, kind, form, key, value)
);
CREATE INDEX action_trigger_lookup ON action_trigger (profile_id, kind, form, key, value, action_id);

-- What became of each instant at which an action was due.
CREATE TABLE slot (
    action_id   TEXT   NOT NULL,
    analysis_id TEXT   NOT NULL,
    -- The instant; of consecutive missed ones, the first.
    instant     BIGINT NOT NULL,
    profile_id  TEXT   NOT NULL REFERENCES profile (id),
    -- The last instant of this row, and how many there are.
    last        BIGINT NOT NULL,
    instants    BIGINT NOT NULL,
    revision    BIGINT NOT NULL,
    -- ran, caught_up, skipped, missed or failed.
    outcome     TEXT   NOT NULL,
    run_id      TEXT,
    -- Why it was skipped or failed to start.
    reason      TEXT,
    recorded_at BIGINT NOT NULL,
    PRIMARY KEY (action_id, analysis_id, instant)
);
CREATE INDEX slot_by_age ON slot (profile_id, recorded_at);

-- Changes of resources that actions listen to, until they are handled.
CREATE TABLE event (
    sequence    INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    profile_id  TEXT    NOT NULL REFERENCES profile (id),
    at          BIGINT  NOT NULL,
    -- The resource type, and create, update or delete.
    resource    TEXT    NOT NULL,
    happened    TEXT    NOT NULL,
    resource_id TEXT    NOT NULL,
    -- The resource's tags at that time, as JSON.
    tags        TEXT    NOT NULL,
    principal   TEXT    NOT NULL,
    -- The chain of runs that led to it, as in run.
    depth       BIGINT  NOT NULL,
    root_run    TEXT
);

CREATE TABLE device (
    id         TEXT    NOT NULL PRIMARY KEY,
    profile_id TEXT    NOT NULL REFERENCES profile (id),
    name       TEXT    NOT NULL,
    active     BOOLEAN NOT NULL,
    -- The original's fields that are kept as they were given, as JSON.
    document   TEXT    NOT NULL,
    last_input BIGINT,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL
);
CREATE INDEX device_by_name ON device (profile_id, name);

CREATE TABLE device_token (
    device_id  TEXT   NOT NULL REFERENCES device (id),
    profile_id TEXT   NOT NULL REFERENCES profile (id),
    name       TEXT   NOT NULL,
    -- full, read or write.
    permission TEXT   NOT NULL,
    digest     BLOB   NOT NULL UNIQUE,
    -- Signs whose token it is; see TokenOwner.
    bound      BLOB   NOT NULL,
    hint       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (device_id, name)
);

-- The last record of each variable of a device.
CREATE TABLE device_record (
    device_id  TEXT   NOT NULL REFERENCES device (id),
    variable   TEXT   NOT NULL,
    profile_id TEXT   NOT NULL REFERENCES profile (id),
    at         BIGINT NOT NULL,
    sealed     BLOB   NOT NULL,
    PRIMARY KEY (device_id, variable)
);

-- Uploaded modules, where several nodes share the store; otherwise they lie in a folder.
CREATE TABLE module (
    digest     TEXT   NOT NULL PRIMARY KEY,
    bytes      BLOB   NOT NULL,
    created_at BIGINT NOT NULL
);

-- Audit entries older than this may be deleted. It is 0 but for the moment of a pruning.
CREATE TABLE audit_floor (
    one    BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    before BIGINT NOT NULL
);
INSERT INTO audit_floor (one, before) VALUES (1, 0);
DROP TRIGGER audit_is_not_deleted;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
WHEN OLD.at >= COALESCE((SELECT before FROM audit_floor), 0)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
