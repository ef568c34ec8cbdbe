-- Actions, devices, and what starts and bounds runs.

-- A dedupe key is kept apart from runs, because it must outlive them: see idempotency.
DROP INDEX run_dedupe;
ALTER TABLE run DROP COLUMN dedupe_key;
-- The first run of a chain of runs that caused each other; NULL for that first one.
ALTER TABLE run ADD COLUMN root_run TEXT COLLATE "C";
-- How many runs of the chain came before.
ALTER TABLE run ADD COLUMN depth BIGINT NOT NULL DEFAULT 0;
-- The action that started it.
ALTER TABLE run ADD COLUMN action_id TEXT COLLATE "C";
-- JSON object of the system entries that its trigger adds to the environment.
ALTER TABLE run ADD COLUMN trigger_entries TEXT COLLATE "C";
-- How many attempts were lost with their workers.
ALTER TABLE run ADD COLUMN losses BIGINT NOT NULL DEFAULT 0;
-- Who asked to cancel it, while it runs.
ALTER TABLE run ADD COLUMN cancelled_by TEXT COLLATE "C";
-- The run that this one repeats.
ALTER TABLE run ADD COLUMN rerun_of TEXT COLLATE "C";
DROP INDEX run_due;
CREATE INDEX run_due ON run (analysis_id, due_at, id) WHERE state = 'queued';
CREATE INDEX run_wake ON run (due_at) WHERE state = 'queued';
CREATE INDEX run_running ON run (analysis_id, action_id) WHERE state = 'running';
CREATE INDEX run_open_of_action ON run (action_id, analysis_id)
    WHERE state IN ('queued', 'running') AND action_id IS NOT NULL;
CREATE INDEX run_ended ON run (profile_id, finished_at) WHERE finished_at IS NOT NULL;

-- How often failed attempts are tried again, as JSON; NULL for the default.
ALTER TABLE analysis ADD COLUMN retry TEXT COLLATE "C";

-- When an analysis last had a run claimed: the least recently served goes first.
CREATE TABLE lane (
    analysis_id TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    served_at   BIGINT NOT NULL
);

-- What one node of several does alone: the scheduler, a subscription, pruning.
CREATE TABLE lease (
    name   TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    holder TEXT COLLATE "C"   NOT NULL,
    fence  BIGINT NOT NULL,
    until  BIGINT NOT NULL
);

-- Requests that must start nothing when they come again.
CREATE TABLE idempotency (
    profile_id TEXT COLLATE "C"   NOT NULL REFERENCES profile (id),
    principal  TEXT COLLATE "C"   NOT NULL,
    operation  TEXT COLLATE "C"   NOT NULL,
    key        TEXT COLLATE "C"   NOT NULL,
    -- SHA-256 of the request: the same key with another request is refused.
    digest     TEXT COLLATE "C"   NOT NULL,
    -- JSON list of the ids of the runs that it became.
    runs       TEXT COLLATE "C"   NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (profile_id, principal, operation, key)
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at);

