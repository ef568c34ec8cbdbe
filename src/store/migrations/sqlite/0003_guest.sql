-- What a guest may use without reading it, and what it used.

-- JSON object {hosts, places, algorithms} of what a secret may be used for without being read;
-- NULL for nothing. It is bound to the sealed value.
ALTER TABLE secret ADD COLUMN uses TEXT;
-- JSON list of {key, secret, version, host?, algorithm?, count}: the secrets that an attempt used
-- without reading them; NULL for none.
ALTER TABLE attempt ADD COLUMN uses TEXT;
