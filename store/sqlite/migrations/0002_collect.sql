-- What finds the rows that can be deleted without looking at those that live.

-- +goose Up

-- When the collector is to look at a grant, plus what it keeps in memory; NULL:
-- never. Grants that are here already are looked at once, soon.
ALTER TABLE grants ADD COLUMN due INTEGER DEFAULT 0;

CREATE INDEX grants_by_due ON grants (environment, due);

CREATE INDEX code_by_grant ON code (environment, grant_id, expires);

-- The expiry makes the first and the last token to end of a grant one step each.
DROP INDEX token_by_grant;
CREATE INDEX token_by_grant ON token (environment, grant_id, expires);

CREATE INDEX token_by_expiry ON token (environment, expires);

CREATE INDEX revocation_by_expiry ON revocation (environment, expires);

-- Without statistics SQLite takes an environment for ten rows, and walks through
-- all of it rather than use an index; its check of the foreign keys, which no
-- query can direct, does so too. These say what is always so: few environments,
-- a handful of rows for a grant. (ANALYZE of one small table makes sqlite_stat1;
-- the last one has it read.)
ANALYZE meta;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('grants', 'grants', '1000000 500000 1'),
    ('grants', 'grants_by_principal', '1000000 500000 100 1'),
    ('grants', 'grants_by_client', '1000000 500000 10000 1'),
    ('grants', 'grants_by_due', '1000000 500000 2'),
    ('grant_account', 'grant_account', '2000000 1000000 2 1'),
    ('grant_account', 'grant_account_by_account', '2000000 1000000 100'),
    ('code', 'code', '1000000 500000 1'),
    ('code', 'code_by_grant', '1000000 500000 1 1'),
    ('token', 'token', '10000000 5000000 1'),
    ('token', 'token_by_hash', '10000000 5000000 1'),
    ('token', 'token_by_grant', '10000000 5000000 10 1'),
    ('token', 'token_by_expiry', '10000000 5000000 2'),
    ('revocation', 'revocation_by_target', '1000000 500000 100000 1'),
    ('revocation', 'revocation_by_expiry', '1000000 500000 2');

ANALYZE sqlite_schema;
