-- Analyses that run outside: on machines that listen for them.

-- Whether runs may leave for listeners outside, with their secrets. Only administrators set it.
ALTER TABLE analysis ADD COLUMN external BOOLEAN NOT NULL DEFAULT FALSE;
-- When a chunk was added to the console of a delivered run; NULL for what an outcome brought.
ALTER TABLE console_chunk ADD COLUMN added_at BIGINT;
CREATE INDEX console_chunk_added ON console_chunk (added_at) WHERE added_at IS NOT NULL;
-- The latest delivered run of an analysis. A run without a module has the empty text for its digest.
CREATE INDEX run_delivered ON run (analysis_id, finished_at) WHERE state = 'delivered';
-- The next due run is looked for lane by lane, through run_due.
DROP INDEX run_wake;