CREATE TABLE action (
    id             TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    profile_id     TEXT COLLATE "C"    NOT NULL REFERENCES profile (id),
    name           TEXT COLLATE "C"    NOT NULL,
    description    TEXT COLLATE "C",
    active         BOOLEAN NOT NULL,
    -- schedule, interval, condition, resource, mqtt_topic or webhook.
    type           TEXT COLLATE "C"    NOT NULL,
    -- Trigger, analyses and rules, as JSON.
    document       TEXT COLLATE "C"    NOT NULL,
    locked         BOOLEAN NOT NULL,
    -- Raised when the trigger changes: what came before is never caught up.
    revision       BIGINT  NOT NULL,
    -- When it is due next; NULL for what no clock starts, and while it is switched off.
    next_at        BIGINT,
    -- The most runs of it that run at once, for each of its analyses; NULL for no limit.
    concurrency    BIGINT,
    last_triggered BIGINT,
    -- Why it could not start a run the last time, as JSON; NULL when it could.
    fault          TEXT COLLATE "C",
    created_at     BIGINT  NOT NULL,
    updated_at     BIGINT  NOT NULL
);
CREATE INDEX action_by_name ON action (profile_id, name);
CREATE INDEX action_due ON action (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX action_of_topics ON action (id) WHERE type = 'mqtt_topic';

-- What an action listens to, found by index when an event comes.
CREATE TABLE action_trigger (
    profile_id TEXT COLLATE "C" NOT NULL REFERENCES profile (id),
    action_id  TEXT COLLATE "C" NOT NULL,
    -- The action's type.
    kind       TEXT COLLATE "C" NOT NULL,
    -- For a condition: id or tag. For a resource: resource:event, then any or tag.
    form       TEXT COLLATE "C" NOT NULL,
    -- The device's id or the tag's key; empty for any.
    key        TEXT COLLATE "C" NOT NULL,
    -- The tag's value; empty for other forms.
    value      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (action_id, kind, form, key, value)
);
CREATE INDEX action_trigger_lookup ON action_trigger (profile_id, kind, form, key, value, action_id);

-- What became of each instant at which an action was due.
CREATE TABLE slot (
    action_id   TEXT COLLATE "C"   NOT NULL,
    analysis_id TEXT COLLATE "C"   NOT NULL,
    -- The instant; of consecutive missed ones, the first.
    instant     BIGINT NOT NULL,
    profile_id  TEXT COLLATE "C"   NOT NULL REFERENCES profile (id),
    -- The last instant of this row, and how many there are.
    last        BIGINT NOT NULL,
    instants    BIGINT NOT NULL,
    revision    BIGINT NOT NULL,
    -- ran, caught_up, skipped, missed or failed.
    outcome     TEXT COLLATE "C"   NOT NULL,
    run_id      TEXT COLLATE "C",
    -- Why it was skipped or failed to start.
    reason      TEXT COLLATE "C",
    recorded_at BIGINT NOT NULL,
    PRIMARY KEY (action_id, analysis_id, instant)
);
CREATE INDEX slot_by_age ON slot (profile_id, recorded_at);

-- Changes of resources that actions listen to, until they are handled.
CREATE TABLE event (
    sequence    BIGINT  NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    profile_id  TEXT COLLATE "C"    NOT NULL REFERENCES profile (id),
    at          BIGINT  NOT NULL,
    -- The resource type, and create, update or delete.
    resource    TEXT COLLATE "C"    NOT NULL,
    happened    TEXT COLLATE "C"    NOT NULL,
    resource_id TEXT COLLATE "C"    NOT NULL,
    -- The resource's tags at that time, as JSON.
    tags        TEXT COLLATE "C"    NOT NULL,
    principal   TEXT COLLATE "C"    NOT NULL,
    -- The chain of runs that led to it, as in run.
    depth       BIGINT  NOT NULL,
    root_run    TEXT COLLATE "C"
);

CREATE TABLE device (
    id         TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    profile_id TEXT COLLATE "C"    NOT NULL REFERENCES profile (id),
    name       TEXT COLLATE "C"    NOT NULL,
    active     BOOLEAN NOT NULL,
    -- The original's fields that are kept as they were given, as JSON.
    document   TEXT COLLATE "C"    NOT NULL,
    last_input BIGINT,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL
);
CREATE INDEX device_by_name ON device (profile_id, name);

CREATE TABLE device_token (
    device_id  TEXT COLLATE "C"   NOT NULL REFERENCES device (id),
    profile_id TEXT COLLATE "C"   NOT NULL REFERENCES profile (id),
    name       TEXT COLLATE "C"   NOT NULL,
    -- full, read or write.
    permission TEXT COLLATE "C"   NOT NULL,
    digest     BYTEA   NOT NULL UNIQUE,
    -- Signs whose token it is; see TokenOwner.
    bound      BYTEA   NOT NULL,
    hint       TEXT COLLATE "C"   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (device_id, name)
);

-- The last record of each variable of a device.
CREATE TABLE device_record (
    device_id  TEXT COLLATE "C"   NOT NULL REFERENCES device (id),
    variable   TEXT COLLATE "C"   NOT NULL,
    profile_id TEXT COLLATE "C"   NOT NULL REFERENCES profile (id),
    at         BIGINT NOT NULL,
    sealed     BYTEA   NOT NULL,
    PRIMARY KEY (device_id, variable)
);

-- Uploaded modules, where several nodes share the store; otherwise they lie in a folder.
CREATE TABLE module (
    digest     TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    bytes      BYTEA   NOT NULL,
    created_at BIGINT NOT NULL
);

-- Audit entries older than this may be deleted. It is 0 but for the moment of a pruning.
CREATE TABLE audit_floor (
    one    BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    before BIGINT NOT NULL
);
INSERT INTO audit_floor (one, before) VALUES (1, 0);
DROP TRIGGER audit_is_not_deleted ON audit;
CREATE FUNCTION refuse_deletion() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    IF OLD.at < (SELECT before FROM audit_floor) THEN RETURN OLD; END IF;
    RAISE EXCEPTION 'the audit is append-only';
END $$;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
FOR EACH ROW EXECUTE FUNCTION refuse_deletion();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
