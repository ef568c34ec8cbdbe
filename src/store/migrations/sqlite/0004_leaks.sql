-- What was masked in what an attempt put out: JSON of {leaks: [{key, secret, sink, encoding,
-- times}], omitted}, NULL where nothing was. Never a value.
ALTER TABLE attempt ADD COLUMN leaks TEXT;
