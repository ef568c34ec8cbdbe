-- Roles, approvals and several profiles.

-- When the token was last used, to the minute; NULL before it was.
ALTER TABLE token ADD COLUMN last_used_at BIGINT;

-- Whether a module that no administrator uploaded has nothing that policies grant, until one
-- approves it. That it is off counts only with the signature in bound; see StoredProfile.
ALTER TABLE profile ADD COLUMN approve_uploads BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE profile ADD COLUMN bound BLOB;
-- When it was deleted: the row stays for the audit.
ALTER TABLE profile ADD COLUMN deleted_at BIGINT;
CREATE UNIQUE INDEX profile_by_name ON profile (name) WHERE deleted_at IS NULL;

-- The modules that administrators approved, each for one analysis.
CREATE TABLE approval (
    analysis_id TEXT   NOT NULL REFERENCES analysis (id),
    profile_id  TEXT   NOT NULL REFERENCES profile (id),
    digest      TEXT   NOT NULL,
    approved_by TEXT   NOT NULL,
    approved_at BIGINT NOT NULL,
    -- Signs all of it; see Approval.
    bound       BLOB   NOT NULL,
    PRIMARY KEY (analysis_id, digest)
);

-- Whether an attempt was given nothing that policies grant, because its module was not approved.
ALTER TABLE attempt ADD COLUMN withheld BOOLEAN NOT NULL DEFAULT FALSE;
